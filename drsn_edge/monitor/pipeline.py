"""Connects the stages: events of a source in, results out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from drsn_edge.bundle.contract import RATE_TOLERANCE, stream_factor
from drsn_edge.bundle.manifest import Manifest
from drsn_edge.front_end import check_speed, input_of
from drsn_edge.monitor.alarms import Alarms, AlarmSettings
from drsn_edge.monitor.capture import Capture
from drsn_edge.monitor.decision import Decider
from drsn_edge.monitor.quality import (
    LINK_LOST,
    NO_SAMPLES,
    NOT_RUNNING,
    OFFSET_JUMPED,
    RATE_OFF,
    SKIPPED,
    OffsetWatch,
    SensorLimits,
    clipping_level,
    find_defect,
)
from drsn_edge.monitor.rate import RecentRate
from drsn_edge.monitor.resampling import FOLLOW, LIMIT, cut_for, resampled
from drsn_edge.monitor.results import Alarm, AlarmState, Result, Summary, Verdict, WindowResult
from drsn_edge.monitor.severity import SeverityMeter
from drsn_edge.monitor.windows import Window, Windower
from drsn_edge.novelty import Novelty
from drsn_edge.runtime.classifier import Classifier, check_model, softmax
from drsn_edge.signal import centre
from drsn_edge.votes import Votes
from firmware_bridge.clock import ClockFit, RateAlarm
from firmware_bridge.events import DeviceRestarted, Idle, LinkLost, LinkRestored, Note, SampleBlock, SourceEvent, Status
from firmware_bridge.messages import Hello
from firmware_bridge.stream import StreamCounters

ACKNOWLEDGE = "acknowledge"
"""The note that says that a person has seen the alarms."""

BEHIND_S, CAUGHT_UP_S = 3.0, 0.5

STALLED_S = 2.0
"""A device that is silent for so long and the time of one window shows nothing any more: what it showed must go."""


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
        self._offset = OffsetWatch()
        self._decided: str | None = None
        self._alarms = None if alarms is None else Alarms(alarms, manifest.labels, manifest.contract.hop_s)
        self._capture = capture
        self._lag_s, self._is_behind, self._skipped = lag_s, False, 0
        self._hello: Hello | None = None
        self._full_scale_counts = clipping_level(1.0, 2**-15)  # of a device that has said nothing yet
        self._windower: Windower
        self._cut_at(1.0)
        self._clock = ClockFit()
        self._recent_rate = RecentRate()
        self._rate_alarm, self._rate_changed = RateAlarm(RATE_TOLERANCE / 2), False
        self._now = now
        self._silent_since: float | None = None
        self._factors = np.ones(0, np.float32)  # of a device that has said nothing yet
        self._verdicts: Counter[str] = Counter({verdict.value: 0 for verdict in Verdict})
        self._labels: Counter[str] = Counter({label: 0 for label in manifest.labels})
        self._link_losses = 0
        self._last = (0, 0.0)

    def run(self, source: Iterable[SourceEvent], counters: Callable[[], StreamCounters]) -> Iterator[Result]:
        """Yield window results and decisions as they come, and the summary when the source ends.

        Args:
            source: What a sensor sends; see `firmware_bridge.events`.
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
        return [*self._take(event), *severities]

    def _take(self, event: SourceEvent) -> list[Result]:
        if isinstance(event, SampleBlock):
            return self._take_block(event)
        if isinstance(event, Hello):
            self._take_hello(event)
        elif isinstance(event, DeviceRestarted):
            self._take_restart()
        elif isinstance(event, LinkLost):
            return self._take_link_lost()
        elif isinstance(event, LinkRestored):
            self._silent_since = self._now()
        elif isinstance(event, Note):
            return self._take_note(event)
        elif isinstance(event, Idle | Status):
            return self._take_silence()
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
        return self._recent_rate.sample_rate_hz

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
        self._clock, self._recent_rate = other._clock, other._recent_rate
        self._rate_alarm, self._rate_changed = other._rate_alarm, other._rate_changed
        self._silent_since, self._last, self._offset = other._silent_since, other._last, other._offset
        self._verdicts.update(other._verdicts)
        self._labels.update(other._labels)
        self._link_losses, self._skipped = other._link_losses, other._skipped
        if self._alarms is not None and other._alarms is not None:
            self._alarms.follow(other._alarms)

    def _take_hello(self, hello: Hello) -> None:
        to_unit = stream_factor(self._contract, hello.sample_rate_hz, hello.axes, hello.unit, rate_tolerance=LIMIT)
        self._hello = hello
        self._factors = np.asarray(hello.scales * to_unit, np.float32)
        self._full_scale_counts = clipping_level(hello.full_scale, hello.scale)
        self._cut_at(hello.sample_rate_hz / self._contract.sample_rate_hz)
        self._silent_since = self._now()

    def _cut_at(self, ratio: float) -> None:
        """Cut windows from now on for a sensor whose rate is `ratio` times the model's."""
        contract = self._contract
        self._cut = cut_for(ratio, contract.window, contract.hop)
        rate_hz = contract.sample_rate_hz * self._cut.ratio
        self._windower = Windower(self._cut.window, self._cut.hop, rate_hz)
        self._limits = SensorLimits(self._full_scale_counts, rate_hz)

    def _follow_rate(self) -> None:
        """Cut anew if the sensor turns out to have another rate, as far as that may be."""
        measured_hz = self._recent_rate.sample_rate_hz
        if measured_hz is None:
            return
        ratio = measured_hz / self._contract.sample_rate_hz
        if abs(ratio / self._cut.ratio - 1) > FOLLOW and abs(ratio - 1) <= LIMIT:
            self._cut_at(ratio)

    def _watch_rate(self, block: SampleBlock) -> None:
        """Learn the rate; after a step of it, windows wait until the new one is known."""
        if self._rate_alarm.add(block.first_sample, block.device_time_s) is not None:
            self._recent_rate.reset()
            self._rate_changed = True
        self._recent_rate.add(block.first_sample, block.device_time_s)
        if self._recent_rate.sample_rate_hz is not None:
            self._rate_changed = False

    def _take_restart(self) -> None:
        self._windower.reset()
        self._clock.reset()
        self._recent_rate.reset()
        self._rate_alarm.reset()
        self._rate_changed = False
        self._decider.forget_votes()
        self._offset.reset()
        self._interrupt_alarms()
        self._last = (0, 0.0)

    def _take_link_lost(self) -> list[Result]:
        self._link_losses += 1
        self._silent_since = None
        return self._withdraw(LINK_LOST)

    def _take_note(self, note: Note) -> list[Result]:
        if note.text != ACKNOWLEDGE:
            return []
        self._offset.reset()  # who says so has looked at the sensor, too
        return [] if self._alarms is None else [*self._alarms.acknowledge()]

    def _take_silence(self) -> list[Result]:
        patience_s = STALLED_S + self._contract.window_s
        if self._silent_since is None or self._now() - self._silent_since < patience_s:
            return []
        return self._withdraw(NO_SAMPLES)

    def _withdraw(self, reason: str) -> list[Result]:
        """Give up the decision at once, without a window and without votes."""
        first_sample, time_s = self._last
        self._interrupt_alarms()
        decision = self._decider.force(WindowResult(first_sample, time_s, Verdict.NO_VERDICT, None, None, reason, 0))
        return [decision] if decision else []

    def _take_block(self, block: SampleBlock) -> list[Result]:
        self._silent_since = self._now()
        self._clock.add(block.first_sample, block.device_time_s)
        self._watch_rate(block)
        self._last = (block.first_sample, block.device_time_s)
        self._follow_rate()
        results: list[Result] = []
        for window in self._windower.add(block.first_sample, block.device_time_s, block.samples, block.lost_before):
            result = self._judge(window)
            decision = self._decider.add(result)
            if decision is not None:
                self._decided = decision.window.label
            results += [result] if decision is None else [result, decision]
            results += self._alarms_of(result)
        return results

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
        defect = find_defect(window, self._limits, self._recent_rate.sample_rate_hz)
        if defect is None and self._rate_changed:
            defect = RATE_OFF
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
        if self._offset.jumped(window.counts, self._full_scale_counts):
            return self._without_verdict(window, OFFSET_JUMPED)
        if self._keep is not None:
            self._keep(samples)
        inputs = input_of(centred, self._contract, self._speed_hz)
        probabilities = softmax(self._classifier.logits(inputs))[0]
        scores = dict(zip(self._manifest.labels, probabilities.tolist(), strict=True))
        novelty = None if self._novelty is None else float(self._novelty.of_centred(centred)[0])
        known = novelty is None or novelty <= 1
        verdict = Verdict.CLASS if known else Verdict.UNKNOWN
        label = max(scores, key=scores.__getitem__) if known else None
        return WindowResult(window.first_sample, window.device_time_s, verdict, label, scores, None, 0, novelty, level)
