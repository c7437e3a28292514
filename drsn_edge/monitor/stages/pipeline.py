"""Connects the stages: events of a source in, results out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.manifest import Manifest
from drsn_edge.bundle.open_model import check_model
from drsn_edge.bundle.votes import Votes
from drsn_edge.monitor.stages.alarms import Alarms, AlarmSettings, alarm_names
from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.decision import Decider
from drsn_edge.monitor.stages.rate import RateWatch
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Result, Summary, WindowResult
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.monitor.stages.windower import Windower
from drsn_edge.runtime.classifier import Classifier, softmax
from drsn_edge.signal.contract import RATE_TOLERANCE, stream_factor
from drsn_edge.signal.network_input import check_speed, input_of
from drsn_edge.signal.noise_alone import NoiseWatch
from drsn_edge.signal.novelty import Novelty
from drsn_edge.signal.quality import NOT_RUNNING, OffsetWatch, SensorLimits, clipping_level, find_defect
from drsn_edge.signal.repeats import RepeatWatch, memory_for
from drsn_edge.signal.resampling import FOLLOW, LIMIT, cut_for, resampled
from drsn_edge.signal.windows import Window, centre
from drsn_edge.verdicts import (
    AXES_TURNED,
    LINK_LOST,
    NO_SAMPLES,
    NOISE_ALONE,
    OFFSET_JUMPED,
    REPEATED,
    SKIPPED,
    TOO_FEW_SAMPLES,
    Verdict,
)
from firmware_bridge.wire.clock import ClockFit
from firmware_bridge.wire.events import (
    DeviceRestarted,
    HelloRejected,
    LinkLost,
    LinkRestored,
    Note,
    SampleBlock,
    SourceEvent,
)
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters

ACKNOWLEDGE = "acknowledge"
"""The note that says that a person has seen the alarms; with a space and a name behind it, that one only."""

ACCEPT_MOUNTING = "accept mounting"
"""The note that says that a person has moved the sensor on purpose."""

BEHIND_S, CAUGHT_UP_S = 3.0, 0.5

_SIGMAS = 4.0
"""Of a measured rate's uncertainty, within which it is taken for the one that windows are cut for."""

STALLED_S = 2.0
"""What no window has borne out for so long and the time of one window must go."""


