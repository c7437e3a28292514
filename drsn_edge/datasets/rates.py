"""Sampling rates: recordings with different rates in, recordings with one rate and what was done to them out.

Recordings within 4 % of the chosen rate are resampled as the monitor resamples a sensor. Recordings with a higher rate
are decimated by the filter that travels in the bundle, so that a sensor with that rate gives the same windows. No
recording is ever taken to a higher rate, where it would hold an empty band.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from drsn_edge.datasets.anti_alias import design_decimation
from drsn_edge.datasets.doubts import Doubt
from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.decimation import MOST_RATIO, Decimation
from drsn_edge.signal.resampling import FOLLOW, LIMIT, at_rate_of_model, cut_for, factor_of, is_decimated, nearly_whole
from drsn_edge.support.wording import counted

MOST_UNASKED = 8
"""Highest ratio of decimation without --rate: a rate that is far too low is more often a wrong one."""


@dataclass(frozen=True)
class RateChange:
    """What was done to the rate of some recordings.

    Attributes:
        recordings: Their names.
        from_hz: Their lowest and their highest rate before, in Hz.
        to_hz: Their rate now, in Hz.
        decimated: Whether they were decimated; if not, they were resampled by a few percent.
    """

    recordings: tuple[str, ...]
    from_hz: tuple[float, float]
    to_hz: float
    decimated: bool

    def __str__(self) -> str:
        """Return a sentence."""
        before = " to ".join(dict.fromkeys(f"{hz:.6g}" for hz in self.from_hz))
        verb = "was" if len(self.recordings) == 1 else "were"
        how = "decimated" if self.decimated else "resampled"
        return f"{counted(len(self.recordings), 'recording')} at {before} Hz {verb} {how} to {self.to_hz:.6g} Hz."

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, the sentence included."""
        values = asdict(self)
        return {**values, "recordings": list(self.recordings), "from_hz": list(self.from_hz), "in_words": str(self)}


