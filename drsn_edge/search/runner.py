"""Run the jobs of a search by stages, and keep every result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from drsn_edge.evaluation.classical import BASELINES
from drsn_edge.jobs.run import run_jobs
from drsn_edge.search.candidates import SHORT_EPOCHS, Family
from drsn_edge.search.features import Features, Stretch, compute_features, joined
from drsn_edge.search.ground import DRAWS, Ground, Wishes
from drsn_edge.search.logits import FoldLogits
from drsn_edge.search.run_fold import DISCRIMINANTS, NETWORK, FoldJob, run_fold_job
from drsn_edge.search.store import Store
from drsn_edge.training.subclasses import subclass_numbers

Progress = Callable[[str, int, int], None]
"""Takes what is being done, and the work that is done and all work, in jobs of equal weight."""


class Runner:
    """Runs jobs by stages until the time is used up, and keeps every result."""

    def __init__(self, ground: Ground, wishes: Wishes, store: Store, deadline_s: float, progress: Progress) -> None:
        self._ground, self._wishes, self._store = ground, wishes, store
        self._deadline_s, self._progress = deadline_s, progress
        self._features: dict[str, Features] = {}
        self._done, self._stage = 0, "short trainings"
        self._total = sum(map(len, ground.features.values())) + len(self._short_jobs())
        self._late: list[str] = []
        self.failures: list[str] = []

    def short(self) -> dict[str, list[FoldLogits]]:
        """Train every family shortly, fit the discriminants and the baselines; return results by name."""
        return self._complete(self._short_jobs(), is_first_kept=True)

    def full(self, finalists: Sequence[Family]) -> dict[str, list[FoldLogits]]:
        """Train these families to the end, if there is time; those whose short training was as long keep its result."""
        longer = [family for family in finalists if family.plain_of or family.settings().epochs > SHORT_EPOCHS]
        jobs = {name: job for family in longer for name, job in self._of_family(family, None).items()}
        self._total += len(jobs)
        self._stage = "whole trainings"
        return self._complete(jobs, is_first_kept=False)

    def remarks(self) -> list[str]:
        """Return sentences about what did not come to its end."""
        names = ", ".join(dict.fromkeys(map(_in_words, self._late)))
        late = [f"The time budget was used up before these were complete: {names}."] if names else []
        return [*self.failures, *late]

    def _short_jobs(self) -> dict[str, FoldJob]:
        jobs: dict[str, FoldJob] = {}
        for family in self._ground.families:
            jobs |= self._of_family(family, min(SHORT_EPOCHS, family.settings().epochs))
            if family.settings().inputs != "waveform":
                jobs |= self._jobs(family, DISCRIMINANTS, discriminants_of(self._ground, family), None)
        for name in BASELINES:
            jobs |= self._jobs(self._ground.families[0], name, name, None)
        return jobs

    def _of_family(self, family: Family, epochs: int | None) -> dict[str, FoldJob]:
        return self._jobs(family, NETWORK, f"{family.name}{'-short' if epochs else ''}", epochs)

    def _jobs(self, family: Family, kind: str, name: str, epochs: int | None) -> dict[str, FoldJob]:
        settings = family.settings(epochs)
        ground = self._ground
        draws = min(DRAWS, math.ceil(settings.epochs / settings.research.redraw_every))
        return {
            f"{name}-{number}": FoldJob(
                kind,
                ground.named[family.name],
                number,
                _stretches(fold.split.train),
                _stretches(fold.split.held_out),
                draws,
                ground.networks[family.name],
                settings,
                tuple(subclass_numbers(ground.split.train, settings.research.subclass_field).items()),
            )
            for number, fold in enumerate(ground.folds.folds)
        }

    def _complete(self, jobs: Mapping[str, FoldJob], *, is_first_kept: bool) -> dict[str, list[FoldLogits]]:
        """Return the results of all folds by the jobs' common name; names that lack a fold are left out.

        Args:
            jobs: Jobs by name.
            is_first_kept: Whether the first family is trained even if the time is used up.
        """
        found = {name: kept for name in jobs if (kept := self._store.get(name)) is not None}
        self._done += len(found)
        missing = [name for name in jobs if name not in found]
        if missing and (is_first_kept or not self._is_late()):
            self._compute({jobs[name].features for name in missing})
            self._tell(self._stage)
            first = _common(missing[0]) if is_first_kept else ""
            for name, result in self._run([jobs[name] for name in missing], missing, first):
                if result.failure:
                    self.failures.append(f"{_common(name)} is left out: {result.failure}")
                else:
                    found[name] = result
                    self._store.put(name, result)
        return self._by_common_name(jobs, found)

    def _by_common_name(
        self, jobs: Mapping[str, FoldJob], found: Mapping[str, FoldLogits]
    ) -> dict[str, list[FoldLogits]]:
        results: dict[str, list[FoldLogits]] = {}
        for name in dict.fromkeys(map(_common, jobs)):
            folds = [found[each] for each in jobs if _common(each) == name and each in found]
            if len(folds) == len(self._ground.folds.folds):
                results[name] = folds
            elif not any(failure.startswith(f"{name} is left out") for failure in self.failures):
                self._late.append(name)
        return results

    def _run(self, jobs: Sequence[FoldJob], names: Sequence[str], first: str) -> Iterator[tuple[str, FoldLogits]]:
        """Yield results until the time is used up, and in any case those with the common name `first`."""
        wishes = self._wishes
        left = sum(_common(name) == first for name in names)
        results = run_jobs(run_fold_job, jobs, workers=wishes.workers, cluster=wishes.cluster, shared=(self._features,))
        for index, result in results:
            yield names[index], result
            self._step(self._stage)
            left -= _common(names[index]) == first
            if left <= 0 and self._is_late():
                results.close()  # type: ignore[attr-defined]
                return

    def _compute(self, names: set[str]) -> None:
        for name in sorted(names - self._features.keys()):
            jobs = self._ground.features[name]
            self._tell("network inputs")
            parts: dict[int, Features] = {}
            for index, part in run_jobs(
                compute_features, jobs, workers=self._wishes.workers, cluster=self._wishes.cluster
            ):
                parts[index] = part
                self._step("network inputs")
            self._features[name] = joined([parts[index] for index in range(len(jobs))])

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline_s

    def _step(self, what: str) -> None:
        self._done += 1
        self._tell(what)

    def _tell(self, what: str) -> None:
        self._progress(what, self._done, self._total)


def discriminants_of(ground: Ground, family: Family) -> str:
    """Return the name of the discriminants of a family; families with the same inputs and subclasses share them."""
    research = family.settings().research
    trend = "-trend" if research.speed_trend else ""
    return f"{DISCRIMINANTS}-{ground.named[family.name]}{trend}-by-{research.subclass_field or 'class'}"


def _in_words(common: str) -> str:
    """Return words for the jobs with a common name."""
    if common.startswith(DISCRIMINANTS):
        return "linear discriminants"
    if common in BASELINES:
        return f"the baseline {common}"
    family = common.removesuffix("-short")
    return f"the {'whole' if family == common else 'short'} training of {family}"


def _common(name: str) -> str:
    return name.rpartition("-")[0]


def _stretches(spans: Sequence[Any]) -> tuple[Stretch, ...]:
    return tuple((span.recording.name, span.start, span.stop) for span in spans)
