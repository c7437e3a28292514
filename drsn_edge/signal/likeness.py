"""What a change of a machine may resemble, as names and labels. Without NumPy, since every manifest has them."""

from __future__ import annotations

LIKE = "like "
"""Begins each name as a label, because no recording has confirmed it."""

NOT_LOCATED = "not located"
"""Words for a change that has no name."""

DEFECTS = ("outer_race", "inner_race", "ball", "cage")
"""Defects of a bearing."""

IMBALANCE, MISALIGNMENT, LOOSENESS = "imbalance", "misalignment", "looseness"

LABELS = tuple(LIKE + name for name in (*DEFECTS, LOOSENESS, IMBALANCE, MISALIGNMENT))
"""Labels of all names, in the order in which a manifest lists them after the healthy label."""


def label_of(name: str | None) -> str:
    """Return the label of a name, such as `like outer_race`; of None it is `not located`."""
    return NOT_LOCATED if name is None else LIKE + name