@dataclass(frozen=True)
class OneRate:
    """Recordings with one sampling rate.

    Attributes:
        recordings: The recordings, in the order in which they came. Rates within `FOLLOW` of each other stay.
        sample_rate_hz: The rate, in Hz.
        changes: What was done; empty if nothing was.
        doubts: A doubt about classes that differ from all others by their rate.
    """

    recordings: tuple[Recording, ...]
    sample_rate_hz: float
    changes: tuple[RateChange, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def at_one_rate(recordings: Sequence[Recording], sample_rate_hz: float | None = None) -> OneRate:
    """Return recordings at one sampling rate.

    Args:
        recordings: Recordings, at least one.
        sample_rate_hz: Rate to take them to, in Hz; None: the median of the lowest rates, which lie within 4 %.

    Raises:
        SplitError: If a recording has a lower rate than the one asked for, a rate is too many times higher, or a
            recording is too short for the filter.
    """
    rate_hz = _common_rate_hz(recordings) if sample_rate_hz is None else sample_rate_hz
    _check_rates(recordings, rate_hz, asked=sample_rate_hz is not None)
    taken = tuple(at_rate(recording, rate_hz, design_decimation()) for recording in recordings)
    changes = rate_changes(recordings, taken, rate_hz)
    return OneRate(taken, rate_hz, changes, _doubts(recordings, changes))


def at_rate(recording: Recording, rate_hz: float, decimation: Decimation | None) -> Recording:
    """Return a recording at another rate, or itself if the rate is within `FOLLOW` or out of reach.

    Raises:
        SplitError: If the recording is too short for the filter.
    """
    ratio = recording.sample_rate_hz / rate_hz
    within = abs(ratio - 1) <= LIMIT or (decimation is not None and 1 < ratio <= MOST_RATIO * (1 + LIMIT))
    if abs(ratio - 1) <= FOLLOW or not within:
        return recording
    samples = at_rate_of_model(recording.samples, ratio, decimation)
    if not len(samples):
        raise SplitError(
            f"Recording {recording.name} has {len(recording.samples)} samples, too few to be taken from "
            f"{recording.sample_rate_hz:g} to {rate_hz:g} Hz. Leave it out, or record longer.",
            "too_short",
            recording=recording.name,
            got=len(recording.samples),
        )
    return replace(recording, samples=samples, sample_rate_hz=recording.sample_rate_hz / nearly_whole(ratio))


def rate_changes(before: Sequence[Recording], after: Sequence[Recording], rate_hz: float) -> tuple[RateChange, ...]:
    """Return what was done to recordings that `at_rate` took to a rate; rates that were alike stand together."""
    groups: dict[tuple[bool, float], list[Recording]] = defaultdict(list)
    for recording, taken in zip(before, after, strict=True):
        if taken is not recording:
            ratio = recording.sample_rate_hz / rate_hz
            groups[is_decimated(ratio), _kind(ratio)].append(recording)
    return tuple(_change(group, rate_hz, decimated) for (decimated, _), group in sorted(groups.items(), key=_key))


def _key(group: tuple[tuple[bool, float], list[Recording]]) -> tuple[bool, float]:
    return group[0]


def _common_rate_hz(recordings: Sequence[Recording]) -> float:
    rates = np.array([recording.sample_rate_hz for recording in recordings])
    lowest = float(rates.min())
    near = rates[rates <= lowest * (1 + LIMIT) / (1 - LIMIT)]
    return min(float(np.median(near)), lowest / (1 - LIMIT) * (1 - 1e-9))  # the lowest itself stays within the limit


def _kind(ratio: float) -> float:
    """Return what recordings that are decimated alike have in common."""
    factor = factor_of(ratio)
    return float(factor) if abs(ratio / factor - 1) <= LIMIT else round(ratio, 3)


def _change(group: Sequence[Recording], rate_hz: float, decimated: bool) -> RateChange:
    rates = [recording.sample_rate_hz for recording in group]
    return RateChange(tuple(recording.name for recording in group), (min(rates), max(rates)), rate_hz, decimated)


def _check_rates(recordings: Sequence[Recording], rate_hz: float, *, asked: bool) -> None:
    lowest = min(recordings, key=lambda recording: recording.sample_rate_hz)
    highest = max(recordings, key=lambda recording: recording.sample_rate_hz)
    low_hz, high_hz = lowest.sample_rate_hz, highest.sample_rate_hz
    if low_hz < rate_hz * (1 - LIMIT):
        raise SplitError(
            f"--rate {rate_hz:g} is above the rate of {lowest.name} ({low_hz:g} Hz), which holds no vibration above "
            f"{low_hz / 2:g} Hz. Choose --rate {low_hz:g} or lower, or leave this recording out.",
            "rate_too_high",
            recording=lowest.name,
            got=rate_hz,
            most=low_hz,
        )
    if asked and high_hz > rate_hz * MOST_RATIO * (1 + LIMIT):
        raise SplitError(
            f"--rate {rate_hz:g} is less than a {MOST_RATIO}th of the rate of {highest.name} ({high_hz:g} Hz). Choose "
            f"--rate {high_hz / MOST_RATIO:.6g} or higher.",
            "rate_too_low",
            recording=highest.name,
            got=rate_hz,
            least=high_hz / MOST_RATIO,
        )
    if not asked and high_hz > rate_hz * MOST_UNASKED * (1 + LIMIT):
        advice = f"if that is right, type --rate {rate_hz:.6g}" if high_hz <= rate_hz * MOST_RATIO else "record again"
        raise SplitError(
            f"The recordings differ in sample_rate_hz: {lowest.name} has {low_hz:g} Hz, {highest.name} has "
            f"{high_hz:g} Hz, {high_hz / rate_hz:.3g} times the rate to train at. Correct the rate of one of them; "
            f"{advice}.",
            "mixed_recordings",
            what="sample_rate_hz",
            recordings=(lowest.name, highest.name),
            values=(low_hz, high_hz),
        )


def stretches_at_rate(
    recording: Recording, rate_hz: float, stretches: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Return which samples at another rate come from stretches of a recording alone, first sample and end of each.

    Args:
        recording: Recording before `at_rate` with the filter of a training.
        rate_hz: Rate to which it is taken, in Hz.
        stretches: First sample and end of each stretch in samples of the recording.
    """
    cut = cut_for(recording.sample_rate_hz / rate_hz, 1, 1, design_decimation())
    if cut.ratio == 1.0:
        return tuple(stretches)
    reach = 2 * cut.margin + 1
    found = ((math.ceil(a / cut.ratio), math.floor((b - reach) / cut.ratio) + 1) for a, b in stretches)
    return tuple((begin, end) for begin, end in found if begin < end)


def _doubts(recordings: Sequence[Recording], changes: Sequence[RateChange]) -> tuple[Doubt, ...]:
    decimated = {name for change in changes if change.decimated for name in change.recordings}
    labels = {recording.label for recording in recordings if recording.name in decimated}
    others = {recording.label for recording in recordings if recording.name not in decimated}
    if not decimated or labels & others or not others:
        return ()
    names = ", ".join(sorted(label or "" for label in labels))
    words = (
        f"All recordings of {names} had a higher rate than the others: the network may learn the sensor instead of the "
        "condition. Record all classes with the same sensor and settings."
    )
    return (Doubt("rate", words, {"labels": sorted(label or "" for label in labels)}),)
