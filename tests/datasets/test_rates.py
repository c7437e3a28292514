from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.datasets.anti_alias import design_decimation
from drsn_edge.datasets.damage import check_damage
from drsn_edge.datasets.rates import at_one_rate, at_rate, stretches_at_rate
from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import Recording
from drsn_edge.verdicts import STUCK

pytest.importorskip("scipy.signal")

Make = Callable[..., Recording]


@pytest.fixture
def at_rates(make_recording: Make) -> Callable[..., list[Recording]]:
    """Return recordings with these rates in Hz, named a, b, c, ..."""

    def make(*rates_hz: float, labels: str = "") -> list[Recording]:
        names = zip("abcdefgh", rates_hz, labels or "x" * len(rates_hz), strict=False)
        return [make_recording(name, round(6 * hz), label, sample_rate_hz=hz) for name, hz, label in names]

    return make


def test_one_rate_is_left_as_it_is(at_rates: Any) -> None:
    recordings = at_rates(1000.0, 1001.0, 1000.0)
    found = at_one_rate(recordings)
    assert all(ours is theirs for ours, theirs in zip(found.recordings, recordings, strict=True))
    assert (found.sample_rate_hz, found.changes, found.doubts) == (1000.0, (), ())


@pytest.mark.parametrize(
    ("rates_hz", "expected_hz", "decimated"),
    [
        ((3086.0, 3203.0), 3144.5, {False}),
        ((3086.0, 3203.0, 3203.0), 3203.0, {False}),
        ((3086.0, 3203.0, 3290.0), 3203.0, {False}),
        ((12000.0, 48000.0, 12000.0), 12000.0, {True}),
        ((12000.0, 48000.0, 48000.0, 48000.0), 12000.0, {True}),
        ((97656.0, 48828.0), 48828.0, {True}),
        ((25600.0, 12800.0), 12800.0, {True}),
        ((51200.0, 20000.0), 20000.0, {True}),
        ((48000.0, 44100.0), 44100.0, {True}),
        ((12000.0, 11700.0, 49000.0), 11850.0, {True, False}),
    ],
)
def test_the_lowest_rates_decide(at_rates: Any, rates_hz: Any, expected_hz: float, decimated: set[bool]) -> None:
    recordings = at_rates(*rates_hz)
    found = at_one_rate(recordings)
    assert found.sample_rate_hz == pytest.approx(expected_hz, rel=1e-6)
    assert {change.decimated for change in found.changes} == decimated
    for ours, theirs in zip(found.recordings, recordings, strict=True):
        assert ours.sample_rate_hz == pytest.approx(expected_hz, rel=0.002)
        assert ours.duration_s == pytest.approx(theirs.duration_s, abs=300 / expected_hz)
        assert (ours.name, ours.label, ours.samples.dtype) == (theirs.name, theirs.label, np.float32)


def test_what_was_done_is_told(at_rates: Any) -> None:
    found = at_one_rate(at_rates(12000.0, 48000.0, 48010.0, 11800.0, 11800.0, 24000.0))
    assert [str(change) for change in found.changes] == [
        "1 recording at 12000 Hz was resampled to 11800 Hz.",
        "1 recording at 24000 Hz was decimated to 11800 Hz.",
        "2 recordings at 48000 to 48010 Hz were decimated to 11800 Hz.",
    ]
    assert found.changes[2].to_json() == {
        "recordings": ["b", "c"], "from_hz": [48000.0, 48010.0], "to_hz": 11800.0, "decimated": True,
        "in_words": "2 recordings at 48000 to 48010 Hz were decimated to 11800 Hz.",
    }  # fmt: skip


def test_a_rate_can_be_asked_for(at_rates: Any) -> None:
    found = at_one_rate(at_rates(12000.0, 48000.0), 3000.0)
    assert {each.sample_rate_hz for each in found.recordings} == {3000.0}
    assert [change.from_hz for change in found.changes] == [(12000.0, 12000.0), (48000.0, 48000.0)]


