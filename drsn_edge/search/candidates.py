"""The candidates of a search, as one short table.

A family is what one training decides: inputs, network, window and augmentation. Its members differ in what is free once
it is trained: a network for spectra has a branch for each view, each branch learns from its own logits, and linear
discriminants are fitted in closed form. Every weighting of views and every weight of the discriminants is therefore
judged on the logits of the same trainings.

The order of the families is that of preference among those that the folds do not tell apart: first those that leave
least of the effect of speed and load to be learned.

To add a candidate, add a line to `_SPECTRAL` or `_WAVEFORM`, or a value to `VIEW_WEIGHTS` or `DISCRIMINANTS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drsn_edge.errors import TrainingError
from drsn_edge.training.settings import TrainSettings, settings_from

LONGEST_WINDOW, SHORTEST_WINDOW = 16384, 1024
"""Range of the window of log spectra, in samples: the largest power of two of which a recording holds two."""

STREAMED_PER_WINDOW = 4
"""Windows that begin within one window when streaming. Training windows overlap more, because each gives the network
another noise and place; a gateway would judge the same samples sixteen times."""

MOST_WINDOWS = 20_000
"""Most training windows of an epoch for which a hop is shortened below half a window."""

SHORT_EPOCHS = 8
"""Epochs of the first, short training of each family."""

VIEW_WEIGHTS = ((1.0, 0.0, 0.0), (4.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 2.0, 2.0), (1.0, 4.0, 4.0))
"""Weights of bands, orders and envelopes. Only weights above 0 can be trained together; (1, 0, 0) is the inputs
`bands`, which need no shaft speed."""

DISCRIMINANTS = (0.0, 0.03, 0.1, 0.3)
"""Weights of the linear discriminants, relative to the network's logits."""

_SPECTRA: Mapping[str, Any] = {
    "inputs": "spectra",
    "epochs": 24,
    "redraw_every": 3,
    "speed_range": 0.0,
    "clean_share": 0.45,
    "scaling": "fixed",
    "style_mix": 0.5,
    "validation": False,
}
_LEVELS: Mapping[str, Any] = {"absolute_bands": True, "speed_trend": True}
"""Bands that keep their level, without their trend with the shaft speed, which every recording must then have."""

_SPECTRAL: Mapping[str, Mapping[str, Any]] = {
    "spectral-levels": {"network": "spectral", **_SPECTRA, **_LEVELS},
    "spectral-dense-levels": {"network": "spectral-dense", **_SPECTRA, **_LEVELS},
    "spectral": {"network": "spectral", **_SPECTRA},
    "spectral-dense": {"network": "spectral-dense", **_SPECTRA},
}
_ONLY_WITHOUT_SPEED = ("spectral-dense",)
"""Families that are left out where every recording has a speed, which allows better ones."""

_ALSO_WHOLE = ("spectral-levels",)
"""Families that are also judged without subclasses where there are some."""

UNWEIGHTED = (1.0, 1.0, 1.0)
"""Weights of the views where nothing on the training side shows which view carries over."""
_WAVEFORM: Mapping[str, Mapping[str, Any]] = {
    "small-1024": {"network": "small", "inputs": "waveform", "window": 1024, "hop": 512},
    "small-2048": {"network": "small", "inputs": "waveform", "window": 2048, "hop": 1024},
}
_FOR_COMPARISON = ("small-1024",)
"""Families on waveforms in a search for a gateway: shortly trained, for the table."""


@dataclass(frozen=True)
class Member:
    """One way to weigh the logits of a trained family.

    Attributes:
        inputs: Kind of input that the member needs.
        view_weights: Weight of each branch of the family's network, in order.
        discriminants: Weight of the linear discriminants.
    """

    inputs: str
    view_weights: tuple[float, ...] = (1.0,)
    discriminants: float = 0.0


