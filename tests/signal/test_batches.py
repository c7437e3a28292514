"""Each window has the same bits wherever it stands among others, however many they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.runtime.classifier import dequantize_int8, quantize_int8, softmax
from drsn_edge.signal import mounting as mounting_module
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.decimation import Decimation
from drsn_edge.signal.mounting import BANDS, Mounting, can_tell
from drsn_edge.signal.network_input import input_of
from drsn_edge.signal.noise_alone import LEAST_SAMPLES, NoiseWatch, chances
from drsn_edge.signal.novelty import Novelty, References, features_of, levels
from drsn_edge.signal.resampling import cut_for, resampled
from drsn_edge.signal.spectra import Spectra
from drsn_edge.signal.windows import Scaling, centre, scale_windows

Samples = NDArray[np.float32]
Of = Callable[[Any], Any]

SHAPES = [(64, 1), (64, 6), (250, 2), (1000, 3), (1001, 1), (1001, 3), (1024, 1), (1024, 2), (1024, 6), (4096, 3)]
_CHECKED = 12


def mixed(n: int, window: int, axes: int) -> Samples:
    """Return machines, noise, knocks, stillness and gravity in turns, in random order."""
    rng, time = np.random.default_rng(window * axes), np.arange(window)[None, :, None]
    noise = rng.normal(size=(n, window, axes))
    lines = np.sin(0.31 * time + rng.uniform(0, 6, (n, 1, axes))) + np.sin(1.7 * time + rng.uniform(0, 6, (n, 1, axes)))
    kinds = np.arange(n)[:, None, None] % 5
    windows = np.where(kinds == 0, lines + 0.1 * noise, noise)
    windows[:, window // 3] += 50 * (kinds[:, 0] == 2)
    windows = np.where(kinds == 3, 0.25, windows) * 10.0 ** rng.uniform(-2, 2, (n, 1, 1)) + 9.81 * (kinds == 4)
    return np.asarray(rng.permutation(windows.astype(np.float32)))


def bits(value: Any) -> bytes:
    return b"".join(map(bits, value)) if isinstance(value, tuple) else np.asarray(value).tobytes()


def expect_equal_bits(of: Of, windows: NDArray[Any]) -> None:
    """Expect of random groups of up to all windows what some of them give alone."""
    alone = {number: bits(of(windows[number : number + 1])[0]) for number in range(_CHECKED)}
    rng = np.random.default_rng(0)
    for size in (2, 7, 16, len(windows)):
        chosen = rng.permutation(_CHECKED if size < _CHECKED else len(windows))[:size].tolist()
        together = [bits(each) for each in of(windows[chosen])]
        assert len(together) == size
        assert all(found == alone.get(number, found) for number, found in zip(chosen, together, strict=True)), size


def by_centred(of: Of) -> Of:
    return lambda windows: of(centre(windows))


@pytest.mark.parametrize(("window", "axes"), SHAPES)
def test_centred_and_scaled_windows(window: int, axes: int) -> None:
    windows = mixed(40, window, axes)
    expect_equal_bits(lambda some: [*zip(*vars(centre(some)).values(), strict=True)], windows)
    expect_equal_bits(lambda some: centre(some).transform.spectrum, windows)
    expect_equal_bits(lambda some: centre(some).transform.power, windows)
    expect_equal_bits(levels, windows)
    for scaling in (Scaling(), Scaling("fixed", 0.3)):
        expect_equal_bits(partial(scale_windows, scaling=scaling), windows)


@pytest.mark.parametrize(("window", "axes"), SHAPES)
@pytest.mark.parametrize("scaling", [Scaling(), Scaling("fixed", 0.3)])
def test_the_input_of_the_network(window: int, axes: int, scaling: Scaling) -> None:
    windows = mixed(40, window, axes)
    contract = SignalContract(4000.0, tuple("abcdef"[:axes]), "g", window, window, scaling)
    views: list[Spectra | None] = [None, Spectra(("bands",), 16)]
    if window % 4 == 0:
        views += [Spectra(("orders",), 16, 6.0), Spectra(("envelopes",), 16, 6.0), Spectra(lines=16)]
    for spectra in views:
        if spectra is not None:
            channels = sum(spectra.view_channels(axes))
            spectra = replace(spectra, means=(-1.0,) * channels, deviations=(0.7,) * channels)
        seen = replace(contract, spectra=spectra)
        expect_equal_bits(by_centred(lambda some, seen=seen: input_of(some, seen, 83.0)), windows)  # type: ignore[misc]


@pytest.mark.parametrize(("window", "axes"), [shape for shape in SHAPES if shape[0] >= LEAST_SAMPLES])
def test_noise_alone(window: int, axes: int) -> None:
    windows = mixed(40, window, axes)
    expect_equal_bits(by_centred(chances), windows)
    signs = NoiseWatch().signs(centre(windows), window)
    assert {each.is_alone for each in signs if each is not None} == {True, False}
    expect_equal_bits(by_centred(lambda some: NoiseWatch().signs(some, window)), windows)


def novelty(axes: int, with_site: bool, with_mounting: bool) -> Novelty:
    rng, size = np.random.default_rng(axes), 16 * axes
    whitening, prototypes = rng.normal(size=(size, size)), rng.normal(size=(37, size))
    relation = Mounting(rng.normal(size=(29, BANDS, axes * axes)).astype(np.float32)) if with_mounting else None
    limits = rng.uniform(2, 4, 37).astype(np.float32)
    found = whitening.astype(np.float32), prototypes.astype(np.float32), limits
    known = Novelty(16, *found, 0.1, 2.0, relation, 9.81)
    more = References(prototypes[:5].astype(np.float32) + 1, np.full(5, 2, np.float32), np.ones(5), 0.1, 1.0)
    return known.with_references(more) if with_site else known


@pytest.mark.parametrize(("window", "axes"), SHAPES)
@pytest.mark.parametrize("with_site", [False, True])
def test_novelty_and_mounting(window: int, axes: int, with_site: bool) -> None:
    windows, with_mounting = mixed(40, window, axes), can_tell(window, axes)
    known = novelty(axes, with_site, with_mounting)
    expect_equal_bits(by_centred(partial(features_of, lines=16)), windows)
    expect_equal_bits(by_centred(known.of_centred), windows)
    expect_equal_bits(by_centred(known.have_other_unit), windows)
    expect_equal_bits(known.distances, windows)
    if with_mounting:
        assert known.mounting is not None
        expect_equal_bits(by_centred(mounting_module.features_of), windows)
        expect_equal_bits(by_centred(known.mounting.ratios), windows)


@pytest.mark.parametrize(("window", "axes"), [(64, 1), (1000, 2), (1024, 3), (1000, 6)])
@pytest.mark.parametrize("ratio", [0.97, 1.004, 2.0, 3.01])
def test_resampled_windows(ratio: float, window: int, axes: int) -> None:
    distance = np.arange(8 * 16 + 1) / 8
    taps = np.sinc(distance) * np.cos(np.pi * distance / 32) ** 2
    filtered = Decimation(8, tuple((taps * 8 / (2 * taps.sum() - taps[0])).tolist()))
    cut = cut_for(ratio, window, window, filtered)
    n = 16 if ratio > 2 else 40
    expect_equal_bits(lambda some: resampled(some, cut, window, filtered), mixed(n, cut.window, axes))


def test_codes_and_probabilities() -> None:
    logits = np.random.default_rng(0).normal(size=(40, 13)).astype(np.float32) * 9
    expect_equal_bits(softmax, logits)
    expect_equal_bits(lambda some: quantize_int8(some, 0.1, -8), logits)
    expect_equal_bits(lambda some: dequantize_int8(some, 0.1, -8), quantize_int8(logits, 0.1, -8))


def test_the_network(tiny_model: bytes) -> None:
    from drsn_edge.runtime.classifier import Classifier

    windows = np.random.default_rng(4).normal(size=(40, 1, 64, 2)).astype(np.float32)
    for runtime in ("litert", "numpy"):
        classifier = Classifier(tiny_model, runtime)
        expect_equal_bits(classifier.logits, windows[: 40 if runtime == "litert" else 16])


# --- against plain computations of one window ----------------------------------------------------------------------


@pytest.mark.parametrize("window", [1000, 1024])
def test_numbers_are_those_of_a_plain_computation(window: int) -> None:
    windows = mixed(10, window, 3)
    found, known = centre(windows), novelty(3, False, True)
    assert known.mounting is not None
    expected = np.array([plain_features(each, 16) for each in windows])
    np.testing.assert_allclose(features_of(found, 16), expected, atol=1e-5)
    whitened = expected @ known.whitening.astype(np.float64)
    nearest = np.linalg.norm(whitened[:, None] - known.prototypes, axis=2).min(axis=1)
    np.testing.assert_allclose(known.distances(windows), nearest, rtol=1e-4)
    points = mounting_module.features_of(found)
    for number, point in enumerate(points):
        ways = [
            np.linalg.norm(mounting_module.arranged(known.mounting.prototypes, way) - point, axis=(1, 2)).min()
            for way in mounting_module.arrangements(3)
        ]
        np.testing.assert_allclose(known.mounting.ratios(found)[number], min(ways[1:]) / ways[0], rtol=1e-4)


def plain_features(window: Samples, lines: int) -> NDArray[np.float64]:
    """Return log band powers of one window in float64, by weights in time."""
    samples = window.astype(np.float64) - window.mean(axis=0, dtype=np.float64)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(window)) / len(window))
    power = np.abs(np.fft.rfft(samples * hann[:, None], axis=0)) ** 2 / len(window)
    per_band, mean_square = (len(power) - 1) // lines, np.square(samples).mean()
    bands = power[1 : 1 + lines * per_band].reshape(lines, per_band, -1).mean(axis=1)
    return np.asarray(np.log10(bands / (mean_square if mean_square > 0 else np.inf) + 1e-5).reshape(-1))


@pytest.mark.parametrize("ratio", [0.96, 1.013, 1.04])
def test_resampling_is_the_sum_of_weighted_samples(ratio: float) -> None:
    cut = cut_for(ratio, 1000, 500)
    windows = mixed(5, cut.window, 2)
    centres = cut.margin + ratio * np.arange(1000)
    distance = centres[:, None] - np.arange(cut.window)
    kaiser = np.i0(8 * np.sqrt(np.clip(1 - (distance / cut.margin) ** 2, 0, None))) / np.i0(8)
    expected = np.einsum("ts,nsa->nta", np.sinc(distance) * kaiser * (np.abs(distance) < cut.margin), windows)
    found = resampled(windows, cut, 1000)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(windows).max())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(windows).max())
