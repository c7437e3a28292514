"""Learn a healthy machine from its recordings alone: a split in, operating points and their limits out. NumPy alone.

No network is trained. See `drsn_edge.signal.references` for the rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drsn_edge.datasets.labels import labelled_by
from drsn_edge.datasets.span import Span, Split
from drsn_edge.datasets.windows import WindowSet, cut_spans, pick_per_class
from drsn_edge.errors import TrainingError
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.bearing import BearingGeometry
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.naming import Look, look
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.references import LEAST_WINDOWS, MOST_STRETCHES, Heard, hear, joined, learn_references, subset
from drsn_edge.signal.resemblance import Naming, can_name, learn_naming, speeds_in_words, stretch_samples
from drsn_edge.signal.suited import unsuited
from drsn_edge.signal.windows import FloatArray, window_starts
from drsn_edge.support.palette import is_healthy
from drsn_edge.training.config_file import table_from_settings
from drsn_edge.training.contract import contract_for
from drsn_edge.training.settings import TrainSettings

HOLD_OUT = "time=0.3"
"""Hold-out rule of healthy recordings alone, unless another one is named: the last 30 % of each recording."""

SETTINGS = (
    *("hold_out", "window", "hop", "seed", "label_field"),
    *("allow_leaks", "keep_labels", "most_damaged", "sample_rate_hz"),
)
"""Settings that matter without a network; all others are about a network."""

RESEARCH = ("stream_hop",)
"""Keys of the table [research] that matter without a network."""

FALSE_UNKNOWN = 0.01
"""Share of the windows of a healthy machine that may be UNKNOWN, unless another one is named at conversion."""

GOLDEN_WINDOWS = 16

MOST_LOOKS = 256
"""Most stretches of each shaft speed in which the lines of the bearing are measured."""


@dataclass(frozen=True)
class HealthyTraining:
    """What was learned from healthy recordings alone.

    Attributes:
        settings: Settings; those of a network do not matter.
        contract: Signal contract of the recordings.
        split: Split of the recordings.
        heard: Windows of the training side, as far as a limit for another share of unknown windows needs them.
        left_out: Number of windows of the training side that do not suit learning, by reason; see
            `drsn_edge.signal.suited`.
        novelty: Novelty detection with limits for `FALSE_UNKNOWN`.
        golden: Some hold-out windows.
        held_out: All hold-out windows, without overlap.
        naming: What changes are named by; None: no change is named.
    """

    settings: TrainSettings
    contract: SignalContract
    split: Split
    heard: Heard
    left_out: Mapping[str, int]
    novelty: Novelty
    golden: WindowSet
    held_out: WindowSet
    naming: Naming | None = None


def are_healthy(recordings: Sequence[Recording], label_field: str) -> bool:
    """Tell whether all recordings have one label, or value of the field that is their label, of a healthy machine.

    Raises:
        RecordingError: If a recording lacks the field.
    """
    named = labelled_by(recordings, label_field) if label_field else recordings
    labels = {recording.label for recording in named}
    return len(labels) == 1 and all(label is not None and is_healthy(label) for label in labels)


def learn_healthy(
    recordings: Sequence[Recording], split: Split, settings: TrainSettings, bearing: BearingGeometry | None = None
) -> HealthyTraining:
    """Learn the operating points of the training side, and keep the windows of the hold-out side.

    Args:
        recordings: The recordings.
        split: Their split, without a validation side.
        settings: Settings of the split and of the windows.
        bearing: The bearing under the sensor, by which changes are named; None: no change is named.

    Raises:
        TrainingError: If the training side has too few windows; with a bearing, if a shaft speed is unknown or no
            recording is long enough.
        LearningError: If windows have no vibration.
    """
    contract = contract_for(recordings, split, settings)
    heard, suited = _heard(split, settings)
    left_out = sum((each.left_out for each in suited), Counter[str]())
    novelty = learn_references(heard, FALSE_UNKNOWN, unit=contract.unit)
    held_out = cut_spans(split.held_out, split.labels, settings.window, settings.window)
    golden = pick_per_class(held_out, GOLDEN_WINDOWS, np.random.default_rng(settings.seed))
    naming = None if bearing is None else learn_naming(_looks(suited, contract, bearing), bearing, len(contract.axes))
    return HealthyTraining(settings, contract, split, heard, left_out, novelty, golden, held_out, naming)


def healthy_settings(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings that matter without a network, as values of TOML and JSON."""
    table = table_from_settings(settings)
    research = {name: table["research"][name] for name in RESEARCH}
    return {**{name: table[name] for name in SETTINGS}, "research": research}


class _Suited(NamedTuple):
    """A span, which of its windows suit learning, shape (n,), and the number of the others by reason."""

    span: Span
    starts: NDArray[np.int64]
    windows: NDArray[np.bool_]
    left_out: Counter[str]

    def has(self, start: int, stop: int, window: int) -> bool:
        """Tell whether all windows that share samples with these of the span suit learning."""
        touched = (self.starts < stop) & (self.starts + window > start)
        return bool(self.windows[touched].all())