@dataclass(frozen=True)
class Family:
    """What is trained once in each inner fold.

    Attributes:
        name: Name in the table.
        values: Settings by name, as `settings_from` takes them.
        members: What is judged on its logits.
        is_compared_only: Whether it stands in the table for comparison alone, and is never chosen.
        plain_of: Name of the family of which it is the twin with plain blocks; empty for other families.
    """

    name: str
    values: Mapping[str, Any]
    members: tuple[Member, ...]
    is_compared_only: bool = False
    plain_of: str = ""

    def settings(self, epochs: int | None = None) -> TrainSettings:
        """Return the settings of the family's training, whose branches have equal weights and no discriminants.

        Args:
            epochs: Epochs of a shorter training; None: those of the family.
        """
        values = {name: value for name, value in self.values.items() if name not in ("view_weights", "discriminants")}
        return settings_from(values if epochs is None else {**values, "epochs": epochs})

    def member_values(self, member: Member) -> dict[str, Any]:
        """Return the settings by name with which a training gives this member."""
        values = {**self.values, "inputs": member.inputs}
        if member.inputs == "spectra":
            values["view_weights"] = member.view_weights
        else:
            values.pop("view_weights", None)
            values.pop("highest_order", None)
        if member.inputs != "waveform":
            values["discriminants"] = member.discriminants
        return values


@dataclass(frozen=True)
class Facts:
    """What the recordings allow.

    Attributes:
        shortest: Samples of the shortest stretch that is trained on, at the common rate.
        samples: Samples of all stretches together.
        with_speed: Whether every recording has a shaft speed.
        conditions: Fields whose values may be subclasses, the best one first.
    """

    shortest: int
    samples: int
    with_speed: bool
    conditions: tuple[str, ...] = ()


def plain_twin(family: Family, fixed: Mapping[str, Any]) -> Family | None:
    """Return the family with plain blocks in place of its shrinkage blocks; None where the user chose the blocks."""
    if "block" in fixed or family.is_compared_only:
        return None
    name = f"{family.name} without shrinkage"
    return Family(name, {**family.values, "block": "plain"}, family.members, plain_of=family.name)


def families(facts: Facts, fixed: Mapping[str, Any], target: str = "gateway") -> tuple[Family, ...]:
    """Return the families that suit the recordings, what the user fixed, and where the network will run.

    Args:
        facts: What the recordings allow.
        fixed: Settings by name that no candidate changes, `hold_out` among them.
        target: One of `drsn_edge.search.names.TARGETS`.

    Raises:
        TrainingError: If no candidate is left, or the settings of all are impossible.
    """
    spectral = [] if target == "sensor" else list(_spectral(facts, fixed))
    fitting, refusals = _fitting(spectral, facts)
    others, more = _fitting(_waveform(fixed, "gateway" if fitting else "sensor"), facts)
    if not fitting and all(family.is_compared_only for family in others):
        if refusals or more:
            raise [*refusals, *more][0]
        raise TrainingError(
            f"No candidate suits these recordings: the shortest stretch to train on has {facts.shortest} samples. "
            "Record longer, or choose --inputs, --network and --window yourself.",
            "no_candidate",
            shortest=facts.shortest,
            fixed=tuple(sorted(fixed)),
        )
    return (*fitting, *others)


def _fitting(found: Iterable[Family], facts: Facts) -> tuple[list[Family], list[TrainingError]]:
    """Return the families whose window a stretch holds, and why the settings of others are impossible."""
    fitting, refusals = [], []
    for family in found:
        try:
            window = family.settings().window
        except TrainingError as exc:
            refusals.append(exc)
            continue
        if window <= facts.shortest:
            fitting.append(family)
    return fitting, refusals


def check_fixed(fixed: Mapping[str, Any], target: str) -> None:
    """Raise TrainingError for settings that no candidate could have, before recordings are read."""
    families(Facts(1 << 30, 1 << 30, True), fixed, target)


def spectral_window(shortest: int) -> int:
    """Return the largest power of two of which a stretch holds two, within the range; the shortest one if none."""
    window = LONGEST_WINDOW
    while window > SHORTEST_WINDOW and 2 * window > shortest:
        window //= 2
    return window


