from __future__ import annotations

import numpy as np
import pytest

from drsn_edge.evaluation.thresholds import summarise_thresholds, thresholds_to_json


def test_mean_and_channel_spread_by_hand() -> None:
    """Windows 0 and 1 are of class 0, window 2 of class 2; class 1 does not occur."""
    two_channels = np.array([[1.0, 3.0], [2.0, 6.0], [5.0, 5.0]], np.float32).reshape(3, 1, 1, 2)
    shared = np.array([0.5, 1.5, 4.0], np.float32).reshape(3, 1, 1, 1)
    found = summarise_thresholds([two_channels, shared], np.array([0, 0, 2]), 3)
    np.testing.assert_allclose(found.mean, [[3.0, np.nan, 5.0], [1.0, np.nan, 4.0]])
    np.testing.assert_allclose(found.channel_spread, [[1.5, np.nan, 0.0], [0.0, np.nan, 0.0]])
    first, second = thresholds_to_json(found, ("a", "b", "c"))
    assert first == {
        "block": 1,
        "mean": {"a": pytest.approx(3.0), "b": None, "c": 5.0},
        "channel_spread": {"a": pytest.approx(1.5), "b": None, "c": 0.0},
    }
    assert second["block"] == 2
