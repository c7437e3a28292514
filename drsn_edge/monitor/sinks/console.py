"""Plain lines for people: changes of the decision, alarms, and the summary."""

from __future__ import annotations

from typing import TextIO

from drsn_edge.monitor.stages.results import Alarm, Coverage, Decision, Result, Severity, WindowResult
from drsn_edge.monitor.stages.words import (
    alarm_line,
    coverage_line,
    decision_line,
    said_by,
    severity_words,
    summary_words,
)


class ConsoleSink:
    """Writes a line per change; the terminal `status`, if given, shows the last window on an overwritten line."""

    def __init__(self, stream: TextIO, status: TextIO | None = None, machine: str | None = None) -> None:
        """Write changes to `stream` and the last window to `status`, a terminal or None.

        If `machine` is given, each line begins with it.
        """
        self._stream = stream
        self._name = "" if machine is None else f"{machine}: "
        self._status = status
        self._severity = ""
        self._zone: str | None = None
        self._passing: WindowResult | None = None

    def take(self, result: Result) -> None:
        """Write one result; of windows, `flush` shows the last one of a slice of time."""
        if isinstance(result, WindowResult):
            self._passing = result
            return
        if isinstance(result, Severity):
            self._take_severity(result)
            return
        self._show("")
        if isinstance(result, Decision):
            text = decision_line(result)
        elif isinstance(result, Alarm):
            text = alarm_line(result)
        elif isinstance(result, Coverage):
            text = coverage_line(result)
        else:
            text = summary_words(result) + (f"\nseverity {self._severity}, at the end" if self._severity else "")
        self._write(text)

    def _take_severity(self, severity: Severity) -> None:
        self._severity = f"  {severity_words(severity)}"
        if severity.zone != self._zone:
            self._zone = severity.zone
            self._show("")
            self._write(f"{severity.device_time_s:9.2f} s  {severity_words(severity)}")

    def flush(self) -> None:
        """Show the last window."""
        shown, self._passing = self._passing, None
        if shown is not None and self._status is not None:
            self._show(f"{shown.device_time_s:9.2f} s  {said_by(shown).words}{self._severity}")

    def close(self) -> None:
        """Do nothing: nothing waits that matters at the end."""

    def _write(self, text: str) -> None:
        self._stream.write("".join(f"{self._name}{line}\n" for line in text.splitlines()))
        self._stream.flush()

    def _show(self, text: str) -> None:
        if self._status is not None:
            self._status.write(f"\r\x1b[K{text}")
            self._status.flush()
