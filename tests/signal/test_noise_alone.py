from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drsn_edge.signal import noise_alone as module
from drsn_edge.signal.names import NOISE_KINDS
from drsn_edge.signal.noise import add_noise
from drsn_edge.signal.noise_alone import CHANCE, LEAST_SAMPLES, NEVER, NoiseWatch, chances
from drsn_edge.signal.novelty import features, features_of
from drsn_edge.signal.windows import centre

Samples = NDArray[np.float32]
N = 1024


def coloured(n: int, axes: int, gain: Callable[[Any], Any], seed: int = 0) -> Samples:
    """Return windows of Gaussian noise whose amplitude is `gain` of the share of half the sampling rate."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=(n, 4 * N, axes)), axis=1)
    f = np.maximum(np.arange(spectrum.shape[1]), 1)[:, None] / spectrum.shape[1]
    return np.fft.irfft(spectrum * gain(f), axis=1)[:, :N].astype(np.float32)


def bilinear(n: int, axes: int, order: int, cut_off: float) -> Samples:
    """Return noise behind a digital Butterworth low-pass, which has its zeros at half the sampling rate."""
    edge = np.tan(np.pi / 2 * cut_off)
    return coloured(
        n, axes, lambda f: 1 / np.sqrt(1 + (np.tan(np.pi / 2 * np.minimum(f, 0.9999)) / edge) ** (2 * order))
    )


def white(n: int, axes: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(size=(n, N, axes)).astype(np.float32)


def machine(n: int, axes: int = 1, seed: int = 0) -> Samples:
    """Return windows of a shaft with three harmonics and of a resonance."""
    rng = np.random.default_rng(seed)
    t = np.arange(n * N)
    shaft = sum(a * np.sin(2 * np.pi * k * 0.011 * t + k) for k, a in ((1, 1.0), (2, 0.5), (3, 0.4)))
    ringing = np.convolve(
        rng.normal(size=n * N), np.sin(2 * np.pi * 0.23 * np.arange(60)) * 0.93 ** np.arange(60), "same"
    )
    each = [shaft * (1 + 0.2 * axis) + 0.3 * ringing for axis in range(axes)]
    return np.stack(each, axis=1).reshape(n, N, axes).astype(np.float32)


def share(windows: Samples) -> float:
    return float(np.mean(chances(centre(windows)) >= CHANCE))


NOISE: dict[str, Callable[[int, int], Any]] = {
    "white": lambda n, axes: white(n, axes),
    "laplacian": lambda n, axes: np.random.default_rng(0).laplace(size=(n, N, axes)),
    "uniform": lambda n, axes: np.random.default_rng(0).uniform(-1, 1, (n, N, axes)),
    "blue": lambda n, axes: coloured(n, axes, lambda f: f**0.5),
    "pink": lambda n, axes: coloured(n, axes, lambda f: f**-0.5),
    "brown": lambda n, axes: coloured(n, axes, lambda f: f**-1.0),
    "white above a corner": lambda n, axes: coloured(n, axes, lambda f: np.sqrt(1 + (0.02 / f) ** 2)),
    "first-order roll-off": lambda n, axes: coloured(n, axes, lambda f: 1 / np.sqrt(1 + (f / 0.4) ** 2)),
    "fourth-order roll-off": lambda n, axes: coloured(n, axes, lambda f: 1 / np.sqrt(1 + (f / 0.5) ** 8)),
    "first-order roll-off near the top": lambda n, axes: bilinear(n, axes, 1, 0.9),
    "second-order roll-off near the top": lambda n, axes: bilinear(n, axes, 2, 0.9),
    "fourth-order roll-off near the top": lambda n, axes: bilinear(n, axes, 4, 0.9),
    "roll-off of a resampler": lambda n, axes: coloured(n, axes, lambda f: np.clip((0.96 - f) / 0.09, 1e-3, 1)),
    "edge of a digital filter": lambda n, axes: coloured(n, axes, lambda f: 1e-3 + (f < 0.5)),
    "one for all axes": lambda n, axes: np.repeat(white(n, 1), axes, axis=2),
    "one half for all axes": lambda n, axes: white(n, axes) + white(n, 1, seed=1),
    "converter, 1 LSB": lambda n, axes: np.rint(white(n, axes)),
    "converter, 3 LSB": lambda n, axes: np.rint(3 * white(n, axes)),
}


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("kind", NOISE)
def test_noise_is_noise_whatever_its_kind_and_level(kind: str, axes: int) -> None:
    windows = NOISE[kind](60, axes).astype(np.float32)
    assert share(windows) > 0.7  # of windows judged alone
    watch = NoiseWatch()
    level = 1000 / float(np.abs(windows).max())
    counts = [np.rint(1000 * level * window).astype(np.int32) for window in windows]
    found = [watch.is_noise(k * N, each, centre(windows[k : k + 1])) for k, each in enumerate(counts)]
    assert np.mean(found[10:]) > 0.9 and sum(found) >= 48
    np.testing.assert_allclose(
        chances(centre(windows[:8])), chances(centre(windows[:8] * np.float32(1e-3))), rtol=0.02, atol=1e-9
    )


@pytest.mark.parametrize("axes", [1, 3])
def test_a_machine_is_none_down_to_minus_4_db(axes: int) -> None:
    windows = machine(50, axes)
    rng = np.random.default_rng(1)
    assert share(windows) == 0.0
    for kind in NOISE_KINDS:
        assert share(add_noise(windows, 0.0, rng, kind)) == 0.0, kind
        assert share(add_noise(windows, -4.0, rng, kind)) <= 0.02, kind


def test_a_weak_line_on_one_of_three_axes_is_enough() -> None:
    windows = white(50, 3)
    windows[:, :, 1] += 0.35 * np.sin(2 * np.pi * 0.05 * np.arange(N))
    assert share(windows) < 0.1


@pytest.mark.parametrize("axes", [1, 3])
def test_a_machine_at_the_top_of_a_spectrum_that_rolls_off_there_is_none(axes: int) -> None:
    noise = bilinear(50, axes, 2, 0.9)
    assert share(noise) > 0.7
    line = noise.copy()
    line[:, :, 0] += 0.2 * noise.std() * np.sin(np.pi * 0.93 * np.arange(N))[None]
    assert share(line) < 0.1
    resonance = coloured(50, axes, lambda f: 3 * np.exp(-(((f - 0.92) / 0.02) ** 2)), seed=1)
    assert share(noise + resonance) < 0.1


def test_lengths_that_are_no_power_of_two_and_odd_ones() -> None:
    for n in (LEAST_SAMPLES + 1, 1500, 5001):
        noise = np.random.default_rng(n).normal(size=(30, n, 2)).astype(np.float32)
        assert share(noise) > 0.7
        noise[:, :, 0] += np.sin(0.3 * np.arange(n))
        assert share(noise) == 0.0


def test_shorter_windows_that_roll_off_at_the_top_have_a_chance_too() -> None:
    noise = bilinear(20, 3, 1, 0.9)
    for n in (200, 300, 400, 512, 700):
        found = chances(centre(noise[:, :n]))
        assert ((found >= 0) & (found <= 1)).all(), n


def test_a_dead_axis_and_an_empty_signal_have_a_chance_too() -> None:
    windows = white(2, 2)
    windows[:, :, 1] = 0.0
    assert np.isfinite(chances(centre(windows))).all()
    assert np.isfinite(chances(centre(np.zeros((1, N, 1), np.float32)))).all()


def test_one_window_is_judged_as_among_others_and_its_spectrum_serves_novelty_too() -> None:
    windows = np.concatenate([white(2, 3), machine(2, 3)])
    alone = [centre(windows[index : index + 1]) for index in range(4)]
    np.testing.assert_allclose([chances(each)[0] for each in alone], chances(centre(windows)), rtol=1e-4)
    np.testing.assert_allclose(
        np.concatenate([features_of(each, 24) for each in alone]), features(windows, 24), rtol=1e-5, atol=1e-6
    )


def test_tails_are_those_of_the_exact_distributions() -> None:
    stats = pytest.importorskip("scipy.stats", reason="exact tails need the extra `train`")
    for shape in (1, 2, 3, 6):
        assert module._gamma_tail(12.0, shape) == pytest.approx(stats.gamma.sf(12.0, shape), rel=1e-9)
    many = 10**9  # lines in a band: its mean is Gaussian
    for free in (5, 20, 60):
        x = stats.chi2.isf(0.003, free)
        assert module._bands_tail(x, free, many) == pytest.approx(0.003, rel=0.1)


# --- window by window --------------------------------------------------------------------------------------------


def said(watch: NoiseWatch, windows: Samples, first: int = 0, hop: int | None = None) -> list[bool]:
    hop = hop or windows.shape[1]
    counts = np.rint(windows * 1000).astype(np.int32)
    return [
        watch.is_noise(first + index * hop, counts[index], centre(windows[index : index + 1]))
        for index in range(len(windows))
    ]


def test_after_some_windows_of_noise_hardly_any_is_a_machine_and_a_machine_still_is() -> None:
    watch = NoiseWatch()
    noise = white(2000, 1, seed=3)
    found = said(watch, noise)
    assert np.mean(found) > 0.998 > share(noise)
    assert not any(said(watch, add_noise(machine(20), 0.0, np.random.default_rng(0))))


def test_a_bundle_that_looks_like_noise_is_left_alone() -> None:
    assert not any(said(NoiseWatch(NEVER), white(20, 1)))
    higher = NoiseWatch(0.3)
    assert 0.2 < np.mean(said(higher, white(300, 1))) < 0.9


def cut(samples: Samples, window: int, hop: int) -> Samples:
    starts = np.arange(0, len(samples) - window + 1, hop)
    return np.stack([samples[start : start + window] for start in starts])


def test_short_windows_are_judged_with_those_before_them() -> None:
    windows = cut(white(4, 2).reshape(-1, 2), 256, 128)
    watch = NoiseWatch()
    found = said(watch, windows, hop=128)
    assert found[:6] == [False] * 6 and all(found[6:])
    # a gap, and everything begins anew
    assert said(watch, windows[:8], first=10**6, hop=128) == [False] * 6 + [True] * 2
    watch.reset()
    assert not any(said(watch, windows[:6], first=10**6 + 8 * 128, hop=128))
    of_machine = cut(machine(4, 2).reshape(-1, 2), 256, 128)
    assert not any(said(NoiseWatch(), of_machine, hop=128))


@pytest.mark.parametrize("limit", [None, 0.3, NEVER])
def test_what_windows_show_together_changes_nothing(limit: float | None) -> None:
    noise, knocked = white(30, 1, seed=7), white(30, 1, seed=8) + machine(30, 1)
    knocked[:, 300] += 100
    windows = np.concatenate([noise, knocked])[np.random.default_rng(0).permutation(60)].astype(np.float32)
    windows[:20] = noise[:20]  # so many in a row that the limit becomes lower
    one, other = NoiseWatch(limit), NoiseWatch(limit)
    counts, alone = np.zeros((N, 1), np.int16), [centre(window[None]) for window in windows]
    signs = one.signs(centre(windows), N)
    found = [one.is_noise(n * N, counts, each, seen) for n, (each, seen) in enumerate(zip(alone, signs, strict=True))]
    assert found == [other.is_noise(n * N, counts, each) for n, each in enumerate(alone)]
    assert limit == NEVER or {*found} == {True, False}
    assert one.signs(centre(windows), N + 1) == one.signs(centre(windows[:, :512]), 512)[:60] == [None] * 60