def test_no_recording_is_taken_to_a_higher_rate(at_rates: Any) -> None:
    with refused(SplitError, "rate_too_high", recording="a", got=13000.0, most=12000.0) as caught:
        at_one_rate(at_rates(12000.0, 48000.0), 13000.0)
    assert "--rate 12000" in str(caught.value)


def test_a_rate_that_is_far_off_needs_to_be_asked_for(at_rates: Any) -> None:
    recordings = at_rates(12000.0, 1200.0)
    facts: dict[str, Any] = {"recordings": ("b", "a"), "values": (1200.0, 12000.0)}
    with refused(SplitError, "mixed_recordings", what="sample_rate_hz", **facts) as caught:
        at_one_rate(recordings)
    assert "--rate 1200" in str(caught.value)
    assert at_one_rate(recordings, 1200.0).sample_rate_hz == 1200.0


def test_beyond_64_times_it_is_refused(at_rates: Any) -> None:
    with refused(SplitError, "rate_too_low", recording="b", got=100.0, least=6700 / 64):
        at_one_rate(at_rates(100.0, 6700.0), 100.0)


def test_a_recording_that_is_too_short_is_named(make_recording: Make) -> None:
    recordings = [make_recording("a"), make_recording("b", 700, sample_rate_hz=4000.0)]
    with refused(SplitError, "too_short", recording="b", got=700):
        at_one_rate(recordings)


@pytest.mark.parametrize(("labels", "told"), [("nff", True), ("nfn", False), ("fff", False)])
def test_a_class_that_its_rate_gives_away_is_told(at_rates: Any, labels: str, *, told: bool) -> None:
    found = at_one_rate(at_rates(48000.0, 12000.0, 12000.0, labels=labels))
    assert [(doubt.kind, doubt.facts["labels"]) for doubt in found.doubts] == ([("rate", ["n"])] if told else [])


def test_without_a_filter_a_high_rate_stays(at_rates: Any) -> None:
    (recording,) = at_rates(48000.0)
    assert at_rate(recording, 12000.0, None) is recording
    assert at_rate(recording, 12000.0, design_decimation()).sample_rate_hz == 12000.0


@pytest.mark.parametrize("rate_hz", [48_000.0, 12_300.0, 12_000.0])
def test_stretches_are_those_that_nothing_else_reaches(make_recording: Make, rate_hz: float) -> None:
    recording = make_recording("a", 40_000, sample_rate_hz=rate_hz)
    spoilt = recording.samples.copy()
    spoilt[:10_000], spoilt[25_000:] = np.nan, np.nan
    after = at_rate(replace(recording, samples=spoilt), 12_000.0, design_decimation())
    ((begin, end),) = stretches_at_rate(recording, 12_000.0, [(10_000, 25_000)])
    sound = np.flatnonzero(np.isfinite(after.samples[:, 0]))
    assert sound[0] <= begin <= sound[0] + 1 and sound[-1] - 1 <= end - 1 <= sound[-1]
    assert len(sound) == sound[-1] - sound[0] + 1 > 0


def test_too_short_a_stretch_leaves_nothing(make_recording: Make) -> None:
    assert stretches_at_rate(make_recording("a", 4000, sample_rate_hz=4000.0), 1000.0, [(0, 700)]) == ()


def test_damage_is_found_before_the_filter_and_kept_out_after_it(make_recording: Make) -> None:
    recording = make_recording("a", 60_000, sample_rate_hz=4000.0)
    recording.samples[30_000:30_200] = 0.5
    (damage,) = check_damage([recording], 1024, 512, 1.0, rate_hz=1000.0)
    assert damage.reasons.keys() == {STUCK} and len(damage.sound) == 2
    (_, first_end), (second_begin, _) = damage.sound
    margin = design_decimation().margin(4.0)
    assert first_end <= (30_000 - 2 * margin) / 4 and second_begin >= 30_200 / 4
    after = at_rate(recording, 1000.0, design_decimation())
    spoilt = recording.samples.copy()
    spoilt[30_000:30_200] = 99.0
    other = at_rate(replace(recording, samples=spoilt), 1000.0, design_decimation())
    for begin, end in damage.sound:
        np.testing.assert_array_equal(after.samples[begin:end], other.samples[begin:end])
