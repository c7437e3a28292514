"""Run a search: candidates and inner folds in, jobs on all cores or a cluster, the choice out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drsn_edge.datasets.span import Split
from drsn_edge.errors import DivergedError
from drsn_edge.evaluation.classical import BASELINES
from drsn_edge.models.config import count_macs
from drsn_edge.recordings.recording import Recording
from drsn_edge.search.candidates import SHORT_EPOCHS, Family, Member
from drsn_edge.search.choose import (
    Candidate,
    Estimate,
    Judged,
    Truth,
    choose,
    expected,
    judge_candidate,
    members_of,
    ranked,
)
from drsn_edge.search.features import shown_rows
from drsn_edge.search.folds import InnerFolds
from drsn_edge.search.ground import Ground, Wishes, plan_of, prepare
from drsn_edge.search.logits import FoldLogits
from drsn_edge.search.runner import Progress, Runner, discriminants_of
from drsn_edge.search.store import Store
from drsn_edge.training.contract import network_for
from drsn_edge.training.settings import TrainSettings, settings_from

MARGIN = 0.03
"""A family whose best member is further behind the best one after the short training is not trained to the end."""

MOST_FINALISTS = 2
"""Most families that are trained to the end."""


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        wishes: What was wanted.
        settings: Settings of the choice.
        chosen: The choice.
        without_speed: Best candidate that needs no shaft speed; None if the choice needs none, or there is none.
        expected: What the choice is expected to reach on what the inner folds hold out.
        judged: All candidates and baselines, the best first.
        short_scores: Scores of the candidates after the short training of their family, by name.
        folds: The inner folds.
        labels: The classes in the order of the logits.
        truths: Labels and recordings of the judged windows, by the family's name.
        recordings: Names of the recordings by their number in a `Truth`.
        families: The families by name.
        remarks: Sentences about what was left out.
        seconds: Duration.
    """

    wishes: Wishes
    settings: TrainSettings
    chosen: Judged
    without_speed: Judged | None
    expected: Estimate
    judged: tuple[Judged, ...]
    short_scores: Mapping[str, float]
    folds: InnerFolds
    labels: tuple[str, ...]
    truths: Mapping[str, Truth]
    recordings: tuple[str, ...]
    families: Mapping[str, Family]
    remarks: tuple[str, ...]
    seconds: float


