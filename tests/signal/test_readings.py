"""The step of a sensor is found in its samples, and samples without a step are not given one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.signal.readings import FINE_BITS, counts_of, has_steps, step_between, steps_of

SCALES = {"ADXL345": 0.0039, "14 bit": 4 / 65536, "m/s2": 9.80665 / 4096, "ADC": 0.00016242, "counts": 1.0}


def noise(seed: int, n: int = 5000) -> Any:
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("spread", [3, 400, 20_000])
def test_the_step_of_a_converter_is_found(scale: float, spread: int) -> None:
    samples = (np.rint(spread * noise(1)) * scale).astype(np.float32)
    assert step_between(samples) == pytest.approx(scale, rel=1e-3)


@given(st.floats(1e-5, 10), st.integers(0, 1000))
def test_counts_come_back_as_they_were(scale: float, seed: int) -> None:
    counts = np.rint(300 * noise(seed, 600)).astype(np.int32)[:, None]
    samples = (counts * scale).astype(np.float32)
    assert np.array_equal(counts_of(samples, steps_of(samples)), counts)


def test_rounded_text_keeps_the_step_of_the_sensor() -> None:
    samples = np.round(np.rint(300 * noise(2)) * 0.0039, 4)
    assert step_between(samples.astype(np.float32)) == pytest.approx(0.0039, rel=1e-3)


@pytest.mark.parametrize("samples", [noise(3), noise(4) ** 3, np.sin(np.arange(5000))], ids=["noise", "tails", "tone"])
def test_continuous_values_have_no_step(samples: Any) -> None:
    assert step_between(samples.astype(np.float32)) is None


def test_few_values_have_no_step() -> None:
    assert step_between(np.zeros(100)) is None and step_between(np.array([0.0, 1.0, 2.0] * 30)) is None


def test_samples_without_a_step_become_fine_counts() -> None:
    samples = noise(5)[:, None].astype(np.float32)
    counts = counts_of(samples, [None])
    assert np.abs(counts).max() == 1 << FINE_BITS
    assert not counts_of(np.zeros((10, 2), np.float32), [None, None]).any()


def test_the_grid_of_float32_is_no_converter() -> None:
    rng = np.random.default_rng(0)
    smooth = rng.normal(1.0, 0.02, (8000, 1)).clip(0.6, 1.2).astype(np.float32)  # float32 near 1 is a grid of 2 ** -24
    assert not has_steps(smooth, steps_of(smooth))
    stepped = np.round(smooth * 4096) / np.float32(4096)
    assert has_steps(stepped, steps_of(stepped))
    assert not has_steps(np.zeros((100, 1), np.float32), [None])
