"""Damage of recordings: windows that the monitor would not judge must not be trained on either.

Every window gets the monitor's own checks of its readings. A recording is judged as a whole where a window is too
short for a check. Sound windows in a row form a stretch, and spans are cut to these stretches, so that no training,
calibration or hold-out window reaches into damage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.rates import stretches_at_rate
from drsn_edge.errors import SplitError
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.quality import defect_of_readings
from drsn_edge.signal.readings import counts_of, steps_of
from drsn_edge.signal.resampling import cut_for
from drsn_edge.signal.whole import Whole
from drsn_edge.support.notice import as_line
from drsn_edge.support.wording import counted, plain
from drsn_edge.verdicts import CLIPPED, REPEATED, WRAPPED

Stretch = tuple[int, int]

_MOST_ROWS = 12

_ADVICE = {
    CLIPPED: "Record these files again with a wider range, or remove them",
    REPEATED: "Record at the rate at which the sensor measures, or keep each value once and state that rate",
    WRAPPED: "Correct the sign or the number of bits with which the readings were decoded, or remove these files",
}
"""What to do about damage with a cause that can be named."""

_LEAST_CHECKED = 512
"""Fewest samples that are checked at once: most checks need them."""

_WHOLE = 0.02
"""Largest relative difference from a whole number of repetitions that is named as one."""


@dataclass(frozen=True)
class Damage:
    """What the windows of one recording suffer from.

    Attributes:
        recording: Name of the recording.
        label: Its class.
        windows: Number of windows that were checked.
        reasons: Number of damaged windows for each reason of `drsn_edge.verdicts`.
        sound: Stretches of sound windows, first sample and end of each, in order.
        remark: What is known beyond the reasons, such as how often each value repeats; empty if nothing is.
    """

    recording: str
    label: str
    windows: int
    reasons: Mapping[str, int]
    sound: tuple[Stretch, ...]
    remark: str = ""

    @property
    def damaged(self) -> int:
        """Number of damaged windows."""
        return sum(self.reasons.values())


def damage_of(recording: Recording, window: int, hop: int) -> Damage:
    """Check every window of a recording.

    Args:
        recording: The recording.
        window: Samples per window.
        hop: Samples between window starts; windows are checked at half a window or more, and at most a window.
    """
    samples = recording.samples
    starts = _starts(len(samples), window, min(max(hop, window // 2), window))
    found, held = reasons_of(samples, starts, window)
    reasons = Counter(reason for reason in found if reason is not None)
    sound = _stretches(starts, [reason is None for reason in found], window)
    remark = "" if held is None else held_in_words(held, recording.sample_rate_hz)
    return Damage(recording.name, recording.label or "", len(starts), dict(reasons), sound, remark)


def _damage_at_rate(recording: Recording, window: int, hop: int, rate_hz: float) -> Damage:
    """Check windows of the same duration as those at the rate; sound stretches are in samples at that rate."""
    ratio = cut_for(recording.sample_rate_hz / rate_hz, 1, 1).ratio
    found = damage_of(recording, round(window * ratio), round(hop * ratio))
    return replace(found, sound=stretches_at_rate(recording, rate_hz, found.sound))


def reasons_of(
    samples: NDArray[np.float32], starts: Iterable[int], window: int
) -> tuple[list[str | None], float | None]:
    """Return why each window is damaged (None: it is sound), and how often each value repeats (None: it does not).

    Args:
        samples: Samples of one recording, or a long piece of them, shape (n, axes).
        starts: First sample of each window.
        window: Samples per window; a short one is checked together with the samples around it.
    """
    counts = counts_of(samples, steps_of(samples))
    whole, margin = Whole(counts), max(0, _LEAST_CHECKED - window) // 2
    found = []
    for start in starts:
        first, end = max(0, start - margin), start + window + margin
        reason = defect_of_readings(counts[first:end])
        if reason in (None, WRAPPED, CLIPPED):  # one of them looks like another within a window
            reason = whole.defect_of(start, start + window) or reason
        found.append(reason)
    return found, whole.held if REPEATED in found else None


def held_in_words(held: float, sample_rate_hz: float) -> str:
    """Return how often each value repeats, and the rate at which the sensor measures."""
    whole = round(held)
    if abs(held - whole) < _WHOLE * held:
        return f"each value repeats {whole} times (the sensor runs at {plain(sample_rate_hz / whole)} Hz)"
    return (
        f"each value repeats {held:.1f} times on average (the sensor runs at about {plain(sample_rate_hz / held)} Hz)"
    )


def _starts(n_samples: int, window: int, hop: int) -> list[int]:
    """Return the starts of windows that cover all samples: the last one ends with the samples."""
    if n_samples < window:
        return []
    last = n_samples - window
    return [*range(0, last, hop), last]


def _stretches(starts: Sequence[int], sound: Sequence[bool], window: int) -> tuple[Stretch, ...]:
    stretches: list[Stretch] = []
    previous = False
    for start, is_sound in zip(starts, sound, strict=True):
        if is_sound and previous:
            stretches[-1] = (stretches[-1][0], start + window)
        elif is_sound:
            stretches.append((start, start + window))
        previous = is_sound
    return tuple(stretches)


def check_damage(
    recordings: Sequence[Recording],
    window: int,
    hop: int,
    most_share: float,
    progress: Callable[[int, int], None] | None = None,
    rate_hz: float | None = None,
) -> tuple[Damage, ...]:
    """Return the damage of each recording.

    Args:
        recordings: The recordings, before their rates are changed: a filter would hide damage.
        window: Samples per window at the common rate.
        hop: Samples between window starts at the common rate.
        most_share: Highest share of the windows of a class that may be damaged, 0 to 1.
        progress: Called with the number of recordings so far and the number of all recordings.
        rate_hz: Rate to which the recordings are taken, in Hz, at which sound stretches count; None: they have one.

    Raises:
        SplitError: If more than `most_share` (0 to 1) of the windows of a class are damaged, or all of them.
    """
    found = []
    for number, recording in enumerate(recordings, start=1):
        found.append(_damage_at_rate(recording, window, hop, rate_hz or recording.sample_rate_hz))
        if progress is not None:
            progress(number, len(recordings))
    _refuse(found, most_share)
    return tuple(found)


def _refuse(found: Sequence[Damage], most_share: float) -> None:
    windows, damaged = Counter[str](), Counter[str]()
    for each in found:
        windows[each.label] += each.windows
        damaged[each.label] += each.damaged
    shares = {label: damaged[label] / count for label, count in windows.items() if count}
    over = {label: share for label, share in shares.items() if share > most_share or share == 1}
    if not over:
        return
    worst = max(over, key=lambda label: over[label])
    raise SplitError(
        f"{_percent(over[worst])} of the windows of class {worst} are damaged, and at most {100 * most_share:g} % of a "
        f"class may be. {_advice([each for each in found if each.label in over], over[worst])}\n\n"
        + damage_text([each for each in found if each.label in over]),
        "damaged",
        label=worst,
        share=over[worst],
        most_share=most_share,
        labels=tuple(sorted(over)),
        damage=tuple(each for each in found if each.damaged),
    )


def _advice(found: Sequence[Damage], share: float) -> str:
    """Return what to do about the most frequent reason."""
    reasons = Counter[str]()
    for each in found:
        reasons.update(each.reasons)
    what = _ADVICE.get(max(reasons, key=lambda reason: reasons[reason]), "Record these files again, or remove them")
    return f"{what}." if share == 1 else f"{what}; --most-damaged PERCENT accepts more."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


def damage_text(found: Iterable[Damage]) -> str:
    """Return a table of damaged recordings, the worst first: class, recording, windows, damaged windows, reasons."""
    rows = sorted((each for each in found if each.damaged), key=lambda each: (-each.damaged / each.windows, each.label))
    shown = [
        (each.label, each.recording, str(each.windows), str(each.damaged), _reasons(each)) for each in rows[:_MOST_ROWS]
    ]
    table = [("class", "recording", "windows", "damaged", "reasons"), *shown]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = [
        f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}  {e}".rstrip() for a, b, c, d, e in table
    ]
    more = len(rows) - len(shown)
    return "\n".join([*lines, f"and {counted(more, 'more recording')}"] if more else lines)


def damage_lines(found: Sequence[Damage]) -> list[str]:
    """Return a warning about the damaged windows that were left out, and the table of them; empty without damage."""
    damaged, windows = sum(each.damaged for each in found), sum(each.windows for each in found)
    if not damaged:
        return []
    words = f"{counted(damaged, 'damaged window')} of {windows} {'is' if damaged == 1 else 'are'} left out."
    return [as_line(f"{words} docs/explanation/recording-quality.md explains the reasons."), damage_text(found)]


def _reasons(damage: Damage) -> str:
    by_number = sorted(damage.reasons.items(), key=lambda each: -each[1])
    words = ", ".join(f"{reason} {count}" for reason, count in by_number)
    return f"{words}; {damage.remark}" if damage.remark else words


def damage_to_json(damage: Damage) -> dict[str, Any]:
    """Return the damage of a recording as plain JSON values, without its sound stretches."""
    return {
        "recording": damage.recording,
        "label": damage.label,
        "windows": damage.windows,
        "damaged": damage.damaged,
        "reasons": dict(damage.reasons),
        "remark": damage.remark,
    }
