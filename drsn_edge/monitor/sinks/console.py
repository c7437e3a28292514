"""Plain lines for people: each change of the decision, and the summary."""

from __future__ import annotations

from typing import TextIO

from drsn_edge.monitor.stages.results import Alarm, Decision, Result, Severity, Summary, WindowResult
from drsn_edge.verdicts import Verdict


class ConsoleSink:
    """Writes a line per decision; `status`, where given, gets the latest window on a line that is written over."""

    def __init__(self, stream: TextIO, status: TextIO | None = None, machine: str | None = None) -> None:
        """Write results to `stream` and the passing state to `status` (a terminal, or None).

        With a machine, each line names it.
        """
        self._stream = stream
        self._name = "" if machine is None else f"{machine}: "
        self._status = status
        self._severity = ""
        self._zone: str | None = None

    def take(self, result: Result) -> None:
        """Write one result."""
        if isinstance(result, WindowResult):
            self._show(f"{result.device_time_s:9.2f} s  {describe(result)}{self._severity}")
            return
        if isinstance(result, Severity):
            self._take_severity(result)
            return
        self._show("")
        if isinstance(result, Decision):
            text = decision_line(result)
        elif isinstance(result, Alarm):
            text = alarm_line(result)
        else:
            text = summary_text(result) + (f"\nseverity {self._severity}, at the end" if self._severity else "")
        self._write(text)

    def _take_severity(self, severity: Severity) -> None:
        self._severity = f"  {severity_words(severity)}"
        if severity.zone != self._zone:
            self._zone = severity.zone
            self._show("")
            self._write(f"{severity.device_time_s:9.2f} s  {severity_words(severity)}")

    def close(self) -> None:
        """Nothing waits."""

    def _write(self, text: str) -> None:
        self._stream.write("".join(f"{self._name}{line}\n" for line in text.splitlines()))
        self._stream.flush()

    def _show(self, text: str) -> None:
        if self._status is not None:
            self._status.write(f"\r\x1b[K{text}")
            self._status.flush()


def describe(result: WindowResult) -> str:
    """Return a window's verdict in words."""
    if result.verdict is Verdict.CLASS and result.scores and result.label:
        return f"{result.label} ({result.scores[result.label]:.0%})"
    if result.verdict is Verdict.UNKNOWN and result.scores and result.novelty:
        nearest = max(result.scores, key=result.scores.__getitem__)
        return f"UNKNOWN ({result.novelty:.1f} times as far off as trained windows go; nearest {nearest})"
    return f"{result.verdict.value} ({result.reason})"


def severity_words(severity: Severity) -> str:
    """Return how much a machine vibrates in words."""
    velocity = severity.velocity_rms_mm_s
    zone = "" if severity.zone is None else f"zone {severity.zone}, "
    lines = ""
    if severity.bearing_db:
        strongest = max(severity.bearing_db, key=severity.bearing_db.__getitem__)
        word = {True: ", as the class says", False: ", NOT what the class says", None: ""}[severity.agrees]
        lines = f", {strongest} {severity.bearing_db[strongest]:.0f} dB{word}"
    speed = "" if velocity is None else f"{velocity:.2f} mm/s, "
    return f"{zone}{speed}{severity.acceleration_rms:.3g} {severity.unit} RMS, kurtosis {severity.kurtosis:.1f}{lines}"


def decision_line(decision: Decision) -> str:
    """Return one line that says what holds from when on."""
    window = decision.window
    return f"{window.device_time_s:9.2f} s  {describe(window)}, since {decision.since:.2f} s"


def alarm_line(alarm: Alarm) -> str:
    """Return one line that says what became of an alarm."""
    begins = f"{alarm.device_time_s:9.2f} s  ALARM {alarm.name} {alarm.state.value.lower()}"
    kept = f", signal in {alarm.capture}" if alarm.capture else ""
    return f"{begins}, since {alarm.since:.2f} s{kept}"


def summary_text(summary: Summary) -> str:
    """Return the summary as a few lines."""
    rate = f"{summary.sample_rate_hz:.2f} Hz" if summary.sample_rate_hz else "not measured"
    seen = ", ".join(f"{label} {count}" for label, count in summary.labels.items() if count) or "none"
    lost = f"{summary.samples_lost} lost" if summary.link.get("losses_counted", True) else "losses cannot be counted"
    unknown = summary.verdicts.get(Verdict.UNKNOWN.value, 0)
    withheld = summary.verdicts[Verdict.NO_VERDICT.value]
    skipped = (
        f"\nskipped   {summary.windows_skipped} windows: this machine is too slow" if summary.windows_skipped else ""
    )
    return (
        f"samples   {summary.samples_received} received, {lost}; true rate {rate}\n"
        f"windows   {summary.windows} judged, {withheld} without a verdict, {unknown} unknown; classes: {seen}\n"
        f"link      {summary.link_losses} times lost, {summary.link.get('crc_errors', 0)} damaged frames"
        f"{skipped}"
    )
