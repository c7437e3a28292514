"""What is known before the first job of a search: wishes, candidates, inner folds and the jobs that make inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from drsn_edge import __version__
from drsn_edge.datasets.labels import labelled_by
from drsn_edge.datasets.rates import at_one_rate
from drsn_edge.datasets.span import HoldOut, Split
from drsn_edge.datasets.split import check_alike, parse_hold_out
from drsn_edge.models.config import DrsnConfig
from drsn_edge.recordings.recording import Recording
from drsn_edge.search.candidates import Facts, Family, Member, families, plain_twin, unweighted
from drsn_edge.search.conditions import condition_fields
from drsn_edge.search.features import FeatureJob, feature_jobs
from drsn_edge.search.folds import TIME_FOLDS, InnerFolds, inner_folds
from drsn_edge.signal.contract import SignalContract
from drsn_edge.training.checkpoint import fingerprint
from drsn_edge.training.contract import contract_for, network_for
from drsn_edge.training.feed import split_recordings
from drsn_edge.training.subclasses import subclass_count, subclass_numbers

DRAWS = 4
"""Draws of the training windows, which the epochs of a search take in turns: each has its own places and noise."""

_OF_SPEED = ("view_weights", "highest_order", "speed_trend")
"""Settings that have no effect, or no meaning, without the shaft speed."""

_NOT_IN_FEATURES = (
    "network",
    "epochs",
    "learning_rate",
    "block",
    "batch_size",
    "style_mix",
    "class_weights",
    "speed_trend",
    "subclass_field",
)


@dataclass(frozen=True)
class Wishes:
    """What a user wants of a search.

    Attributes:
        fixed: Settings by name that are not searched, `hold_out` among them.
        target: Where the network will run: one of `drsn_edge.search.names.TARGETS`.
        without_speed: Whether a network that needs the shaft speed is not chosen.
        time_budget_s: Time after which no further training starts, in seconds.
        workers: Number of processes on this machine.
        cluster: Address of a Dask scheduler; None: this machine.
    """

    fixed: Mapping[str, Any]
    target: str = "gateway"
    without_speed: bool = False
    time_budget_s: float = math.inf
    workers: int = 1
    cluster: str | None = None


@dataclass(frozen=True)
class Ground:
    """Everything that is known before the first job.

    Attributes:
        families: The candidates.
        twins: For the name of a family, the same with plain blocks; only that of the choice is trained.
        split: Split with the longest window of all candidates.
        folds: Its inner folds.
        features: Jobs for the inputs of each family, by the features' name.
        named: Name of the features of each family.
        networks: Network of each family.
        contracts: Contract of each family.
    """

    families: tuple[Family, ...]
    twins: Mapping[str, Family]
    split: Split
    folds: InnerFolds
    features: Mapping[str, list[FeatureJob]]
    named: Mapping[str, str]
    networks: Mapping[str, DrsnConfig]
    contracts: Mapping[str, SignalContract]

    @property
    def by_name(self) -> dict[str, Family]:
        """All families, then their twins, by name."""
        return {family.name: family for family in (*self.families, *self.twins.values())}


def prepare(recordings: Sequence[Recording], wishes: Wishes) -> Ground:
    """Return everything that is known before the first job.

    Args:
        recordings: The recordings.
        wishes: What a user wants of the search.

    Raises:
        SplitError: If the recordings cannot be split, or there are no inner folds.
        TrainingError: If no candidate suits the recordings.
    """
    fixed = wishes.fixed
    hold_out = parse_hold_out(fixed["hold_out"])
    facts = _facts(recordings, fixed, hold_out)
    found = families(facts, fixed, wishes.target)
    if wishes.without_speed:
        found = tuple(_steady(family) for family in found)
    if hold_out.kind == "windows" and "hop" not in fixed:
        found = tuple(_without_overlap(family) for family in found)
    longest = max((each.settings() for each in found), key=lambda settings: settings.window)
    whole = replace(longest, patience=0, research=replace(longest.research, validation=False))
    split = split_recordings(recordings, whole)
    folds = inner_folds(split, hold_out, longest.window, allow_leaks=longest.allow_leaks)
    if hold_out.kind == "field" and folds.field != hold_out.name:
        found = tuple(replace(each, members=unweighted(each.members)) for each in found)
    twins = {each.name: twin for each in found if (twin := plain_twin(each, fixed)) is not None}
    return _with_features(recordings, found, twins, split, folds)


def _facts(recordings: Sequence[Recording], fixed: Mapping[str, Any], hold_out: HoldOut) -> Facts:
    """Return what the recordings allow; `time=` leaves a part of each, of which a fold is a part."""
    field_name = fixed.get("label_field", "")
    named = labelled_by(recordings, field_name) if field_name else recordings
    check_alike(named)
    taken = at_one_rate(named, fixed.get("sample_rate_hz") or None).recordings
    share, late = 1.0, float(hold_out.value if hold_out.kind == "time" else hold_out.time_share or 0)
    if hold_out.kind == "time":
        share = 2 * min(late, (1 - late) / TIME_FOLDS)
    elif late:
        share = 2 * min(late, (1 - late) * min(late, 1 - late))
    lengths = [len(recording.samples) for recording in taken]
    with_speed = all(each.speed_hz > 0 for each in taken)
    return Facts(round(min(lengths) * share), sum(lengths), with_speed, condition_fields(named, hold_out))


def _steady(family: Family) -> Family:
    """Return the family with inputs that need no speed."""
    if family.values.get("inputs") != "spectra":
        return family
    members = dict.fromkeys(Member("bands", (1.0,), each.discriminants) for each in family.members)
    values = {name: value for name, value in family.values.items() if name not in _OF_SPEED}
    return replace(family, values={**values, "inputs": "bands"}, members=tuple(members))


def _without_overlap(family: Family) -> Family:
    """Return the family with windows that share no samples: random ones of the same recording are held out."""
    return replace(family, values={**family.values, "hop": family.settings().window})


def _with_features(
    recordings: Sequence[Recording],
    found: Sequence[Family],
    twins: Mapping[str, Family],
    split: Split,
    folds: InnerFolds,
) -> Ground:
    features: dict[str, list[FeatureJob]] = {}
    keys: dict[str, str] = {}
    named, networks = {}, {}
    contracts: dict[str, SignalContract] = {}
    for family in (*found, *twins.values()):
        settings = family.settings()
        contract = contracts.get(family.plain_of) or contract_for(recordings, split, settings)
        contracts[family.name] = contract
        numbers = subclass_numbers(split.train, settings.research.subclass_field)
        networks[family.name] = network_for(settings, contract, len(split.labels), subclass_count(numbers))
        kept = {name: value for name, value in family.values.items() if name not in _NOT_IN_FEATURES}
        name = keys.setdefault(repr(sorted(kept.items())), f"inputs-{len(keys)}")
        named[family.name] = name
        if name not in features:
            features[name] = feature_jobs(split, settings, contract, DRAWS, with_baselines=not features)
    return Ground(tuple(found), twins, split, folds, features, named, networks, contracts)


def plan_of(recordings: Sequence[Recording], wishes: Wishes, ground: Ground) -> dict[str, Any]:
    """Return what decides the results of the jobs, so that those of another search are not taken for them."""
    return {
        "version": __version__,
        "recordings": fingerprint(recordings),
        "fixed": {name: str(value) for name, value in wishes.fixed.items()},
        "families": [[family.name, repr(sorted(family.values.items()))] for family in ground.families],
        "folds": ground.folds.names,
        "draws": DRAWS,
    }
