"""The debounced verdict: K of the last N windows must agree. A pure state machine."""

from __future__ import annotations

from collections import deque

from drsn_edge.bundle.votes import Votes
from drsn_edge.monitor.stages.results import Decision, WindowResult
from drsn_edge.verdicts import Verdict


class Decider:
    """Turns window results into decisions, one per change."""

    def __init__(self, votes: Votes) -> None:
        """Begin without a decision."""
        self._votes = votes
        self._recent: deque[WindowResult] = deque(maxlen=votes.window_count)
        self.current: tuple[Verdict, str | None] | None = None
        """The present state (`WindowResult.state`), None before the first; set it to continue from another."""

    def add(self, result: WindowResult) -> Decision | None:
        """Take one window; return the new decision if it changed.

        Windows without a verdict agree whatever their reasons, so that a class cannot outlast a signal that is damaged
        in several ways. One reason replaces another only if it has enough votes of its own.
        """
        self._recent.append(result)
        agreeing = [recent for recent in self._recent if recent.state == result.state]
        if len(agreeing) < self._votes.needed and not self._is_without_verdict():
            agreeing = [recent for recent in self._recent if recent.verdict is result.verdict is Verdict.NO_VERDICT]
        if len(agreeing) < self._votes.needed:
            return None
        return self._change_to(result, agreeing[0].device_time_s)

    def forget_votes(self) -> None:
        """Forget all windows after a restart of the sensor; the decision stays."""
        self._recent.clear()

    @property
    def has_verdict(self) -> bool:
        """Whether the decision is not NO_VERDICT."""
        return self.current is not None and self.current[0] is not Verdict.NO_VERDICT

    @property
    def label(self) -> str | None:
        """The class that the decision names; None if it names none."""
        return self.current[1] if self.current is not None and self.current[0] is Verdict.CLASS else None

    def _is_without_verdict(self) -> bool:
        return self.current is not None and self.current[0] is Verdict.NO_VERDICT

    def force(self, result: WindowResult) -> Decision | None:
        """Take a result that needs no votes, such as a lost link; earlier windows no longer count."""
        self.forget_votes()
        return self._change_to(result, result.device_time_s)

    def _change_to(self, result: WindowResult, since: float) -> Decision | None:
        if result.state == self.current:
            return None
        self.current = result.state
        return Decision(result, since)
