"""The stages in a row: events of a source in, results out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace

from drsn_edge.monitor.stages.capture import Capture
from drsn_edge.monitor.stages.conclusions import Standing
from drsn_edge.monitor.stages.judge import Judge
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Result, Summary, WindowResult
from drsn_edge.monitor.stages.severity_meter import SeverityMeter
from drsn_edge.monitor.stages.stream_state import HostClock, StreamState, WindowCounts
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
        self.stream = StreamState(judge.contract, judge.taught_offset, clock or HostClock(), counts)

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
        """Take one event and return the results that follow."""
        if self._capture is not None:
            self._capture.take(event)
        severities = [] if self._severity is None else self._severity.take(event, self.judge.conclusions.label)
        results = self._take(event)
        if severities:  # at an unknown rate, lines and velocities would be at wrong frequencies
            severities = [each for each in severities if self.stream.rate.why_not(each.first_sample) is None]
        return [*results, *severities, *self._expire()]

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
        judge.conclusions.take_over(Standing(alarms=self.judge.conclusions.standing.alarms))
        self.judge, self._severity = judge, severity
        if severity is not None and self.stream.hello is not None:
            severity.take(self.stream.hello)

    def withdraw(self) -> list[Result]:
        """Withdraw the decision, since nothing known about the sensor can be trusted; return the results."""
        self.stream.rate.link_lost()
        return [*self.judge.conclusions.withdraw(self.stream.freshness.link_lost())]

    def _take(self, event: SourceEvent) -> list[Result]:
        if isinstance(event, SampleBlock):
            return self._take_block(event)
        if isinstance(event, Hello):
            self.stream.take_hello(event)
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
            self.stream.freshness.wait(self.stream.arrived_s())
        elif isinstance(event, Note):
            return self._take_note(event)
        return []

    def _take_block(self, block: SampleBlock) -> list[Result]:
        results: list[Result] = []
        for window in self.stream.take(block):
            result = self.judge.judge(window, self.stream.offsets)
            self.stream.judged(result)
            results += [result, *self._concluded(result)]
        return results

    def _concluded(self, result: WindowResult) -> Iterator[Result]:
        for found in self.judge.conclusions.take(result):
            if self._capture is not None and isinstance(found, Alarm) and found.state is AlarmState.RAISED:
                yield replace(found, capture=self._capture.trigger(found.name))
            else:
                yield found

    def _take_note(self, note: Note) -> list[Result]:
        if note.text == ACCEPT_MOUNTING:
            self.stream.offsets.reset()
        done, _, name = note.text.partition(" ")
        return [*self.judge.conclusions.acknowledge(name or None)] if done == ACKNOWLEDGE else []

    def _expire(self) -> list[Result]:
        """Withdraw a decision that no window has confirmed for too long."""
        stream, conclusions = self.stream, self.judge.conclusions
        why = stream.freshness.expired(stream.arrived_s(), stream.patience_s, conclusions.has_verdict)
        return [] if why is None else [*conclusions.withdraw(why)]