class Monitor:
    """Judges one stream with one model."""

    def __init__(
        self,
        manifest: Manifest,
        classifier: Classifier,
        votes: Votes,
        now: Callable[[], float] = time.monotonic,
        speed_hz: float | None = None,
        novelty: Novelty | None = None,
        keep: Callable[[NDArray[np.float32]], object] | None = None,
        severity: SeverityMeter | None = None,
        alarms: AlarmSettings | None = None,
        capture: Capture | None = None,
        lag_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Prepare for a stream whose Hello is still to come.

        Args:
            manifest: What the model means.
            classifier: The model.
            votes: What it takes to change the decision.
            now: Host's clock in seconds, to notice a device that is silent.
            speed_hz: Turns of the shaft per second, for a model that sees shaft orders.
            novelty: What tells the trained from the new; None: nothing is UNKNOWN.
            severity: What measures how much the machine vibrates; None: nothing does.
            alarms: What is an alarm; None: nothing is.
            capture: What keeps the signal around alarms; None: nothing does.
            lag_s: How long ago the last event came; more than `BEHIND_S`, and windows are skipped until it is
                `CAUGHT_UP_S`.
            keep: Given each window that is classified, shape (1, window, axes), in the contract's unit.

        Raises:
            BundleError: If the model is not the one that the manifest describes.
            ContractError: If the model needs the shaft's speed and it is not given.
        """
        check_model(manifest, classifier)
        check_speed(manifest.contract, speed_hz)
        self._speed_hz = speed_hz
        self._novelty = novelty
        self._keep = keep
        self._severity = severity
        self._manifest = manifest
        self._contract = manifest.contract
        self._classifier = classifier
        self._decider = Decider(votes)
        self._offset = self._new_offset_watch()
        self._noise = NoiseWatch(manifest.noise_limit)
        self._repeats = RepeatWatch(memory_for(manifest.contract.window))
        self._decided: str | None = None
        self._alarms = None if alarms is None else Alarms(alarms, manifest.labels, manifest.contract.hop_s)
        self.alarm_names = () if alarms is None else alarm_names(alarms, manifest.labels)
        """What can be an alarm."""
        self._capture = capture
        self._lag_s, self._is_behind, self._skipped = lag_s, False, 0
        self._hello: Hello | None = None
        self._full_scale_counts = clipping_level(1.0, 2**-15)  # of a device that has said nothing yet
        self._windower: Windower
        self._cut_at(1.0)
        self._clock = ClockFit()
        self._rate = RateWatch(RATE_TOLERANCE / 2)
        self._now = now
        # When a window was last judged (None while there is nothing to wait for), a block came, a window had a verdict.
        self._window_s: float | None = None
        self._block_s = self._measured_s = 0.0
        self._stale: str | None = None
        self._factors = np.ones(0, np.float32)  # of a device that has said nothing yet
        self._verdicts: Counter[str] = Counter({verdict.value: 0 for verdict in Verdict})
        self._labels: Counter[str] = Counter({label: 0 for label in manifest.labels})
        self._link_losses = 0
        self._last = self._last_window = (0, 0.0)
        self._last_reason: str | None = None

    def run(self, source: Iterable[SourceEvent], counters: Callable[[], StreamCounters]) -> Iterator[Result]:
        """Yield window results and decisions as they come, and the summary when the source ends.

        Args:
            source: What a sensor sends; see `firmware_bridge.wire.events`.
            counters: The link's account, asked at the end.

        Raises:
            ContractError: If the sensor's description does not fit the model.
        """
        for event in source:
            yield from self.take(event)
        yield self.summary(counters())

    def take(self, event: SourceEvent) -> list[Result]:
        """Take in one event and return what follows from it."""
        if self._capture is not None:
            self._capture.take(event)
        severities = [] if self._severity is None else self._severity.take(event, self._decided)
        results = self._take(event)
        if severities:  # at an unknown rate, lines and velocities are those of other frequencies
            severities = [each for each in severities if self._rate.why_not(each.first_sample) is None]
        return [*results, *severities, *self._expire()]

    def _take(self, event: SourceEvent) -> list[Result]:
        if isinstance(event, SampleBlock):
            return self._take_block(event)
        if isinstance(event, Hello):
            self._take_hello(event)
        elif isinstance(event, DeviceRestarted):
            self._take_restart()
        elif isinstance(event, LinkLost):
            self._link_losses += 1
            return self.withdraw()
        elif isinstance(event, HelloRejected):
            return self.withdraw()
        elif isinstance(event, LinkRestored):
            self._wait_for_a_window()
        elif isinstance(event, Note):
            return self._take_note(event)
        return []

    def summary(self, counters: StreamCounters) -> Summary:
        """Return what the run saw so far."""
        link = asdict(counters)
        return Summary(
            samples_received=link.pop("samples_received"),
            samples_lost=link.pop("samples_lost"),
            windows=sum(self._verdicts.values()),
            verdicts=dict(self._verdicts),
            labels=dict(self._labels),
            sample_rate_hz=self._clock.sample_rate_hz,
            link=link,
            link_losses=self._link_losses,
            windows_skipped=self._skipped,
        )

    @property
    def sample_rate_hz(self) -> float | None:
        """The sensor's true rate of late, None until it is known."""
        return self._rate.sample_rate_hz

    @property
    def patience_s(self) -> float:
        """How long a decision stands that no window bears out, in seconds."""
        return STALLED_S + max(self._cut.window, self._cut.hop) / self._limits.expected_sample_rate_hz

    @property
    def windows_skipped(self) -> int:
        """Windows that were not judged because this machine was too slow."""
        return self._skipped

    @property
    def alarms(self) -> tuple[str, ...]:
        """The alarms that are raised."""
        return () if self._alarms is None else self._alarms.raised

    def follow(self, other: Monitor) -> None:
        """Take the place of another monitor of the same stream, between two events: no sample is left out.

        Counts go on. Votes and evidence begin anew, as they are another model's; alarms that are raised stay.

        Raises:
            ContractError: If the sensor does not fit this model. The other one can go on.
        """
        if other._hello is not None:
            self._take_hello(other._hello)
            self._cut_at(other._cut.ratio * other._contract.sample_rate_hz / self._contract.sample_rate_hz)
            if self._cut == other._cut:
                self._windower = other._windower
        self._clock, self._rate = other._clock, other._rate
        self._last, self._last_window, self._offset = other._last, other._last_window, other._offset
        self._window_s, self._block_s, self._measured_s = other._window_s, other._block_s, other._measured_s
        self._repeats = other._repeats
        self._verdicts.update(other._verdicts)
        self._labels.update(other._labels)
        self._link_losses, self._skipped = other._link_losses, other._skipped
        if self._alarms is not None and other._alarms is not None:
            self._alarms.follow(other._alarms)

    def succeed(self, other: Monitor) -> None:
        """Go on where another monitor of the same sensor ended with an error: nothing is known of the stream any more.

        Counts go on, as do the decision and the alarms that are raised: all outputs know them.
        """
        self._verdicts.update(other._verdicts)
        self._labels.update(other._labels)
        self._link_losses, self._skipped = other._link_losses, other._skipped
        self._decider.succeed(other._decider)
        self._decided = other._decided
        if self._alarms is not None and other._alarms is not None:
            self._alarms.follow(other._alarms)

    def withdraw(self) -> list[Result]:
        """Give up the decision, since nothing that is known of the sensor can be trusted; return what follows."""
        self._window_s = self._stale = None
        self._rate.link_lost()
        return self._withdraw(LINK_LOST, self._last)

    def _take_hello(self, hello: Hello) -> None:
        to_unit = stream_factor(self._contract, hello.sample_rate_hz, hello.axes, hello.unit, rate_tolerance=LIMIT)
        if self._hello is not None and hello.device_id != self._hello.device_id:
            self._offset = self._new_offset_watch()  # another sensor has another offset
        self._hello = hello
        self._noise.reset()
        self._factors = np.asarray(hello.scales * to_unit, np.float32)
        self._full_scale_counts = clipping_level(hello.full_scale, hello.scale)
        self._cut_at(hello.sample_rate_hz / self._contract.sample_rate_hz)
        self._rate.nominal_hz = hello.sample_rate_hz
        if self._window_s is None or self._stale is not None:  # one that only begins, again and again, says nothing
            self._wait_for_a_window()

    def _new_offset_watch(self) -> OffsetWatch:
        site = None if self._novelty is None else self._novelty.site
        return OffsetWatch(None if site is None else site.mean)

    def _cut_at(self, ratio: float) -> None:
        """Cut windows from now on for a sensor whose rate is `ratio` times the model's."""
        contract = self._contract
        self._cut = cut_for(ratio, contract.window, contract.hop)
        rate_hz = contract.sample_rate_hz * self._cut.ratio
        self._windower = Windower(self._cut.window, self._cut.hop, rate_hz)
        self._waits_for_cut = False  # whether a rate that was followed has not shown a window yet
        self._limits = SensorLimits(self._full_scale_counts, rate_hz)

    def _follow_rate(self) -> None:
        """Cut anew if the sensor turns out to have another rate, as far as that may be."""
        measured = self._rate.rate
        if measured is None or self._waits_for_cut:
            return
        ratio = measured.hz / self._contract.sample_rate_hz
        least = FOLLOW + _SIGMAS * measured.uncertainty_hz / measured.hz
        if abs(ratio / self._cut.ratio - 1) > least and abs(ratio - 1) <= LIMIT:
            self._cut_at(ratio)
            self._waits_for_cut = True  # what is cut anew again and again is never whole

    def _take_restart(self) -> None:
        self._windower.reset()
        self._clock.reset()
        self._rate.reset()
        self._decider.forget_votes()
        self._noise.reset()
        self._repeats.reset()
        self._interrupt_alarms()
        self._last = self._last_window = (0, 0.0)

    def _take_note(self, note: Note) -> list[Result]:
        if note.text == ACCEPT_MOUNTING:
            self._offset.reset()
        done, _, name = note.text.partition(" ")
        if done != ACKNOWLEDGE or self._alarms is None:
            return []
        return [*self._alarms.acknowledge(name or None)]

    def _arrived_s(self) -> float:
        """Return when what is taken in now had come: a machine that is behind takes nothing for late."""
        return self._now() - self._lag_s()

    def _wait_for_a_window(self) -> None:
        self._window_s = self._block_s = self._arrived_s()
        self._stale = None

    def _expire(self) -> list[Result]:
        """Give up what no window has borne out for too long: none comes any more, or all of them are damaged."""
        if self._window_s is None:
            return []
        now_s, patience_s = self._arrived_s(), self.patience_s
        if now_s - self._window_s >= patience_s:
            reason = NO_SAMPLES if now_s - self._block_s >= STALLED_S else TOO_FEW_SAMPLES
            if self._stale in (reason, NO_SAMPLES):
                return []
            self._stale = reason
            return self._withdraw(reason, self._last if reason == NO_SAMPLES else self._last_window)
        if self._last_reason and self._decider.has_verdict and now_s - self._measured_s >= patience_s:
            return self._withdraw(self._last_reason, self._last_window)
        return []

    def _withdraw(self, reason: str, at: tuple[int, float]) -> list[Result]:
        """Give up the decision at once, without a window and without votes."""
        first_sample, time_s = at
        self._decided = None
        self._interrupt_alarms()
        decision = self._decider.force(WindowResult(first_sample, time_s, Verdict.NO_VERDICT, None, None, reason, 0))
        return [decision] if decision else []

    def _take_block(self, block: SampleBlock) -> list[Result]:
        self._block_s = self._arrived_s()
        if self._rate.add(block.first_sample, block.device_time_s):
            self._clock.reset()
        self._clock.add(block.first_sample, block.device_time_s)
        self._last = (block.first_sample, block.device_time_s)
        self._follow_rate()
        results: list[Result] = []
        for window in self._windower.take(block):
            self._waits_for_cut = False
            result = self._judge(window)
            self._note_window(result)
            decision = self._decider.add(result)
            if decision is not None:
                self._decided = decision.window.label
            results += [result] if decision is None else [result, decision]
            results += self._alarms_of(result)
        return results

    def _note_window(self, result: WindowResult) -> None:
        self._window_s, self._stale = self._block_s, None
        self._last_window, self._last_reason = (result.first_sample, result.device_time_s), result.reason
        if result.is_measured:
            self._measured_s, self._last_reason = self._block_s, None

    def _alarms_of(self, result: WindowResult) -> list[Alarm]:
        changed = [] if self._alarms is None else self._alarms.take(result)
        if self._capture is None:
            return changed
        return [
            replace(alarm, capture=self._capture.trigger(alarm.name)) if alarm.state is AlarmState.RAISED else alarm
            for alarm in changed
        ]

    def _interrupt_alarms(self) -> None:
        if self._alarms is not None:
            self._alarms.interrupt()

    def _judge(self, window: Window) -> WindowResult:
        """Judge a window as it was cut; the result is of the window proper, without its margins."""
        defect = find_defect(window, self._limits, self._rate.sample_rate_hz)
        if self._repeats.repeats(window):
            defect = REPEATED
        defect = defect or self._rate.why_not(window.first_sample)
        margin = self._cut.margin
        proper = replace(
            window,
            first_sample=window.first_sample + margin,
            device_time_s=window.device_time_s + margin / self._limits.expected_sample_rate_hz,
        )
        if defect is None and self._must_skip():
            defect = SKIPPED
            self._skipped += 1
        result = self._without_verdict(proper, defect) if defect else self._classify(proper)
        self._verdicts[result.verdict.value] += 1
        if result.label is not None:
            self._labels[result.label] += 1
        return result

    def _must_skip(self) -> bool:
        """Tell whether to catch up: cutting a window costs little beside judging it."""
        self._is_behind = self._lag_s() > (CAUGHT_UP_S if self._is_behind else BEHIND_S)
        return self._is_behind

    @staticmethod
    def _without_verdict(window: Window, reason: str) -> WindowResult:
        return WindowResult(
            window.first_sample, window.device_time_s, Verdict.NO_VERDICT, None, None, reason, window.lost_samples
        )

    def _classify(self, window: Window) -> WindowResult:
        counts = window.counts[None].astype(np.float32)
        samples = resampled(counts * self._factors, self._cut, self._contract.window)
        centred = centre(samples)
        level = float(centred.rms[0])
        if self._novelty is not None and not self._novelty.is_running(level):
            return self._without_verdict(window, NOT_RUNNING)
        if self._offset.jumped(window.counts, self._full_scale_counts, self._factors):
            return self._without_verdict(window, OFFSET_JUMPED)
        if self._noise.is_noise(window.first_sample, window.counts, centred):
            return self._without_verdict(window, NOISE_ALONE)
        if self._keep is not None:
            self._keep(samples)
        inputs = input_of(centred, self._contract, self._speed_hz)
        probabilities = softmax(self._classifier.logits(inputs))[0]
        scores = dict(zip(self._manifest.labels, probabilities.tolist(), strict=True))
        novelty = None if self._novelty is None else float(self._novelty.of_centred(centred)[0])
        known = novelty is None or novelty <= 1
        if known and self._novelty is not None and self._novelty.is_turned(centred):
            return self._without_verdict(window, AXES_TURNED)
        verdict = Verdict.CLASS if known else Verdict.UNKNOWN
        label = max(scores, key=scores.__getitem__) if known else None
        return WindowResult(window.first_sample, window.device_time_s, verdict, label, scores, None, 0, novelty, level)
