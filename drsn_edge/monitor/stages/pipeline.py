"""The stages in a row: events of a source in, results out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import groupby, repeat
from typing import cast

from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.judge import Judge
from drsn_edge.monitor.stages.rate import RateTrust
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Decision, Result, Severity, Summary, WindowResult
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.monitor.stages.stream_state import HostClock, StreamState, WindowCounts
from drsn_edge.signal.windows import Window
from firmware_bridge.sources.arrivals import Arrival
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
"""Note that acknowledges all alarms, or one alarm if a space and its name follow."""

ACCEPT_MOUNTING = "accept mounting"
"""Note that accepts the present mounting after the sensor was moved on purpose."""


class Monitor:
    """Judges one stream with one judge at a time.

    Attributes:
        judge: The present judge; see `swap`.
        stream: State of the stream.
    """

    def __init__(
        self,
        judge: Judge,
        clock: HostClock | None = None,
        counts: WindowCounts | None = None,
        severity: SeverityMeter | None = None,
        capture: Capture | None = None,
    ) -> None:
        """Prepare for a stream before its Hello.

        Args:
            judge: Judge of the windows.
            clock: Clock of this machine; None: its monotonic clock, without a lag.
            counts: Counters to continue; None: they begin at 0.
            severity: Meter of the vibration severity; None: it is not measured.
            capture: Captures the signal around alarms; None: it is not captured.
        """
        counts = counts or WindowCounts()
        counts.expect(judge.manifest.labels)
        self.judge, self._severity, self._capture = judge, severity, capture
        self._clock = clock or HostClock()
        self.stream = StreamState(judge.contract, judge.taught_offset, counts)

    def run(self, source: Iterable[SourceEvent], counters: Callable[[], StreamCounters]) -> Iterator[Result]:
        """Yield window results and decisions as they come, and the summary when the source ends.

        Args:
            source: Events of a sensor; see `firmware_bridge.wire.events`.
            counters: Returns the counters of the link at the end.

        Raises:
            ContractError: If the sensor's description does not fit the model.
        """
        for event in source:
            yield from self.take(event)
        yield self.summary(counters())

    def take(self, event: SourceEvent) -> list[Result]:
        """Take one event that comes now, and return the results that follow."""
        arrival = Arrival(event, self._clock.arrived_s(), time.time())
        return [result for _, results in self.take_slice([arrival]) for result in results]

    def take_slice(self, arrivals: Sequence[Arrival]) -> Iterator[tuple[Arrival, list[Result]]]:
        """Take the events of a short time, and yield each event that has results with them, in order.

        The results are those of `take` for each event by itself: windows are judged together, and everything that
        depends on the windows before, such as decisions and alarms, follows in their order.
        """
        lag_s = self._clock.lag_s()
        for is_samples, found in groupby(arrivals, lambda each: isinstance(each.event, SampleBlock)):
            group = [*found]
            each_with_results = self._take_blocks(group, lag_s) if is_samples else map(self._take_other, group)
            yield from (each for each in each_with_results if each[1])

    def summary(self, counters: StreamCounters) -> Summary:
        """Return the counters of the run so far."""
        link, counts = asdict(counters), self.stream.counts
        return Summary(
            samples_received=link.pop("samples_received"),
            samples_lost=link.pop("samples_lost"),
            windows=sum(counts.verdicts.values()),
            verdicts=dict(counts.verdicts),
            labels=dict(counts.labels),
            sample_rate_hz=self.stream.sample_rate_hz,
            link=link,
            link_losses=counts.link_losses,
            windows_skipped=counts.skipped,
        )

    def swap(self, judge: Judge, severity: SeverityMeter | None = None) -> None:
        """Continue the stream with another judge, between two events; no sample is lost.

        Votes and evidence start again, since the model is another one; raised alarms stay.

        Args:
            judge: The new judge.
            severity: The new severity meter.

        Raises:
            ContractError: If the sensor does not fit the new model; then nothing has changed.
        """
        self.stream.serve(judge.contract, judge.taught_offset)
        self.stream.counts.expect(judge.manifest.labels)
        standing = self.judge.conclusions.standing
        judge.conclusions.take_over(replace(standing, decision=None))
        self.judge, self._severity = judge, severity
        if severity is not None and self.stream.hello is not None:
            severity.take(self.stream.hello)

    def withdraw(self) -> list[Result]:
        """Withdraw the decision, since nothing known about the sensor can be trusted; return the results."""
        self.stream.rate.link_lost()
        return [*self.judge.conclusions.withdraw(self.stream.freshness.link_lost())]

    def _take_other(self, arrival: Arrival) -> tuple[Arrival, list[Result]]:
        """Take an event other than samples."""
        event = arrival.event
        if self._capture is not None:
            self._capture.take(event, arrival.time_s)
        if self._severity is not None:
            self._severity.take(event)
        return arrival, [
            *self._followed(event, arrival.steady_s),
            *self._expire(arrival.steady_s, self.stream.patience_s),
        ]

    def _followed(self, event: SourceEvent, arrived_s: float) -> list[Result]:
        if isinstance(event, Hello):
            self.stream.take_hello(event, arrived_s)
            self.judge.forget_noise()
        elif isinstance(event, DeviceRestarted):
            self.stream.restart()
            self.judge.forget_noise()
            self.judge.conclusions.restart()
        elif isinstance(event, LinkLost):
            self.stream.counts.link_losses += 1
            return self.withdraw()
        elif isinstance(event, HelloRejected):
            return self.withdraw()
        elif isinstance(event, LinkRestored):
            self.stream.freshness.wait(arrived_s)
        elif isinstance(event, Note):
            return self._take_note(event)
        return []

    def _take_blocks(self, arrivals: Sequence[Arrival], lag_s: float) -> Iterator[tuple[Arrival, list[Result]]]:
        """Take samples that follow each other without another event between them."""
        blocks = cast("list[SampleBlock]", [each.event for each in arrivals])
        stretches = [] if self._severity is None else self._severity.cut(blocks)
        passed = self.stream.take(blocks, lag_s)
        looks = self.judge.look_at([window for each in passed for window in each.windows])
        freshness = self.stream.freshness
        for arrival, block, (windows, trust, patience_s), cut in zip(
            arrivals, blocks, passed, stretches or repeat(()), strict=False
        ):
            if self._capture is not None:
                self._capture.take(block, arrival.time_s)
            results: list[Result] = []
            severities = self._severities(cut, trust) if cut else []
            freshness.block(arrival.steady_s, block.first_sample, block.device_time_s)
            for _ in windows:
                result = self.judge.judge(next(looks), self.stream.offsets)
                self.stream.judged(result)
                results += [result, *self._concluded(result)]
            results += severities
            results += self._expire(arrival.steady_s, patience_s)
            if results:
                yield arrival, results

    def _severities(self, stretches: Sequence[Window], trust: RateTrust) -> list[Severity]:
        """Return the severities of stretches whose rate is known: others would have lines at wrong frequencies."""
        if self._severity is None:
            return []
        known = [each for each in stretches if trust.why_not(each.first_sample) is None]
        found = (self._severity.measure(each, self.judge.conclusions.label) for each in known)
        return [each for each in found if each is not None]

    def _concluded(self, result: WindowResult) -> Iterator[Result]:
        for found in self.judge.conclusions.take(result):
            if isinstance(found, Decision):
                yield self.judge.explained(found)
            elif self._capture is not None and isinstance(found, Alarm) and found.state is AlarmState.RAISED:
                yield replace(found, capture=self._capture.trigger(found.name))
            else:
                yield found

    def _take_note(self, note: Note) -> list[Result]:
        if note.text == ACCEPT_MOUNTING:
            self.stream.offsets.reset()
        done, _, name = note.text.partition(" ")
        return [*self.judge.conclusions.acknowledge(name or None)] if done == ACKNOWLEDGE else []

    def _expire(self, now_s: float, patience_s: float) -> list[Result]:
        """Withdraw a decision that no window has confirmed for too long."""
        conclusions = self.judge.conclusions
        why = self.stream.freshness.expired(now_s, patience_s, conclusions.has_verdict)
        return [] if why is None else [*conclusions.withdraw(why)]
