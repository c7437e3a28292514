"""A healthy machine that is learned where it runs: events of a sensor in, novelty detection for a bundle out.

The windows are cut and checked as the monitor does it, by the monitor itself with a judge that knows nothing yet. What
the monitor would not judge is not learned, nor is a machine that stands still, or a window that jumps
(`drsn_edge.signal.suited`). `drsn_edge.signal.references` makes operating points of the rest.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.healthy import HealthyOptions, healthy_manifest
from drsn_edge.errors import LearningError
from drsn_edge.monitor.stages.judge import Judge, Model
from drsn_edge.monitor.stages.learned import check_signal
from drsn_edge.monitor.stages.learner import Learner, Spread, expect_windows
from drsn_edge.monitor.stages.pipeline import Monitor
from drsn_edge.monitor.stages.results import Severity, WindowResult
from drsn_edge.monitor.stages.severity_limits import Limits, SeverityConfig
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.signal.bearing import BearingGeometry
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.naming import Look, look
from drsn_edge.signal.novelty import LINES, Novelty, in_limits, products
from drsn_edge.signal.own_contract import own_contract
from drsn_edge.signal.references import Heard, learn_references, operating_points, subset
from drsn_edge.signal.resemblance import Naming, can_name, learn_naming, speeds_in_words, stretch_samples
from drsn_edge.signal.stretches import Stretches
from drsn_edge.signal.suited import STOOD, starts, unsuited, unsuited_levels
from drsn_edge.signal.windows import FloatArray
from drsn_edge.verdicts import NOISE_ALONE, NOT_RUNNING, REASONS, Verdict
from firmware_bridge.wire.events import SourceEvent
from firmware_bridge.wire.messages import Hello

LEAST_S = 30.0
"""Shortest time of good windows that is learned from, in seconds."""

STEADY_S = 600.0
"""Time in seconds without a new operating point after which enough was seen."""

LEAST_BEYOND = 10.0
"""Windows without overlap that must be expected beyond the limit before enough was seen: with fewer, the share of false
UNKNOWN could be off by more than a factor of two (95 % interval of a Poisson count of 10: 4.8 to 18.4)."""

_CHECK_S, _CHECK_SHARE = 30.0, 0.1
"""Time of good windows, and share of the windows so far, after which is checked again whether enough was seen."""

_BEYOND = "CD"
"""Zones of ISO 20816 in which a machine is not fit to run for long."""

_MOST_LOOKS = 1024
"""Most stretches of which the lines of the bearing are kept, evenly spread over the time of learning."""

_DAY_S = 86_400.0
DAY, START, POINT = "a whole day", "a start", "another speed or load"
"""What may not have been seen while the machine was learned."""


@dataclass(frozen=True)
class Point:
    """An operating point.

    Attributes:
        share: Share of the learned windows.
        level_rms: Level, in the contract's unit.
    """

    share: float
    level_rms: float


@dataclass(frozen=True)
class Taught:
    """What a healthy machine has taught.

    Attributes:
        contract: Signal contract of the sensor.
        novelty: Novelty detection of the machine.
        examples: Some windows in the contract's unit, shape (n, window, axes).
        points: Operating points, the most frequent one first.
        windows: Number of windows that were learned.
        heard_s: Time of the good windows, in seconds.
        left_out: Number of windows that were not learned, by reason, the most frequent one first.
        unknown_share: Share of the learned windows beyond the limit.
        not_seen: What was not seen, among `DAY`, `START` and `POINT`.
        zones: Share of the time in each zone of the limits; empty without limits.
        naming: What changes are named by; None: no change is named.
    """

    contract: SignalContract
    novelty: Novelty
    examples: FloatArray
    points: tuple[Point, ...]
    windows: int
    heard_s: float
    left_out: Mapping[str, int]
    unknown_share: float
    not_seen: tuple[str, ...]
    zones: Mapping[str, float]
    naming: Naming | None = None


@dataclass(frozen=True)
class Turning:
    """What names changes: the bearing under the sensor, and the turns of the shaft per second."""

    bearing: BearingGeometry
    shaft_hz: float


class HealthyMachine:
    """Listens to a healthy machine until enough was seen, and tells what was learned."""

    def __init__(
        self,
        options: HealthyOptions,
        false_unknown_share: float = 0.01,
        steady_s: float = STEADY_S,
        limits: Limits | None = None,
        turning: Turning | None = None,
    ) -> None:
        """Begin before the Hello of the sensor.

        Args:
            options: Options of the bundle.
            false_unknown_share: Share of the windows of the healthy machine that may be UNKNOWN, above 0, at most 0.5.
            steady_s: Time in seconds without a new operating point after which enough was seen.
            limits: Zones of the vibration velocity that the machine must keep; None: they are not known.
            turning: Bearing and shaft speed, by which changes are named; None: no change is named.

        Raises:
            BundleError: If an option is invalid.
        """
        healthy_manifest(own_contract(1000.0, ("x",), "g"), options)  # after an hour would be too late
        self._options = options
        self._share, self._steady_s, self._limits = false_unknown_share, steady_s, limits
        self._turning = turning
        self._looks = Spread[Look](_MOST_LOOKS)
        self._zones: Counter[str] = Counter()
        self._hello: Hello | None = None
        self._monitor: Monitor | None = None
        self._learner = Learner(LINES)
        self._stretches: Stretches | None = None
        self._waiting: deque[FloatArray] = deque()
        self._left_out: Counter[str] = Counter()
        self._still_in_a_row, self._starts, self._due = 0, 0, 0
        self.is_enough = False
        """Whether enough was seen."""

    @property
    def windows(self) -> int:
        """Number of good windows so far."""
        return self._learner.windows

    def take(self, event: SourceEvent) -> None:
        """Take one event of the sensor.

        Raises:
            LearningError: If it is another sensor, or the same with another rate, range or axes.
        """
        if isinstance(event, Hello):
            self._take_hello(event)
        if self._monitor is None:
            return
        for result in self._monitor.take(event):
            if isinstance(result, WindowResult):
                self._take_result(result)
            elif isinstance(result, Severity) and result.zone is not None:
                self._zones[result.zone] += 1
        if self.windows >= self._due and not self.is_enough:
            self._look()

    def taught(self) -> Taught:
        """Return what was learned.

        Raises:
            LearningError: If no sample came, most windows are damaged or hold noise alone, too few are good, or the
                machine vibrates more than its limits allow.
        """
        contract = self._contract()
        good = self.windows
        check_signal(self._left_out[NOISE_ALONE], good)
        self._check_damage(good)
        self._check_zones()
        if good * contract.hop_s < LEAST_S:
            words = f"Only {good * contract.hop_s:.3g} s of good windows were received; learning needs at least"
            raise LearningError(
                f"{words} {LEAST_S:g} s. Listen for longer.", "too_short", got=good * contract.hop_s, limit=LEAST_S
            )
        heard = self._learner.heard()
        flags = unsuited(heard)
        suited = ~np.logical_or.reduce([*flags.values()])
        chosen = _some(heard, suited)
        novelty = learn_references(chosen, self._share, unit=contract.unit)
        points = _points(chosen, novelty)
        each = good / len(heard)  # windows that each kept one stands for
        left_out = self._left_out + Counter({reason: round(each * int(is_so.sum())) for reason, is_so in flags.items()})
        return Taught(
            contract, novelty, self._learner.examples(), points,
            windows=round(each * len(chosen)),
            heard_s=good * contract.hop_s,
            left_out=dict(left_out.most_common()),
            unknown_share=_unknown_share(chosen, novelty),
            zones={zone: n / self._zones.total() for zone, n in sorted(self._zones.items())},
            naming=self._naming(),
            not_seen=self._not_seen(good * contract.hop_s, self._starts + starts(flags[NOT_RUNNING]), len(points)),
        )  # fmt: skip

    def _take_hello(self, hello: Hello) -> None:
        before, self._hello = self._hello, hello
        if before is None:
            contract = own_contract(hello.sample_rate_hz, hello.axes, hello.unit)
            self._learner = Learner(min(LINES, contract.window // 4))
            if self._turning is not None:
                _expect_nameable(self._turning.shaft_hz, contract.sample_rate_hz)
                n = stretch_samples(contract.sample_rate_hz, self._turning.shaft_hz)
                self._stretches = Stretches(contract, n)
            model = Model(healthy_manifest(contract, self._options), None)
            meter = None if self._limits is None else SeverityMeter(SeverityConfig(self._limits))
            self._monitor = Monitor(Judge(model, keep=self._waiting.append), severity=meter)
            return
        changed = [name for name in _SAME if getattr(before, name) != getattr(hello, name)]
        if changed:
            raise LearningError(
                f"The sensor changed while the machine was learned: {_changes(before, hello, changed)}. Leave the "
                "sensor as it is, and learn again.",
                "sensor_changed",
                fields=tuple(changed),
            )

    def _take_result(self, result: WindowResult) -> None:
        if result.verdict is Verdict.NO_VERDICT:
            assert result.reason is not None
            self._left_out[result.reason] += 1
        else:
            window = self._waiting.popleft()
            self._learner.take(window, result.device_time_s)
            self._look_at(window[0], result.device_time_s)
        if result.reason == NOISE_ALONE:
            self._still_in_a_row += 1
        elif result.verdict is not Verdict.NO_VERDICT:
            self._starts += self._still_in_a_row >= STOOD
            self._still_in_a_row = 0

    def _look_at(self, window: FloatArray, start_s: float) -> None:
        """Measure the lines of the bearing in each stretch of good windows."""
        stretch = None if self._stretches is None else self._stretches.take(window, start_s)
        if stretch is not None and self._turning is not None:
            rate = self._contract().sample_rate_hz
            self._looks.add(look(stretch, rate, self._turning.shaft_hz, self._turning.bearing))

    def _naming(self) -> Naming | None:
        """Return what the healthy machine shows, of stretches that neither stand still nor jump.

        Raises:
            LearningError: If there is no such stretch.
        """
        turning, looks = self._turning, self._looks.kept
        if turning is None:
            return None
        if not looks:
            words = "No stretch of good windows was long enough for the lines of the bearing, which needs"
            raise LearningError(
                f"{words} a second without a gap. Mend the link to the sensor, or leave [bearing] out.", "no_stretch"
            )
        flags = unsuited_levels(np.sqrt([each.power for each in looks]), np.zeros(len(looks), np.intp))
        suited = ~np.logical_or.reduce([*flags.values()])
        kept = [each for each, is_so in zip(looks, suited, strict=True) if is_so]
        return learn_naming({turning.shaft_hz: kept}, turning.bearing, len(self._contract().axes))

    def _contract(self) -> SignalContract:
        if self._monitor is None:
            words = "The sensor has not described itself. Check power, wiring and port, or listen for longer."
            raise LearningError(words, "no_sample")
        return self._monitor.judge.contract

    def _check_damage(self, good: int) -> None:
        damaged = self._left_out.total()
        if damaged > good:
            (reason, most), *_ = self._left_out.most_common(1)
            raise LearningError(
                f"{damaged} of {damaged + good} windows cannot be learned, {most} of them because of: {reason}. "
                f"{REASONS[reason].sentence}",
                "mostly_left_out",
                reason=reason,
                got=damaged,
                windows=damaged + good,
            )

    def _check_zones(self) -> None:
        """Refuse a machine that vibrates more than its limits allow, or whose velocity is not known."""
        measured, beyond = self._zones.total(), sum(self._zones[zone] for zone in _BEYOND)
        if self._limits is not None and not measured:
            words = (
                "The limits were not compared: no velocity could be measured. Check the unit and the sampling rate of"
            )
            raise LearningError(f"{words} the sensor, or leave --limits out.", "no_velocity")
        if beyond > measured / 2:
            raise LearningError(
                f"In {beyond} of {measured} s the velocity lay in zone {' or '.join(_BEYOND)} of the limits: this "
                "machine is not healthy. Have it repaired, or correct the limits.",
                "beyond_limits",
                got=beyond,
                measured=measured,
            )

    def _look(self) -> None:
        """Check whether enough was seen."""
        contract = self._contract()
        hop_s, n = contract.hop_s, self.windows
        self._due = n + max(round(_CHECK_S / hop_s), round(_CHECK_SHARE * n))
        if n * contract.hop / contract.window * self._share < LEAST_BEYOND or n * hop_s < max(self._steady_s, LEAST_S):
            return
        heard = self._learner.heard()
        chosen = _some(heard, ~np.logical_or.reduce([*unsuited(heard).values()]))
        firsts = np.unique(operating_points(chosen), return_index=True)[1]
        self.is_enough = bool((1 - firsts.max() / len(chosen)) * n * hop_s >= self._steady_s)

    @staticmethod
    def _not_seen(heard_s: float, started: int, points: int) -> tuple[str, ...]:
        seen = {DAY: heard_s >= _DAY_S, START: started > 0, POINT: points > 1}
        return tuple(name for name, is_so in seen.items() if not is_so)


def _expect_nameable(shaft_hz: float, sample_rate_hz: float) -> None:
    if not can_name(sample_rate_hz, shaft_hz):
        words = f"With this sensor changes are named at {speeds_in_words(sample_rate_hz)}, and --rpm is"
        raise LearningError(f"{words} {60 * shaft_hz:g}. Correct it, or leave [bearing] out.", "no_name", got=shaft_hz)


_SAME = ("device_id", "axes", "unit", "scale", "full_scale", "sample_rate_hz", "signs")


def _changes(before: Hello, hello: Hello, names: list[str]) -> str:
    return ", ".join(f"{name} {getattr(before, name)} became {getattr(hello, name)}" for name in names)


def _some(heard: Heard, of: NDArray[np.bool_]) -> Heard:
    """Return some of the windows.

    Raises:
        LearningError: If they are too few.
    """
    expect_windows(int(of.sum()))
    return subset(heard, of)


def _points(heard: Heard, novelty: Novelty) -> tuple[Point, ...]:
    assert novelty.levels is not None
    counts = np.bincount(operating_points(heard), minlength=len(novelty.levels))
    found = [Point(count / len(heard), level) for count, level in zip(counts, novelty.levels.tolist(), strict=True)]
    return tuple(sorted(found, key=lambda each: -each.share))


def _unknown_share(heard: Heard, novelty: Novelty) -> float:
    whitened = products(heard.features, novelty.whitening)
    return float((in_limits(whitened, novelty.prototypes, novelty.limits) > 1).mean())
