"""Windows that overlap, joined again: the samples of a stretch are those of the signal, and no gap is inside one."""

from __future__ import annotations

import numpy as np
import pytest

from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.stretches import Stretches
from drsn_edge.signal.windows import Scaling

RATE_HZ = 100.0


def contract(window: int = 8, hop: int = 4) -> SignalContract:
    return SignalContract(RATE_HZ, ("x",), "g", window, hop, Scaling())


@pytest.mark.parametrize(("window", "hop", "samples"), [(8, 4, 20), (8, 8, 16), (8, 3, 21), (8, 4, 5)])
def test_a_stretch_is_the_signal(window: int, hop: int, samples: int) -> None:
    signal = np.arange(60, dtype=np.float32)[:, None]
    stretches = Stretches(contract(window, hop), samples)
    found = [stretches.take(signal[at : at + window], at / RATE_HZ) for at in range(0, 40, hop)]
    first = next(each for each in found if each is not None)
    assert len(first) >= samples and len(first) - samples < window
    np.testing.assert_array_equal(first, signal[: len(first)])


def test_a_gap_begins_a_new_stretch() -> None:
    signal = np.arange(80, dtype=np.float32)[:, None]
    stretches = Stretches(contract(), 16)
    assert [stretches.take(signal[at : at + 8], at / RATE_HZ) for at in (0, 4)] == [None, None]
    assert [stretches.take(signal[at : at + 8], at / RATE_HZ) for at in (40, 44)] == [None, None]
    whole = stretches.take(signal[48:56], 48 / RATE_HZ)
    assert whole is not None
    np.testing.assert_array_equal(whole, signal[40:56])


def test_what_was_forgotten_completes_nothing() -> None:
    signal = np.arange(80, dtype=np.float32)[:, None]
    stretches = Stretches(contract(), 12)
    assert stretches.take(signal[:8], 0.0) is None
    stretches.clear()
    assert stretches.take(signal[4:12], 0.04) is None
    assert stretches.take(signal[8:16], 0.08) is not None


def test_a_window_that_changes_later_does_not_change_the_stretch() -> None:
    signal = np.zeros((16, 1), np.float32)
    stretches = Stretches(contract(), 12)
    stretches.take(signal[:8], 0.0)
    signal[:8] = 1
    whole = stretches.take(signal[4:12], 0.04)
    assert whole is not None and not whole[:8].any()
