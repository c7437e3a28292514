from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drsn_edge.datasets.span import Span
from drsn_edge.datasets.windows import (
    WindowSet,
    cut_spans,
    draw_spans,
    pick_per_class,
    resample_windows,
    with_random_noise,
)

LABELS = ("calm", "worn")
OUTSIDE = np.float32(1e30)


def walled(make_recording: Any, start: int, stop: int, n: int, label: str = "calm") -> Span:
    """Return a span whose recording holds a huge value everywhere but in it; in it the sample's index."""
    samples = np.full((n, 2), OUTSIDE)
    samples[start:stop] = np.arange(start, stop, dtype=np.float32)[:, None]
    return Span(make_recording(f"{label}{start}", label=label, samples=samples), start, stop)


def test_cut_spans_by_hand(make_recording: Any) -> None:
    spans = [walled(make_recording, 10, 31, 50, "worn"), walled(make_recording, 0, 10, 20)]
    result = cut_spans(spans, LABELS, window=10, hop=5)
    assert len(result) == 4
    assert result.windows.shape == (4, 10, 2)
    assert result.first_samples.tolist() == [10, 15, 20, 0]
    assert result.labels.tolist() == [1, 1, 1, 0]
    assert result.recordings.tolist() == ["worn10", "worn10", "worn10", "calm0"]
    np.testing.assert_array_equal(result.windows[1, :, 0], np.arange(15, 25))


@given(
    start=st.integers(0, 40),
    length=st.integers(1, 200),
    after=st.integers(0, 40),
    window=st.integers(1, 64),
    hop=st.integers(1, 80),
    speed_range=st.floats(0, 0.5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=400, deadline=None)
def test_drawn_windows_never_leave_their_span(
    make_recording: Any, start: int, length: int, after: int, window: int, hop: int, speed_range: float, seed: int
) -> None:
    length = max(length, window)
    span = walled(make_recording, start, start + length, start + length + after)
    drawn = draw_spans([span], LABELS, window, hop, speed_range, np.random.default_rng(seed))
    assert drawn.windows.shape == (len(cut_spans([span], LABELS, window, hop)), window, 2)
    assert drawn.windows.min() >= start - 0.01
    assert drawn.windows.max() <= start + length - 1 + 0.01
    assert (drawn.first_samples >= start).all()


def test_drawn_windows_move_and_change_speed(make_recording: Any) -> None:
    span = walled(make_recording, 0, 10_000, 10_000)
    rng = np.random.default_rng(0)
    drawn = draw_spans([span], LABELS, 100, 50, 0.1, rng)
    speeds = np.diff(drawn.windows[:, :, 0], axis=1).mean(axis=1)
    assert 0.9 <= speeds.min() < 0.93 and 1.07 < speeds.max() <= 1.1
    moved = (drawn.first_samples - np.arange(len(drawn)) * 50)[:-3]
    assert moved.min() >= 0 and 40 < moved.max() < 50
    again = draw_spans([span], LABELS, 100, 50, 0.1, rng)
    assert (again.first_samples != drawn.first_samples).any()


def test_drawn_windows_without_a_change_of_speed_are_copies(make_recording: Any) -> None:
    recording = make_recording("a", 1000)
    drawn = draw_spans([Span(recording, 100, 900)], LABELS, 64, 32, 0.0, np.random.default_rng(0))
    for window, first in zip(drawn.windows, drawn.first_samples, strict=True):
        np.testing.assert_array_equal(window, recording.samples[first : first + 64])


def test_windows_of_spans_of_one_window_stay_where_they_are(make_recording: Any) -> None:
    recording = make_recording("a", 1000)
    span = Span(recording, 936, 1000)
    drawn = draw_spans([span], LABELS, 64, 32, 0.3, np.random.default_rng(0))
    assert drawn.first_samples.tolist() == [936]
    np.testing.assert_array_equal(drawn.windows[0], recording.samples[936:])


def test_resampling_at_speed_one_copies_to_the_bit() -> None:
    samples = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    starts = np.array([0, 7, 200])
    result = resample_windows(samples, starts, np.ones(3), 100)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.stack([samples[start : start + 100] for start in starts]))


