"""Results in words for people, and the verdict of a window as plain values: every output uses these.

JSON of results is `drsn_edge.monitor.stages.results.to_json`.
"""

from __future__ import annotations

from dataclasses import dataclass

from drsn_edge.monitor.stages.results import Alarm, Coverage, Decision, Severity, Summary, WindowResult
from drsn_edge.signal.likeness import NOT_LOCATED
from drsn_edge.verdicts import COVERAGE_OFF, NO_CLASS, VERDICTS, Verdict


@dataclass(frozen=True)
class Said:
    """The verdict of a window as plain values, from a result or a row of a history.

    Attributes:
        verdict: Name of the verdict.
        label: The class; None unless the verdict is CLASS.
        reason: Why there is no verdict; None with a verdict.
        score: Probability of the class, or of the nearest class for UNKNOWN and UNSURE; None without scores.
        novelty: See `WindowResult`.
        nearest: Class of that score; None if unknown.
        second: Second class of UNSURE; None for any other verdict, or if unknown.
    """

    verdict: str
    label: str | None
    reason: str | None
    score: float | None = None
    novelty: float | None = None
    nearest: str | None = None
    second: str | None = None

    @property
    def state(self) -> str:
        """The class, or the verdict without a class; windows are counted and coloured by this."""
        return self.detail if self.verdict == Verdict.CLASS.value and self.detail else self.verdict

    @property
    def detail(self) -> str:
        """The class or the reason; empty without either."""
        return (self.label if self.verdict == Verdict.CLASS.value else self.reason) or ""

    @property
    def percent(self) -> str:
        """The probability of the class in percent; empty without a class."""
        return f"{self.score:.0%}" if self.label and self.score is not None else ""

    @property
    def pair(self) -> str:
        """The two most probable classes of UNSURE, the best first; empty for any other verdict."""
        return f"{self.nearest} or {self.second}" if self.second else ""

    @property
    def words(self) -> str:
        """The whole verdict in words."""
        if self.reason:
            return f"{self.verdict} ({self.reason})"
        if self.verdict == Verdict.UNKNOWN.value and self.novelty:
            nearest = f"; nearest {self.nearest}" if self.nearest else ""
            return f"{self.verdict} ({self.novelty:.1f} times the novelty limit{nearest})"
        if self.second:
            return f"{self.verdict} ({self.nearest} {self.score or 0.0:.0%}, or {self.second})"
        return f"{self.state} ({self.percent})" if self.percent else self.state


def said_by(result: WindowResult) -> Said:
    """Return the verdict of a window as plain values."""
    scores = result.scores
    nearest = result.label if scores and result.label in scores else None
    if scores and nearest is None:
        nearest = max(scores, key=scores.__getitem__)
    score = scores[nearest] if scores and nearest else None
    second = result.between[-1] if result.between else None
    return Said(result.verdict.value, result.label, result.reason, score, result.novelty, nearest, second)


def decision_line(decision: Decision) -> str:
    """Return a decision as lines: time, verdict, and since when; then what differs from what was learned."""
    window = decision.window
    first = f"{window.device_time_s:9.2f} s  {said_by(window).words}, since {decision.since:.2f} s"
    return "\n".join([first, *(f"{'':13}{each}" for each in explanation(decision))])


def explanation(decision: Decision) -> list[str]:
    """Return what explains a decision, in words: that a change is not located, and what differs."""
    not_located = [NOT_LOCATED] if decision.resembles == NOT_LOCATED else []
    return [*not_located, *(each.words for each in decision.differences)]


def alarm_line(alarm: Alarm) -> str:
    """Return a change of an alarm as one line."""
    begins = f"{alarm.device_time_s:9.2f} s  {alarm_words(alarm.name, alarm.state.value)}"
    kept = f", signal in {alarm.capture}" if alarm.capture else ""
    return f"{begins}, since {alarm.since:.2f} s{kept}"


def alarm_words(name: str, state: str) -> str:
    """Return the change of an alarm in words."""
    return f"ALARM {name} {state.lower()}"


def coverage_line(coverage: Coverage) -> str:
    """Return a change of whether coverage is off as one line."""
    begins = f"{coverage.device_time_s:9.2f} s  {COVERAGE_OFF if coverage.off else 'coverage on again'}"
    if coverage.named is None or coverage.least_named is None or coverage.most_named is None:
        return f"{begins}: the bundle in use is asked for no promise"
    return (
        f"{begins}: {coverage.named:.1%} of the last {coverage.windows} judged windows are of a class, "
        f"{coverage.least_named:.1%} to {coverage.most_named:.1%} in the inner folds"
    )


def severity_words(severity: Severity) -> str:
    """Return the severity in words."""
    velocity = severity.velocity_rms_mm_s
    zone = "" if severity.zone is None else f"zone {severity.zone}, "
    lines = ""
    if severity.bearing_db:
        strongest = max(severity.bearing_db, key=severity.bearing_db.__getitem__)
        word = {True: ", agrees with the class", False: ", DISAGREES with the class", None: ""}[severity.agrees]
        lines = f", {strongest} {severity.bearing_db[strongest]:.0f} dB{word}"
    speed = "" if velocity is None else f"{velocity:.2f} mm/s, "
    return f"{zone}{speed}{severity.acceleration_rms:.3g} {severity.unit} RMS, kurtosis {severity.kurtosis:.1f}{lines}"


def summary_words(summary: Summary) -> str:
    """Return the summary as three or four lines."""
    rate = f"{summary.sample_rate_hz:.2f} Hz" if summary.sample_rate_hz else "not measured"
    seen = ", ".join(f"{label} {count}" for label, count in summary.labels.items() if count) or "none"
    lost = f"{summary.samples_lost} lost" if summary.link.get("losses_counted", True) else "losses cannot be counted"
    counts = {verdict: summary.verdicts.get(verdict.value, 0) for verdict in reversed(NO_CLASS)}
    if not counts[Verdict.UNSURE]:  # as without a promised share of wrong classes
        del counts[Verdict.UNSURE]
    none = ", ".join(f"{count} {VERDICTS[verdict].counted}" for verdict, count in counts.items())
    skipped = (
        f"\nskipped   {summary.windows_skipped} windows: this machine is too slow" if summary.windows_skipped else ""
    )
    return (
        f"samples   {summary.samples_received} received, {lost}; rate by the sensor's clock {rate}\n"
        f"windows   {summary.windows} judged, {none}; classes: {seen}\n"
        f"link      {summary.link_losses} times lost, {summary.link.get('crc_errors', 0)} damaged frames"
        f"{skipped}"
    )