def _heard(split: Split, settings: TrainSettings) -> tuple[Heard, list[_Suited]]:
    """Hear what suits learning of the training side; a recording is a stretch.

    What stands still or jumps is judged within a recording: another recording may be of a far lower speed.
    """
    spans = _at_most(split.train)
    names = sorted({span.recording.name for span in spans})
    parts, suited = list[Heard](), list[_Suited]()
    for span in spans:
        heard = _heard_in(span, names.index(span.recording.name), settings)
        flags = unsuited(heard)
        left_out = Counter({reason: int(found.sum()) for reason, found in flags.items() if found.any()})
        starts = span.start + window_starts(len(span), settings.window, settings.hop_samples)
        suited.append(_Suited(span, starts, ~np.logical_or.reduce([*flags.values()]), left_out))
        parts.append(subset(heard, suited[-1].windows))
    got = sum(map(len, parts))
    if got < LEAST_WINDOWS:
        raise TrainingError(
            f"The training side has {got} windows that suit learning, which needs at least {LEAST_WINDOWS}. Record for "
            "longer, hold out less, or choose a smaller --window or --hop.",
            "too_few_windows",
            got=got,
            limit=LEAST_WINDOWS,
        )
    return joined(parts), suited


def _looks(suited: Sequence[_Suited], contract: SignalContract, bearing: BearingGeometry) -> dict[float, list[Look]]:
    """Return what the bearing shows in stretches that suit learning, evenly spread, by the speed of the shaft in Hz."""
    rate, stretches = contract.sample_rate_hz, dict[float, list[FloatArray]]()
    for each in suited:
        span, shaft_hz = each.span, each.span.recording.speed_hz
        if not can_name(rate, shaft_hz):
            needed = f"of {speeds_in_words(rate)}, which names of changes need"
            words = f"{span.recording.name} has no shaft speed {needed}. Add a field rpm to the"
            raise TrainingError(
                f"{words} catalogue, or leave --simulate-faults out.", "no_speed", recording=span.recording.name
            )
        n = stretch_samples(rate, shaft_hz)
        stretches.setdefault(shaft_hz, []).extend(
            span.recording.samples[at : at + n]
            for at in range(span.start, span.stop - n + 1, n)
            if each.has(at, at + n, contract.window)
        )
    _expect_slower(bearing, max(stretches), rate)
    if not any(stretches.values()):
        needed_s = min(stretch_samples(rate, shaft_hz) / rate for shaft_hz in stretches)
        words = f"No recording of the training side has {needed_s:.3g} s in a row that suit learning, which names need."
        raise TrainingError(f"{words} Record for longer, or leave --simulate-faults out.", "too_short", limit=needed_s)
    return {
        shaft_hz: [look(each, rate, shaft_hz, bearing) for each in _spread(found)]
        for shaft_hz, found in stretches.items()
    }


def _expect_slower(bearing: BearingGeometry, shaft_hz: float, sample_rate_hz: float) -> None:
    """Refuse a bearing whose defects strike more often than the sensor can show."""
    rate_hz = max(bearing.bpfo, bearing.bpfi, bearing.ball_defect) * shaft_hz
    if rate_hz > sample_rate_hz / 2:
        words = f"By its geometry the bearing is struck {rate_hz:.4g} times a second, above half of the sampling rate."
        advice = "Correct [bearing], or leave --simulate-faults out."
        raise TrainingError(f"{words} {advice}", "beyond_the_rate", got=rate_hz, limit=sample_rate_hz / 2)


def _spread(stretches: Sequence[FloatArray]) -> list[FloatArray]:
    """Return at most `MOST_LOOKS` of the stretches, evenly spaced."""
    at = np.linspace(0, len(stretches) - 1, min(len(stretches), MOST_LOOKS)).round().astype(int)
    return [stretches[each] for each in at.tolist()]


def _at_most(spans: Sequence[Span]) -> list[Span]:
    """Return the spans of at most `MOST_STRETCHES` recordings, evenly spaced among all of them."""
    names = sorted({span.recording.name for span in spans})
    if len(names) <= MOST_STRETCHES:
        return list(spans)
    kept = {names[at] for at in np.linspace(0, len(names) - 1, MOST_STRETCHES).round().astype(int).tolist()}
    return [span for span in spans if span.recording.name in kept]


def _heard_in(span: Span, stretch: int, settings: TrainSettings) -> Heard:
    windows = cut_spans([span], [span.recording.label or ""], settings.window, settings.hop_samples)
    return hear(windows.windows, np.full(len(windows), stretch), _known(windows.speeds_hz))


def _known(speeds_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return speeds with NaN for those that are none; a catalogue may say 0 where the speed is unknown."""
    return np.where(speeds_hz > 0, speeds_hz, np.nan)