def test_resampling_is_linear_interpolation() -> None:
    samples = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    starts, speeds = np.array([0, 50, 120]), np.array([0.75, 1.3, 1.5])
    result = resample_windows(samples, starts, speeds, 100)
    for window, start, speed in zip(result, starts, speeds, strict=True):
        for axis in range(2):
            expected = np.interp(start + speed * np.arange(100), np.arange(300), samples[:, axis])
            np.testing.assert_allclose(window[:, axis], expected, atol=1e-4)


def test_resampling_moves_a_line_by_the_speed() -> None:
    tone = np.sin(2 * np.pi * 0.05 * np.arange(4000)).astype(np.float32)[:, None]
    window = resample_windows(tone, np.array([0]), np.array([1.2]), 2000)[0, :, 0]
    assert np.argmax(np.abs(np.fft.rfft(window))) == 120  # 0.05 * 1.2 * 2000


def window_set(labels: list[int]) -> WindowSet:
    n = len(labels)
    windows = np.arange(n, dtype=np.float32)[:, None, None] * np.ones((1, 4, 1), np.float32)
    return WindowSet(
        windows, np.array(labels), np.array([f"r{i}" for i in range(n)]), np.arange(n) * 10, np.full(n, 25.0)
    )


def test_pick_per_class_takes_so_many_of_each_in_order() -> None:
    windows = window_set([0, 1, 0, 2, 0, 1, 0, 0])
    picked = pick_per_class(windows, 2, np.random.default_rng(0))
    assert sorted(picked.labels.tolist()) == [0, 0, 1, 1, 2]
    chosen = picked.windows[:, 0, 0].astype(int)
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(picked.labels, windows.labels[chosen])
    np.testing.assert_array_equal(picked.recordings, windows.recordings[chosen])
    np.testing.assert_array_equal(picked.first_samples, windows.first_samples[chosen])


def test_pick_per_class_draws_without_repeats_and_from_all() -> None:
    windows = window_set([0] * 20)
    rng = np.random.default_rng(0)
    seen = {tuple(pick_per_class(windows, 3, rng).first_samples) for _ in range(50)}
    assert all(len(set(picked)) == 3 for picked in seen)
    assert {sample for picked in seen for sample in picked} == set(windows.first_samples.tolist())


def added_snr_db(clean: Any, noisy: Any) -> Any:
    """Return the SNR of each window, measured."""
    noise = (noisy.astype(np.float64) - clean).var(axis=(1, 2))
    return 10 * np.log10(clean.astype(np.float64).var(axis=1).mean(axis=1) / noise)


def test_random_noise_has_the_snr_drawn_and_spares_a_share() -> None:
    windows = np.random.default_rng(1).normal(3.0, 2.0, (400, 512, 2)).astype(np.float32)
    noisy = with_random_noise(windows, ("gaussian",), (-6.0, 12.0), 0.25, np.random.default_rng(0))
    spared = (noisy == windows).all(axis=(1, 2))
    assert 0.18 < spared.mean() < 0.32
    snr_db = added_snr_db(windows[~spared], noisy[~spared])
    assert -6.5 < snr_db.min() < -5 and 11 < snr_db.max() < 12.5
    assert abs(snr_db.mean() - 3.0) < 1.0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_random_noise_on_all_or_none(share: float) -> None:
    windows = np.random.default_rng(1).normal(size=(50, 64, 1)).astype(np.float32)
    noisy = with_random_noise(windows, ("gaussian",), (0.0, 0.0), share, np.random.default_rng(0))
    assert (noisy == windows).all(axis=(1, 2)).mean() == share
    assert noisy.dtype == np.float32


def test_each_window_draws_its_kind_of_noise() -> None:
    """Impulsive noise leaves most samples of a window as they were; Gaussian noise leaves none."""
    windows = np.random.default_rng(1).standard_normal((400, 128, 1)).astype(np.float32)
    noisy = with_random_noise(windows, ("gaussian", "impulsive"), (0.0, 0.0), 0.0, np.random.default_rng(0))
    untouched = (noisy == windows).mean(axis=(1, 2))
    assert 0.4 < (untouched > 0.8).mean() < 0.6
    assert ((untouched > 0.8) | (untouched < 0.01)).all()
