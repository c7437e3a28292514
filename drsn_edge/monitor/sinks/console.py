"""Plain lines for people: each change of the decision, and the summary."""

from __future__ import annotations

from typing import TextIO

from drsn_edge.monitor.results import Decision, Result, Summary, Verdict, WindowResult


class ConsoleSink:
    """Writes a line per decision; `status`, where given, gets the latest window on a line that is written over."""

    def __init__(self, stream: TextIO, status: TextIO | None = None) -> None:
        """Write results to `stream` and the passing state to `status` (a terminal, or None)."""
        self._stream = stream
        self._status = status

    def take(self, result: Result) -> None:
        """Write one result."""
        if isinstance(result, WindowResult):
            self._show(f"{result.device_time_s:9.2f} s  {describe(result)}")
            return
        self._show("")
        text = decision_line(result) if isinstance(result, Decision) else summary_text(result)
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing waits."""

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


def decision_line(decision: Decision) -> str:
    """Return one line that says what holds from when on."""
    window = decision.window
    return f"{window.device_time_s:9.2f} s  {describe(window)}, since {decision.since:.2f} s"


def summary_text(summary: Summary) -> str:
    """Return the summary as a few lines."""
    rate = f"{summary.sample_rate_hz:.2f} Hz" if summary.sample_rate_hz else "not measured"
    seen = ", ".join(f"{label} {count}" for label, count in summary.labels.items() if count) or "none"
    lost = f"{summary.samples_lost} lost" if summary.link.get("losses_counted", True) else "losses cannot be counted"
    unknown = summary.verdicts.get(Verdict.UNKNOWN.value, 0)
    withheld = summary.verdicts[Verdict.NO_VERDICT.value]
    return (
        f"samples   {summary.samples_received} received, {lost}; true rate {rate}\n"
        f"windows   {summary.windows} judged, {withheld} without a verdict, {unknown} unknown; classes: {seen}\n"
        f"link      {summary.link_losses} times lost, {summary.link.get('crc_errors', 0)} damaged frames"
    )
