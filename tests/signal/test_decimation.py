from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from drsn_edge.datasets.anti_alias import design_decimation
from drsn_edge.signal.decimation import Decimation, decimation_from_json, decimation_to_json
from drsn_edge.signal.resampling import FOLLOW, at_rate_of_model, cut_for, resampled
from drsn_edge.support.invalid import InvalidValueError

scipy_signal = pytest.importorskip("scipy.signal")

FACTORS = (2, 3, 4, 5, 6, 7, 8, 11, 16, 25, 32, 64)


@pytest.fixture(scope="module")
def decimation() -> Decimation:
    return design_decimation()


def response(decimation: Decimation, ratio: float, fraction: float = 0.0) -> tuple[Any, Any]:
    """Return frequencies as a share of the model's band, and the magnitude there."""
    weights = decimation.weights(ratio, np.array([fraction]))[0]
    angle, found = scipy_signal.freqz(weights.astype(np.float64), worN=1 << 15)
    return angle / np.pi * ratio, np.abs(found)


@pytest.mark.parametrize("ratio", [*FACTORS, 1.25, 2.5, 4.03, 9.7])
def test_the_band_passes_and_what_folds_into_it_does_not(decimation: Decimation, ratio: float) -> None:
    share, level = response(decimation, ratio)
    passed, stopped = level[share <= 0.95], level[share >= 1.05]
    assert 20 * np.log10(passed.max() / passed.min()) < 0.002
    assert 20 * np.log10(stopped.max(initial=1e-9)) < -72 or share.max() < 1.05


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_white_noise_stays_white(decimation: Decimation, factor: int) -> None:
    share, level = response(decimation, factor)
    at = np.linspace(0, 1, 501)
    power = (
        sum(np.interp(np.abs(2 * k + sign * at), share, level) ** 2 for k in (0, 1) for sign in (1, -1))
        - np.interp(at, share, level) ** 2
    )
    assert 10 * np.log10(power.min()) > -0.3 and 10 * np.log10(power.max()) < 0.1


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_the_taps_of_a_factor_are_those_that_scipy_designs(decimation: Decimation, factor: int) -> None:
    """The table has 16 taps for each sample of the model: for divisors of 16, weights are taps of the table."""
    weights = decimation.weights(float(factor), np.zeros(1))[0]
    step, half = decimation.per_sample // factor, np.array(decimation.taps)
    taps = np.concatenate([half[::step][:0:-1], half[::step]])
    np.testing.assert_allclose(weights[1:-1], taps / taps.sum(), atol=1e-7)
    assert weights[0] == weights[-1] == 0


@given(st.data())
def test_pieces_give_the_samples_of_the_whole(decimation: Decimation, data: st.DataObject) -> None:
    ratio = data.draw(st.sampled_from([2.0, 3.0, 4.0, 1.25, 2.6, 4.03]))
    samples = np.random.default_rng(1).normal(size=(4000, 2)).astype(np.float32)
    whole = at_rate_of_model(samples, ratio, decimation)
    begin = data.draw(st.integers(0, len(whole) - 1)) if ratio % 1 == 0 else 0
    end = data.draw(st.integers(begin + 1, len(whole)))
    cut = cut_for(ratio, end - begin, 1, decimation)
    first = round(begin * ratio)
    piece = resampled(samples[None, first : first + cut.window], cut, end - begin, decimation)[0]
    np.testing.assert_allclose(piece, whole[begin:end], atol=2e-5)


@pytest.mark.parametrize("ratio", [0.96, 0.99, 1.03, 1.1, 1.5625, 2.0, 4.01, 12.0, 64.0])
def test_a_tone_stays_where_it_was(decimation: Decimation, ratio: float) -> None:
    n = 60_000
    turns = 0.07  # of the tone, in one sample of the model
    tone = np.cos(2 * np.pi * turns / ratio * np.arange(n)).astype(np.float32)
    found = at_rate_of_model(np.stack([tone, -2 * tone], axis=1), ratio, decimation)
    margin = cut_for(ratio, 1, 1, decimation).margin
    expected = np.cos(2 * np.pi * turns * (np.arange(len(found)) + margin / ratio))
    assert abs(len(found) - (n - 2 * margin) / ratio) <= 1 and len(found) > 400
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-3)
    np.testing.assert_allclose(found[:, 1], -2 * found[:, 0], atol=1e-5)