def search(
    recordings: Sequence[Recording],
    wishes: Wishes,
    store: Store,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Found:
    """Judge the candidates by inner folds, and choose one.

    Args:
        recordings: Recordings with the same axes and unit; each has a label, or the field in the settings.
        wishes: What is wanted.
        store: Keeps the result of each job.
        resume: Whether results that the store has are taken.
        progress: Called with what is being done, and the work that is done and all work, in jobs of equal weight.

    Raises:
        SplitError: If the recordings cannot be split, or there are no inner folds.
        TrainingError: If no candidate suits the recordings.
        DivergedError: If no candidate could be trained.
        JobsError: If a worker or the cluster failed.
    """
    began_s = time.monotonic()
    ground = prepare(recordings, wishes)
    store.begin(plan_of(recordings, wishes, ground), resume=resume)
    runner = Runner(ground, wishes, store, began_s + wishes.time_budget_s, progress or (lambda *_: None))
    results = runner.short()
    after_short = _judge(ground, results)
    results |= runner.full(_finalists(ground.families, after_short))
    allowed = _allowed(_judge(ground, results), wishes, runner.failures)
    results |= runner.full([ground.twins[name] for name in (choose(allowed).candidate.family,) if name in ground.twins])
    judged = ranked(_judge(ground, results))
    able = [each for each in judged if each.candidate.is_choosable]
    allowed = _allowed(judged, wishes, runner.failures)
    chosen = choose(allowed)
    steady = [each for each in able if not each.candidate.needs_speed]
    family = ground.by_name[chosen.candidate.family]
    assert chosen.candidate.member is not None
    return Found(
        wishes=wishes,
        settings=settings_from(family.member_values(chosen.candidate.member)),
        chosen=chosen,
        without_speed=choose(steady) if chosen.candidate.needs_speed and steady else None,
        expected=expected(allowed, ground.folds.alike),
        judged=tuple(judged),
        short_scores={each.candidate.name: each.score for each in after_short if each.candidate.member is not None},
        folds=ground.folds,
        labels=ground.split.labels,
        truths=_truths(ground),
        recordings=tuple(_numbers(ground.split)),
        families=ground.by_name,
        remarks=(*ground.folds.remarks, *runner.remarks()),
        seconds=time.monotonic() - began_s,
    )


def _allowed(judged: Sequence[Judged], wishes: Wishes, failures: Sequence[str]) -> list[Judged]:
    """Return the candidates that may be chosen.

    Raises:
        DivergedError: If no family could be trained.
    """
    able = [each for each in judged if each.candidate.is_choosable]
    if not able:
        raise DivergedError(f"No candidate could be trained. {' '.join(failures)}", "loss", failures=tuple(failures))
    return [each for each in able if not (wishes.without_speed and each.candidate.needs_speed)]


def _judge(ground: Ground, results: Mapping[str, list[FoldLogits]]) -> list[Judged]:
    """Return the members of all families with results, and the baselines."""
    truths = _truths(ground)
    judged = []
    for family in ground.by_name.values():
        is_full = family.name in results or family.settings().epochs <= SHORT_EPOCHS
        network = results.get(family.name) or results.get(f"{family.name}-short")
        discriminants = results.get(discriminants_of(ground, family))
        if network is not None:
            epochs = family.settings().epochs if is_full else SHORT_EPOCHS
            for member, folds in members_of(family, network, discriminants, len(ground.split.labels)):
                candidate = _candidate(ground, family, member, epochs, folds)
                judged.append(judge_candidate(candidate, truths[family.name]))
    for name in BASELINES:
        if name in results:
            folds = tuple((each.rows, each.logits[:, :, 0]) for each in results[name])
            judged.append(judge_candidate(Candidate(name, name, None, 0, 0, False, False, folds), truths[name]))
    return judged


def _candidate(ground: Ground, family: Family, member: Member, epochs: int, folds: Any) -> Candidate:
    settings, contract = settings_from(family.member_values(member)), ground.contracts[family.name]
    if contract.spectra is not None and member.inputs == "bands":
        contract = replace(contract, spectra=replace(contract.spectra, views=("bands",)))
    subclasses = ground.networks[family.name].subclasses
    network = network_for(settings, contract, len(ground.split.labels), subclasses)
    return Candidate(
        name=_title(family, member),
        family=family.name,
        member=member,
        macs=count_macs(network),
        epochs=epochs,
        is_choosable=not family.is_compared_only,
        needs_speed=contract.needs_speed or settings.research.speed_trend,
        folds=folds,
        plain_of=family.plain_of,
        rank=[each.name for each in ground.families].index(family.plain_of or family.name),
    )


def _title(family: Family, member: Member) -> str:
    weights = f" {':'.join(f'{weight:g}' for weight in member.view_weights)}" if member.inputs == "spectra" else ""
    discriminants = f" + {member.discriminants:g} lda" if member.discriminants else ""
    return f"{family.name}, {member.inputs}{weights}{discriminants}"


def _finalists(found: Sequence[Family], judged: Sequence[Judged]) -> list[Family]:
    """Return the families to train to the end, the best first."""
    best: dict[str, float] = {}
    for each in ranked([each for each in judged if each.candidate.is_choosable]):
        best.setdefault(each.candidate.family, each.score)
    near = [name for name, score in best.items() if score >= max(best.values()) - MARGIN]
    by_name = {family.name: family for family in found}
    return [by_name[name] for name in near[:MOST_FINALISTS]]


def _numbers(split: Split) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(span.recording.name for span in split.train))}


def _truths(ground: Ground) -> dict[str, Truth]:
    """Return what is known of the judged windows of each family and baseline."""
    numbers = _numbers(ground.split)
    of_features = {}
    for name, jobs in ground.features.items():
        rows = shown_rows(jobs)
        of_features[name] = Truth(rows.labels, np.array([numbers[each] for each in rows.recordings], np.int64))
    first = of_features[ground.named[ground.families[0].name]]
    return {**dict.fromkeys(BASELINES, first), **{family: of_features[name] for family, name in ground.named.items()}}