def hop_for(window: int, samples: int) -> int:
    """Return a sixteenth of a window, or as much more, up to half a window, as keeps an epoch's windows few."""
    hop = max(1, window // 16)
    while hop < window // 2 and samples / hop > MOST_WINDOWS:
        hop *= 2
    return hop


def _spectral(facts: Facts, fixed: Mapping[str, Any]) -> Iterator[Family]:
    kind = fixed.get("inputs", "spectra" if facts.with_speed else "bands")
    if kind == "waveform":
        return
    members = tuple(_members(kind, fixed))
    known = {name: values for name, values in _SPECTRAL.items() if fixed.get("network") in (None, values["network"])}
    suited = {name: values for name, values in known.items() if _suits(name, values, facts)}
    for name, values in _with_subclasses(suited or {_named(fixed): _SPECTRA}, facts).items():
        window = fixed.get("window") or spectral_window(facts.shortest)
        hop = hop_for(window, facts.samples)
        sizes = {"window": window, "hop": hop, "stream_hop": max(hop, window // STREAMED_PER_WINDOW)}
        if "hop" in fixed:
            del sizes["stream_hop"]
        validation = {"validation": True} if fixed.get("patience") else {}
        yield Family(name, {**values, **sizes, **validation, **fixed, "inputs": kind}, members)


def _suits(name: str, values: Mapping[str, Any], facts: Facts) -> bool:
    return name not in _ONLY_WITHOUT_SPEED if facts.with_speed else not values.get("speed_trend")


def _with_subclasses(known: Mapping[str, Mapping[str, Any]], facts: Facts) -> Mapping[str, Mapping[str, Any]]:
    """Return the families with subclasses by the first of the conditions, and some of them without."""
    if not facts.conditions:
        return known
    field = facts.conditions[0]
    told_apart = {f"{name} by {field}": {**values, "subclass_field": field} for name, values in known.items()}
    return {**told_apart, **{name: known[name] for name in _ALSO_WHOLE if name in known}}


def unweighted(members: Iterable[Member]) -> tuple[Member, ...]:
    """Return the members whose views have equal weights, or of which there is only one."""
    return tuple(each for each in members if each.view_weights in (UNWEIGHTED, (1.0,)))


def _members(kind: str, fixed: Mapping[str, Any]) -> Iterator[Member]:
    discriminants = (fixed["discriminants"],) if "discriminants" in fixed else DISCRIMINANTS
    weights: tuple[tuple[float, ...], ...] = ((1.0,),) if kind == "bands" else VIEW_WEIGHTS
    if fixed.get("view_weights"):
        weights = (tuple(fixed["view_weights"]),)
    if fixed.get("inputs") == "spectra":
        weights = tuple(each for each in weights if all(each))
    for each in weights:
        for weight in discriminants:
            yield Member("spectra" if len(each) > 1 and all(each) else "bands", each, weight)


def _waveform(fixed: Mapping[str, Any], target: str) -> Iterator[Family]:
    if fixed.get("inputs", "waveform") != "waveform":
        return
    is_asked = target == "sensor" or "inputs" in fixed
    known = {name: values for name, values in _WAVEFORM.items() if fixed.get("network") in (None, values["network"])}
    if not known:
        known = {_named(fixed): {"inputs": "waveform"}} if is_asked else {}
    elif "window" in fixed:
        known = dict([next(iter(known.items()))])
    for name, values in known.items():
        hop = {} if "hop" in fixed else {"hop": fixed["window"] // 2} if "window" in fixed else {}
        family = Family(name, {**values, **fixed, **hop}, (Member("waveform"),), not is_asked)
        if is_asked or name in _FOR_COMPARISON:
            yield family


def _named(fixed: Mapping[str, Any]) -> str:
    network = fixed["network"]
    return network if isinstance(network, str) else "custom network"