def test_edges_are_cut_and_not_invented(decimation: Decimation) -> None:
    """Samples outside could be anything: none of what is returned depends on them."""
    margin = decimation.margin(4.0)
    samples = np.ones((2 * margin + 1, 1), np.float32)
    assert len(at_rate_of_model(samples, 4.0, decimation)) == 1
    assert len(at_rate_of_model(samples[1:], 4.0, decimation)) == 0
    np.testing.assert_allclose(at_rate_of_model(samples, 4.0, decimation), 1.0, atol=1e-6)


def test_a_ratio_that_is_nearly_whole_is_whole(decimation: Decimation) -> None:
    assert cut_for(4 * (1 + 0.9 * FOLLOW), 64, 32, decimation) == cut_for(4.0, 64, 32, decimation)
    assert cut_for(4.0, 64, 32, decimation).hop == 128


def test_it_comes_back_from_json(decimation: Decimation) -> None:
    values = json.loads(json.dumps(decimation_to_json(decimation)))
    assert decimation_from_json(values) == decimation
    assert len(values["taps"]) < 9000


def forged(**changes: Any) -> dict[str, Any]:
    return {**decimation_to_json(design_decimation()), **changes}


def encoded(taps: list[float]) -> str:
    half = tuple(taps)
    return str(decimation_to_json(_unchecked(half))["taps"])


def _unchecked(taps: tuple[float, ...]) -> Decimation:
    found = object.__new__(Decimation)
    object.__setattr__(found, "per_sample", 16)
    object.__setattr__(found, "taps", taps)
    return found


@pytest.mark.parametrize(
    ("changes", "problem", "field"),
    [
        ({"per_sample": 0}, "filter_out_of_range", "per_sample"),
        ({"per_sample": 65}, "filter_out_of_range", "per_sample"),
        ({"per_sample": 16.0}, "not_whole", "per_sample"),
        ({"per_sample": 32}, "filter_out_of_range", "taps"),
        ({"taps": [1.0]}, "filter_out_of_range", "taps"),
        ({"taps": "A" * 60_000}, "filter_out_of_range", "taps"),
        ({"taps": "not base64!"}, "not_base64", "taps"),
        ({"taps": "AAAA"}, "filter_out_of_range", "taps"),
        ({"taps": ""}, "filter_out_of_range", "taps"),
        ({"taps": encoded([1.0])}, "filter_out_of_range", "taps"),
        ({"taps": encoded([1.0] * 17)}, "filter_out_of_range", "taps"),
        ({"taps": encoded([float("nan")] + [0.0] * 16)}, "filter_out_of_range", "taps"),
        ({"taps": encoded([float("inf")] + [0.0] * 16)}, "filter_out_of_range", "taps"),
        ({"taps": encoded([16.0] + [0.0] * 16)}, "filter_out_of_range", "taps"),
        ({"taps": encoded([1.0] + [15 / 2 / 8208] * 8208)}, "filter_out_of_range", "taps"),
    ],
)
def test_what_is_no_filter_is_refused(changes: dict[str, Any], problem: str, field: str) -> None:
    with refused(InvalidValueError, problem, field=field):
        decimation_from_json(forged(**changes))


def test_the_longest_filter_is_taken() -> None:
    assert decimation_from_json(forged(taps=encoded([1.0] + [15 / 2 / 4096] * 4096))).reach == 256


@pytest.mark.parametrize("missing", ["per_sample", "taps"])
def test_a_filter_that_lacks_a_value_is_refused(missing: str) -> None:
    values = forged()
    del values[missing]
    with pytest.raises(KeyError):
        decimation_from_json(values)
