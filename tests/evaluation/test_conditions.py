from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.datasets.windows import WindowSet
from drsn_edge.errors import DrsnEdgeError
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition, noise_conditions, with_noise
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.signal.noise import vibration_power

WINDOWS = np.random.default_rng(0).normal(size=(5, 128, 2)).astype(np.float32)
HELD_OUT = WindowSet(WINDOWS, np.arange(5), np.array(["a"] * 5), np.arange(5), np.full(5, np.nan))


def noisy(condition: NoiseCondition, seed: int) -> NDArray[np.float32]:
    return with_noise(HELD_OUT, condition, seed).windows


def test_each_kind_at_each_snr_once_in_order() -> None:
    conditions = noise_conditions([4, -8, 4])
    assert conditions == tuple(NoiseCondition(kind, snr_db) for kind in NOISE_KINDS for snr_db in (-8, 4))
    assert str(conditions[0]) == "gaussian_-8_db"


@pytest.mark.parametrize("snr_db", [math.nan, math.inf, -math.inf, 101.0, -1e9])
def test_an_snr_that_is_none_is_refused(snr_db: float) -> None:
    with refused(DrsnEdgeError, "snr_out_of_range", got=snr_db, limit_db=100.0):
        noise_conditions([0.0, snr_db])


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_one_noise_for_all_snrs_each_met_by_every_window(kind: str) -> None:
    loud, soft = (noisy(NoiseCondition(kind, snr_db), 7) - WINDOWS for snr_db in (-6.0, 14.0))
    np.testing.assert_allclose(loud, soft * 10, rtol=1e-3, atol=1e-4)
    ratio = vibration_power(WINDOWS) / vibration_power(loud)
    np.testing.assert_allclose(10 * np.log10(ratio), -6.0, atol=1e-3)


def test_the_seed_and_the_kind_decide_the_noise() -> None:
    first = noisy(NoiseCondition("gaussian", 0.0), 1)
    np.testing.assert_array_equal(first, noisy(NoiseCondition("gaussian", 0.0), 1))
    assert np.abs(first - noisy(NoiseCondition("gaussian", 0.0), 2)).max() > 0.1


def test_clean_windows_stay_as_recorded() -> None:
    assert with_noise(HELD_OUT, CLEAN, 1) is HELD_OUT
    assert str(CLEAN) == "clean"
