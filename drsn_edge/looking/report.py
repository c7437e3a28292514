"""What a look at recordings found."""

from __future__ import annotations

from dataclasses import dataclass

from drsn_edge.looking.names import Guess
from drsn_edge.looking.proposal import Proposal
from drsn_edge.looking.sight import Sight


@dataclass(frozen=True)
class Failure:
    """A file that could not be read.

    Attributes:
        path: Its path below the folder.
        reason: Why, in one sentence or two, without the path at its beginning.
        problem: Name of the problem, by which failures of many files are told together.
    """

    path: str
    reason: str
    problem: str


@dataclass(frozen=True)
class Look:
    """What was found in files and folders.

    Attributes:
        sights: Recordings that were read, in order of their paths.
        failures: Files that could not be read.
        passed_over: Sentences about files that are no recordings.
        doubts: Sentences about what is likely wrong with the recordings together.
        proposal: Guesses for what nothing states, and what remains missing.
    """

    sights: tuple[Sight, ...]
    failures: tuple[Failure, ...]
    passed_over: tuple[str, ...]
    doubts: tuple[str, ...]
    proposal: Proposal

    def guess(self, sight: Sight, key: str) -> Guess | None:
        """Return the guess for a key that nothing states."""
        return self.proposal.guesses.get(sight.path, {}).get(key)

    def label_of(self, sight: Sight) -> str | None:
        """Return the label, stated or guessed."""
        return sight.label or _text(self.guess(sight, "label"))

    def unit_of(self, sight: Sight) -> str | None:
        """Return the unit, stated or guessed."""
        return sight.unit or _text(self.guess(sight, "unit"))

    def rate_of(self, sight: Sight) -> float | None:
        """Return the sampling rate in Hz, stated or guessed."""
        guess = self.guess(sight, "sample_rate_hz")
        guessed = float(guess.value) if guess is not None and isinstance(guess.value, (int, float)) else None
        return sight.sample_rate_hz or guessed

    def group_of(self, sight: Sight) -> str | None:
        """Return the group, stated or guessed; None if the file is a group of its own."""
        return sight.group or _text(self.guess(sight, "group"))

    def seconds_of(self, sight: Sight) -> float | None:
        """Return the length in seconds by the rate, stated or guessed."""
        rate = self.rate_of(sight)
        return sight.measures.n_samples / rate if rate else None


def _text(guess: Guess | None) -> str | None:
    return None if guess is None else str(guess.value)
