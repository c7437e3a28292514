"""Golden vectors: the reference's codes of real windows, and nothing else out of other bytes."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from refusals import refused

from drsn_edge.bundle.bundle import Bundle, with_extra
from drsn_edge.bundle.golden import MEMBER, MOST_WINDOWS, Golden, golden_of, golden_to_bytes, make_golden
from drsn_edge.errors import BundleError
from drsn_edge.runtime.classifier import Classifier


@pytest.fixture(scope="module")
def golden(tiny_bundle: Bundle) -> Golden:
    windows = np.random.default_rng(3).normal(size=(40, 64, 2)).astype(np.float32)
    return make_golden(tiny_bundle.network, tiny_bundle.manifest.contract, windows, None)


def test_they_are_what_the_reference_says_of_windows_as_a_sensor_gives_them(
    tiny_bundle: Bundle, golden: Golden
) -> None:
    assert golden.counts.dtype == np.int16 and len(golden.counts) == MOST_WINDOWS
    assert np.abs(golden.counts).max(axis=(1, 2)).tolist() == [32_767] * MOST_WINDOWS
    engine = Classifier(tiny_bundle.network, "numpy")
    assert np.array_equal(engine.codes(golden.network_input(tiny_bundle.manifest.contract)), golden.logits_q)
    assert np.array_equal(engine.codes_of(golden.inputs_q), golden.logits_q)
    assert len(np.unique(golden.logits_q, axis=0)) > 3  # they tell windows apart


def test_they_come_back_from_a_bundle(tiny_bundle: Bundle, golden: Golden) -> None:
    found = golden_of(with_extra(tiny_bundle, MEMBER, golden_to_bytes(golden)))
    assert found is not None
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(vars(found).values(), vars(golden).values()))  # noqa: B905
    assert golden_of(tiny_bundle) is None
    assert golden_to_bytes(golden) == golden_to_bytes(golden)


def test_a_silent_window_is_one(tiny_bundle: Bundle) -> None:
    found = make_golden(tiny_bundle.network, tiny_bundle.manifest.contract, np.zeros((1, 64, 2), np.float32), None)
    assert found.counts.any() == np.False_ and np.isfinite(found.scales).all()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"counts": np.zeros((2, 64, 3), np.int16)}, "golden_shape"),
        ({"counts": np.int16(3)}, "wrong_ndim"),
        ({"counts": np.zeros((0, 64, 2), np.int16)}, "golden_shape"),
        ({"scales": np.full(MOST_WINDOWS, np.nan)}, "golden_scales"),
        ({"scales": np.zeros(MOST_WINDOWS)}, "golden_scales"),
        ({"logits_q": np.zeros((MOST_WINDOWS, 4), np.int8)}, "golden_shape"),
        ({"logits_q": np.zeros((MOST_WINDOWS, 3))}, "wrong_dtype"),
        ({"inputs_q": np.zeros((MOST_WINDOWS, 1, 64, 3), np.int8)}, "golden_shape"),
        ({"speeds_hz": np.array(["x"] * MOST_WINDOWS, object)}, "objects"),
    ],
)
def test_what_does_not_fit_the_manifest_is_refused(
    tiny_bundle: Bundle, golden: Golden, changes: dict[str, np.ndarray], problem: str
) -> None:
    data = golden_to_bytes(replace(golden, **changes))
    with refused(BundleError, problem, member=MEMBER):
        golden_of(with_extra(tiny_bundle, MEMBER, data))


@pytest.mark.parametrize("cut", [0, 10, 200, -1])
def test_damaged_ones_are_refused(tiny_bundle: Bundle, golden: Golden, cut: int) -> None:
    with refused(BundleError, "not_a_zip", member=MEMBER):
        golden_of(with_extra(tiny_bundle, MEMBER, golden_to_bytes(golden)[:cut]))


def test_missing_arrays_are_refused(tiny_bundle: Bundle) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, counts=np.zeros((2, 64, 2), np.int16))
    with refused(BundleError, "missing_array", member=MEMBER, array="scales"):
        golden_of(with_extra(tiny_bundle, MEMBER, buffer.getvalue()))
