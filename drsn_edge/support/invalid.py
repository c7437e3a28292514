"""What a reader of values raises before anybody knows which file they came from."""

from __future__ import annotations


class InvalidValueError(ValueError):
    """A value that was read cannot be used.

    Whoever knows the file raises an error of drsn_edge with this sentence behind the file's name, and with the same
    problem and facts.

    Attributes:
        problem: Short name of what is wrong, such as "not_a_list".
        facts: Values that the sentence tells, by name.
    """

    def __init__(self, message: str, problem: str, /, **facts: object) -> None:
        """Keep the sentence, the problem's name and its facts."""
        super().__init__(message)
        self.problem = problem
        self.facts = facts
