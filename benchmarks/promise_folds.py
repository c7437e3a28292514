"""Measure how often promises of inner folds are kept: each fold is left out, and the others promise.

    python benchmarks/promise_folds.py run/inner_folds.npz other/inner_folds.npz

For each share of wrong classes, by default 2 % and 5 %, a line for each fold: the share of wrong classes among the
named windows of the fold that was left out, the share of its windows that are named, and whether the promise was kept.
The logits are those of the inner folds, so nothing is trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drsn_edge.bundle.promise import FEWEST_FOLDS
from drsn_edge.conversion.promise import promise_of
from drsn_edge.evaluation.kept_promise import kept_by
from drsn_edge.training.inner_folds import MOST_BYTES, FoldedLogits, folded_from_bytes
from firmware_bridge.support.regular_file import read_regular

SHARES = (0.02, 0.05)
FEWEST = FEWEST_FOLDS + 1
"""Fewest folds: one is left out, and the others must be enough for a promise."""


class Outcome(NamedTuple):
    """What a promise of the other folds gave on a fold.

    Attributes:
        fold: Name of the fold.
        asked: Share of wrong classes that was asked for.
        wrong: Share of wrong classes among the named windows; None: it could not be promised.
        named: Share of the windows that are named.
        is_kept: Whether `wrong` is at most `asked`; False if it could not be promised.
    """

    fold: str
    asked: float
    wrong: float | None
    named: float
    is_kept: bool


def outcomes(folds: FoldedLogits, asked: Sequence[float] = SHARES) -> Iterator[Outcome]:
    """Yield the outcome for each fold, left out of the promise, and each share."""
    for fold in np.unique(folds.fold):
        left_out = folds.fold == fold
        promise = promise_of(folds.pick(~left_out))
        rest = folds.pick(left_out)
        for share in asked:
            kept = kept_by(promise, share, rest.logits, rest.labels, rest.novelty > 1)
            name = str(folds.fold_names[fold])
            if kept.wrong is None or kept.named is None:
                yield Outcome(name, share, None, 0.0, False)
            else:
                wrong = kept.wrong / max(1, kept.named)
                yield Outcome(name, share, wrong, kept.named / kept.windows, wrong <= share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="inner_folds.npz of run folders")
    parser.add_argument("--at-most-wrong", type=float, nargs="+", default=[100 * share for share in SHARES])
    arguments = parser.parse_args()
    asked = [percent / 100 for percent in arguments.at_most_wrong]
    found: list[Outcome] = []
    for path in arguments.files:
        folds = folded_from_bytes(read_regular(path, MOST_BYTES))
        if len(np.unique(folds.fold)) < FEWEST:
            print(f"{path}: passed over, fewer than {FEWEST} folds")
            continue
        for each in outcomes(folds, asked):
            found.append(each)
            print(f"{path}  {each.fold:12}{_words(each)}")
    for share in asked:
        print(summary([each for each in found if each.asked == share], share))


def summary(found: Sequence[Outcome], asked: float) -> str:
    """Return a line on the outcomes for one share."""
    promised = [each for each in found if each.wrong is not None]
    kept, coverage = sum(each.is_kept for each in promised), sum(each.named for each in promised)
    mean = sum(each.wrong or 0.0 for each in promised) / max(1, len(promised))
    return (
        f"{asked:.0%}: {len(found)} folds, promised {len(promised)}, kept {kept}; of the promised: "
        f"{mean:.1%} wrong, {coverage / max(1, len(promised)):.0%} named"
    )


def _words(outcome: Outcome) -> str:
    if outcome.wrong is None:
        return f"{outcome.asked:4.0%}  not promised"
    kept = "kept" if outcome.is_kept else "not kept"
    return f"{outcome.asked:4.0%}  wrong {outcome.wrong:6.1%}  named {outcome.named:6.1%}  {kept}"


if __name__ == "__main__":
    main()
