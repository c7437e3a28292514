"""The windower against a plain list of what was sent and what was lost."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from drsn_edge.monitor.stages.windower import Windower
from drsn_edge.signal.windows import Window
from firmware_bridge.wire.events import SampleBlock

RATE_HZ = 4000.0
N_AXES = 2

PIECES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=30)
"""(samples lost before, samples) of each block."""


def sample(index: NDArray[np.int64]) -> NDArray[np.int16]:
    """Return what the sensor measured at these indices: never 0, so that a gap cannot pass for a sample."""
    return np.stack([index % 30_000 + 1, -(index % 29_989) - 1], axis=1).astype(np.int16)


def feed(windower: Windower, pieces: list[tuple[int, int]], start: int = 0) -> list[Window]:
    windows, position = [], start
    for lost, n in pieces:
        position += lost
        counts = sample(np.arange(position, position + n))
        windows += windower.add(position, position / RATE_HZ, counts, lost)
        position += n
    return windows


@dataclass
class Expected:
    first_sample: int
    lost: int
    there: NDArray[np.bool_] | None
    """Which samples are there; None for the window that stands for a long gap."""


def expected_windows(pieces: list[tuple[int, int]], window: int, hop: int, start: int = 0) -> list[Expected]:
    """Cut the list of what was received by definition: a stretch without long gaps has one grid."""
    stretches: list[list[bool]] = [[]]
    long_gaps, starts, position = [], [start + pieces[0][0]], start
    for index, (lost, n) in enumerate(pieces):
        if index and lost > window:
            long_gaps.append(lost)
            stretches.append([])
            starts.append(position + lost)
        elif index:
            stretches[-1] += [False] * lost
        stretches[-1] += [True] * n
        position += lost + n
    expected = []
    for number, (first, there) in enumerate(zip(starts, map(np.array, stretches), strict=True)):
        grid = list(range(0, len(there) - window + 1, hop))
        cuts = [there[begin : begin + window] for begin in grid]
        expected += [Expected(first + begin, int((~cut).sum()), cut) for begin, cut in zip(grid, cuts, strict=True)]
        if number < len(long_gaps):
            rest = min(len(grid) * hop, len(there))
            expected.append(Expected(first + rest, int((~there[rest:]).sum()) + long_gaps[number], None))
    return expected


@given(pieces=PIECES, window=st.integers(1, 30), hop=st.integers(1, 50), start=st.integers(0, 2**40))
def test_windows_are_those_of_the_definition(pieces: list[tuple[int, int]], window: int, hop: int, start: int) -> None:
    """Any blocks, any gaps, hop shorter or longer than the window."""
    found = feed(Windower(window, hop, RATE_HZ), pieces, start)
    expected = expected_windows(pieces, window, hop, start)
    assert [(w.first_sample, w.lost_samples) for w in found] == [(e.first_sample, e.lost) for e in expected]
    for one, true in zip(found, expected, strict=True):
        assert one.counts.shape == (window, N_AXES) and one.counts.dtype == np.int16
        assert one.device_time_s == pytest.approx(one.first_sample / RATE_HZ, abs=1e-6)
        if true.there is None:
            assert one.lost_samples > window
            assert not one.counts.any()
        else:
            truth = sample(np.arange(one.first_sample, one.first_sample + window)) * true.there[:, None]
            np.testing.assert_array_equal(one.counts, truth)


@given(cuts=st.lists(st.integers(1, 60), min_size=1, max_size=20), window=st.integers(1, 40), hop=st.integers(1, 60))
def test_the_way_of_cutting_into_blocks_does_not_matter(cuts: list[int], window: int, hop: int) -> None:
    found = feed(Windower(window, hop, RATE_HZ), [(0, n) for n in cuts])
    at_once = feed(Windower(window, hop, RATE_HZ), [(0, sum(cuts))])
    assert [(w.first_sample, w.counts.tobytes(), w.lost_samples) for w in found] == [
        (w.first_sample, w.counts.tobytes(), w.lost_samples) for w in at_once
    ]
    assert [w.first_sample for w in found] == list(range(0, sum(cuts) - window + 1, hop))


@given(pieces=PIECES, window=st.integers(1, 30), data=st.data())
def test_overlapping_windows_show_every_lost_sample(
    pieces: list[tuple[int, int]], window: int, data: st.DataObject
) -> None:
    """With hop <= window each lost sample makes some window damaged, once the stream has gone on for a window."""
    hop = data.draw(st.integers(1, window))
    windows = feed(Windower(window, hop, RATE_HZ), [*pieces, (0, 2 * window)])
    damaged = [w for w in windows if w.lost_samples]
    position = 0
    for index, (lost, n) in enumerate(pieces):
        for missing in range(position, position + lost) if index else ():
            assert any(
                w.first_sample <= missing < w.first_sample + max(window, w.lost_samples + window) for w in damaged
            )
        position += lost + n


def test_the_first_block_sets_the_grid_whatever_was_lost_before_it() -> None:
    windows = feed(Windower(10, 5, RATE_HZ), [(1000, 20)])
    assert [(w.first_sample, w.lost_samples) for w in windows] == [(1000, 0), (1005, 0), (1010, 0)]


def test_the_first_whole_window_behind_a_gap_is_clean_again() -> None:
    windows = feed(Windower(10, 5, RATE_HZ), [(0, 20), (3, 30)])
    assert [(w.first_sample, w.lost_samples) for w in windows] == [
        (0, 0), (5, 0), (10, 0), (15, 3), (20, 3), (25, 0), (30, 0), (35, 0), (40, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("lost", "firsts"), [(10, [0, 5, 10, 15, 20, 25, 30]), (11, [0, 5, 10, 15, 31])])
def test_a_gap_longer_than_a_window_begins_a_new_grid(lost: int, firsts: list[int]) -> None:
    windows = feed(Windower(10, 5, RATE_HZ), [(0, 20), (lost, 10)])
    assert [w.first_sample for w in windows] == firsts
    assert [w.lost_samples for w in windows][:3] == [0, 0, 0]
    assert max(w.lost_samples for w in windows) == lost
    assert {type(w.lost_samples) for w in windows} == {int}  # JSON takes no other


@pytest.mark.parametrize("hop", [3, 10, 1000])
def test_a_huge_gap_needs_no_memory(hop: int) -> None:
    windower = Windower(10, hop, RATE_HZ)
    feed(windower, [(0, 25)])
    tracemalloc.start()
    windows = feed(windower, [(2**50, 25)], start=25)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
    assert windows[0].lost_samples == 2**50
    assert windows[1].first_sample == 25 + 2**50 and windows[1].lost_samples == 0


def test_what_is_between_two_distant_windows_is_not_kept() -> None:
    windower = Windower(10, 10**9, RATE_HZ)
    tracemalloc.start()
    windows = feed(windower, [(0, 100)] * 2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(windows) == 1
    assert peak < 400_000  # 2000 blocks are 800 kB


def test_a_reset_begins_anew() -> None:
    windower = Windower(10, 5, RATE_HZ)
    feed(windower, [(0, 9)])
    windower.reset()
    assert feed(windower, [(7, 9)]) == []
    assert [w.first_sample for w in feed(windower, [(0, 1)], start=16)] == [7]


def test_no_window_changes_after_it_was_given_out() -> None:
    windower = Windower(10, 2, RATE_HZ)
    early = feed(windower, [(0, 30), (2, 30)])
    before = [w.counts.copy() for w in early]
    feed(windower, [(0, 50), (1, 50)], start=62)
    for window, copy in zip(early, before, strict=True):
        np.testing.assert_array_equal(window.counts, copy)


# --- seams of unknown size -------------------------------------------------------------------------------------------


def test_no_window_reaches_across_an_overrun_of_estimated_size_0_unsaid() -> None:
    windower = Windower(10, 5, RATE_HZ)
    windows = windower.take(block(0, 23)) + windower.take(block(23, 20, overrun=True))
    assert [(w.first_sample, w.has_seam) for w in windows] == [
        (0, False), (5, False), (10, False), (15, True), (20, True), (25, False), (30, False),
    ]  # fmt: skip
    assert not any(w.lost_samples for w in windows)


@given(
    pieces=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 40)), min_size=1, max_size=30),
    window=st.integers(1, 30),
    hop=st.integers(1, 50),
)
def test_a_window_has_a_seam_if_and_only_if_an_overrun_is_inside(
    pieces: list[tuple[int, bool, int]], window: int, hop: int
) -> None:
    windower, found, seams, position = Windower(window, hop, RATE_HZ), [], [], 0
    for index, (lost, overrun, n) in enumerate(pieces):
        position += lost
        found += windower.take(block(position, n, lost, overrun))
        if overrun and index:
            seams.append(position)
        position += n
    for one in found:
        inside = any(one.first_sample < at < one.first_sample + window for at in seams)
        if one.lost_samples <= window and not (one.lost_samples and not one.counts.any()):
            assert one.has_seam == inside


def block(first: int, n: int, lost: int = 0, overrun: bool = False) -> SampleBlock:
    return SampleBlock(first, first / RATE_HZ, sample(np.arange(first, first + n)), lost, overrun)
