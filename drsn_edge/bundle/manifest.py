"""The manifest of a bundle, schema 2. Later versions only add members and fields."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from drsn_edge.bundle.promise import Promise, promise_from_json
from drsn_edge.bundle.votes import parse_votes
from drsn_edge.errors import BundleError, ContractError
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.contract import SignalContract, contract_from_json, contract_to_json
from drsn_edge.signal.likeness import LABELS as NAMES
from drsn_edge.support.fields import is_label, items, number, text, texts, whole, wholes
from drsn_edge.support.invalid import InvalidValueError
from drsn_edge.support.palette import HEALTHY_LABELS, is_healthy
from firmware_bridge.gateway.state import is_version, version_key

SCHEMA = 2
MOST_LABELS, LONGEST_LABEL = 1000, 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OF_NETWORK = ("input", "outputs", "golden_tolerance_lsb", "operators", "promise")
"""Fields that describe the network; without one, they are omitted, and `outputs` is empty."""
_OPTIONAL = (
    "input", "floor", "votes", "unknown_share", "noise_limit", "golden_tolerance_lsb", "golden_tolerance_novelty",
    "operators", "budget", "promise",
)  # fmt: skip
"""Fields that are omitted if they are None."""


@dataclass(frozen=True)
class Budget:
    """Limits of the model's cost on a gateway; a gateway refuses a bundle that exceeds them.

    Attributes:
        latency_ms: Time per window in ms, preprocessing included, that 99 of 100 windows must keep.
        memory_mb: Resident memory of the interpreter and the model, in 10^6 bytes.
    """

    latency_ms: float
    memory_mb: float


@dataclass(frozen=True)
class Manifest:
    """The meaning of a bundle's model.

    Attributes:
        name: Name of the bundle: letters, digits, dots, dashes and underscores, at most 64.
        version: MAJOR.MINOR.PATCH of this model, chosen by the person who trains it.
        contract: Signal that the model was trained on.
        labels: Classes in the order of the logits, two or more. Without a network one label, which must be `healthy`,
            `normal`, `good` or `ok`; if the bundle has `naming.npz`, the labels of all names, such as
            `like outer_race`, follow it.
        input: The tensor that the network sees, of shape (1, 1, steps, channels). Left out: the bundle has no network,
            and a window is of its first label, resembles a fault, is UNKNOWN, or without a verdict.
        outputs: Tensors that the model returns; the logits come first. Empty without a network.
        parts: SHA-256 of every other member of the bundle, by the member's name.
        generator: Program and version that wrote the bundle.
        floor: Lowest version of this name that a gateway still accepts after this bundle is confirmed there. Left
            out: the bundle's own version, so that no older one is accepted.
        votes: Votes K/N that change a decision. Left out: the monitor's own, 4/5.
        unknown_share: Share of the hold-out windows, or without a network of healthy windows, that `novelty.npz` calls
            UNKNOWN. Left out with a network: nothing is unknown. Left out without one: not known.
        noise_limit: Probability above which a window counts as noise alone; 1: no window does. Left out: the monitor's
            own limit. See `drsn_edge.signal.noise_alone`.
        golden_tolerance_lsb: Largest deviation of an interpreter from `golden.npz`, RMS over all logits in int8 steps.
            Left out without a network.
        golden_tolerance_novelty: Largest deviation of a novelty from `golden.npz`, in multiples of the limit of
            novelty; of a novelty above 1, in multiples of that novelty. Left out with a network.
        operators: Operators of the model by TFLite's names. Left out: not known, or there is no network.
        budget: Limits of the model's cost on a gateway. Left out: no limits.
        promise: Temperature of the probabilities, and promised share of wrong classes. Left out: the model was chosen
            without inner folds, or there is no network, so the temperature is 1 and no window is UNSURE.
    """

    name: str
    version: str
    contract: SignalContract
    labels: tuple[str, ...]
    input: TensorSpec | None
    outputs: tuple[TensorSpec, ...]
    parts: Mapping[str, str]
    generator: str
    floor: str | None = None
    votes: str | None = None
    unknown_share: float | None = None
    noise_limit: float | None = None
    golden_tolerance_lsb: float | None = None
    golden_tolerance_novelty: float | None = None
    operators: tuple[str, ...] | None = None
    budget: Budget | None = None
    promise: Promise | None = None

    @property
    def has_network(self) -> bool:
        """Whether the bundle holds a network; without one, a window is judged by its novelty alone."""
        return self.input is not None

    @property
    def names_changes(self) -> bool:
        """Whether the bundle has no network, and says what a change resembles."""
        return not self.has_network and len(self.labels) > 1

    @property
    def temperature(self) -> float:
        """Divisor of the logits before the softmax; 1 without a promise."""
        return 1.0 if self.promise is None else self.promise.temperature

    @property
    def lowest_version(self) -> str:
        """The floor, or the version itself."""
        return self.version if self.floor is None else self.floor

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            BundleError: With the field, its value and what is allowed.
        """
        _expect(_NAME.fullmatch(self.name), "name", "letters, digits, '.', '_' and '-', at most 64", self.name)
        _expect(is_version(self.version), "version", "MAJOR.MINOR.PATCH", self.version)
        _check_network(self)
        _expect(len(self.labels) <= MOST_LABELS, "labels", f"at most {MOST_LABELS} texts", self.labels)
        longest = max(map(len, self.labels))
        _expect(longest <= LONGEST_LABEL, "labels", f"texts of at most {LONGEST_LABEL} characters", self.labels)
        words = "printable texts without outer spaces that are not names of verdicts"
        _expect(all(map(is_label, self.labels)), "labels", words, self.labels)
        are_digests = all(_SHA256.fullmatch(digest) for digest in self.parts.values())
        _expect(are_digests, "parts", "SHA-256 digests", dict(self.parts))
        if self.floor is not None:
            fits = is_version(self.floor) and version_key(self.floor) <= version_key(self.version)
            _expect(fits, "floor", f"a version of at most {self.version}", self.floor)
        _expect(self.votes is None or _are_votes(self.votes), "votes", "K/N with K more than half of N", self.votes)
        for name in ("unknown_share", "golden_tolerance_lsb", "golden_tolerance_novelty"):
            _expect((getattr(self, name) or 0) >= 0, name, "at least 0", getattr(self, name))
        limit = 1.0 if self.noise_limit is None else self.noise_limit
        _expect(0 < limit <= 1, "noise_limit", "above 0 and at most 1", limit)
        costs = (1.0, 1.0) if self.budget is None else (self.budget.latency_ms, self.budget.memory_mb)
        _expect(min(costs) > 0, "budget", "above 0", self.budget)


def _check_network(manifest: Manifest) -> None:
    """Refuse labels and tensors that do not fit each other, and tensors without a network."""
    labels, outputs = manifest.labels, manifest.outputs
    if manifest.input is None:
        # Pictures and alarms know a healthy machine by these names.
        words = f"one of {', '.join(HEALTHY_LABELS)}, alone or before all names, since the bundle has no network"
        fit = len(labels) > 0 and is_healthy(labels[0]) and labels[1:] in ((), NAMES)
        _expect(fit, "labels", words, labels)
        for name in _OF_NETWORK:
            got = getattr(manifest, name)
            _expect(got in (None, ()), name, "left out, since the bundle has no network", got)
        return
    _expect(len(set(labels)) == len(labels) >= 2, "labels", "two or more different texts", labels)
    _expect(outputs and outputs[0].name == "logits", "outputs", "the logits first", outputs)
    got = outputs[0].shape
    _expect(got == (1, len(labels)), "logits", f"one for each of the {len(labels)} labels", got)
    window = (1, 1, *manifest.contract.input_shape)
    _expect(manifest.input.shape == window, "input", f"of the shape {window}", manifest.input.shape)
    tolerance = manifest.golden_tolerance_novelty
    _expect(tolerance is None, "golden_tolerance_novelty", "left out, since the bundle has a network", tolerance)


def _are_votes(text: str) -> bool:
    try:
        parse_votes(text)
    except ValueError:
        return False
    return True


def _expect(condition: object, field: str, expected: str, got: object) -> None:
    if not condition:
        words = f"In the bundle's manifest, {field} must be {expected}; got {reprlib.repr(got)}."
        raise BundleError(words, "invalid_field", field=field, expected=expected, got=got)


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """Return the manifest as JSON; the same manifest gives the same bytes."""
    values = {**asdict(manifest), "schema": SCHEMA, "contract": contract_to_json(manifest.contract)}
    values["parts"] = {name: {"sha256": digest} for name, digest in manifest.parts.items()}
    for name in _OPTIONAL:
        if values[name] is None:
            del values[name]
    return _encoded(values)


def _encoded(values: Mapping[str, Any]) -> bytes:
    """Return the only valid bytes of a manifest's values."""
    return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def manifest_from_bytes(data: bytes) -> Manifest:
    """Return the manifest in JSON bytes; unknown fields are ignored, since later versions add some.

    The bytes must be exactly as `manifest_to_bytes` writes the values, so that no key stands there twice.

    Raises:
        BundleError: If it is not a manifest, has another schema or form, or a field is missing or invalid.
    """
    try:
        values = json.loads(data)
        schema = whole(values, "schema")
        if schema != SCHEMA:
            raise _other_schema(schema)
        manifest = Manifest(
            name=text(values, "name"),
            version=text(values, "version"),
            contract=contract_from_json(values["contract"]),
            labels=texts(values, "labels"),
            input=_tensor_spec(values["input"]) if "input" in values else None,
            outputs=tuple(_tensor_spec(output) for output in items(values, "outputs")),
            parts={name: text(part, "sha256") for name, part in values["parts"].items()},
            generator=text(values, "generator"),
            floor=text(values, "floor") if "floor" in values else None,
            votes=text(values, "votes") if "votes" in values else None,
            unknown_share=_number_or_none(values, "unknown_share"),
            noise_limit=_number_or_none(values, "noise_limit"),
            golden_tolerance_lsb=_number_or_none(values, "golden_tolerance_lsb"),
            golden_tolerance_novelty=_number_or_none(values, "golden_tolerance_novelty"),
            operators=texts(values, "operators") if "operators" in values else None,
            budget=_budget(values["budget"]) if "budget" in values else None,
            promise=promise_from_json(values["promise"]) if "promise" in values else None,
        )
        if _encoded(values) != data:
            raise InvalidValueError("its values are not written as `drsn-edge convert` writes them", "other_form")
        return manifest
    except (InvalidValueError, ContractError) as exc:
        raise BundleError(_damaged(exc), exc.problem, **exc.facts) from exc
    except KeyError as exc:
        raise BundleError(_damaged(f"{exc} is missing"), "missing_field", field=exc.args[0]) from exc
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise BundleError(_damaged(exc), "damaged_manifest") from exc


def _other_schema(schema: int) -> BundleError:
    what = "Update drsn-edge" if schema > SCHEMA else "Convert its run again"
    words = f"The bundle has the manifest schema {schema}, but this drsn-edge reads {SCHEMA}. {what}."
    return BundleError(words, "other_schema", expected=SCHEMA, got=schema)


def _damaged(why: object) -> str:
    return f"The bundle's manifest is damaged: {str(why).rstrip('.')}. Copy or convert the bundle again."


def _number_or_none(values: Mapping[str, Any], name: str) -> float | None:
    return number(values, name) if name in values else None


def _budget(values: Mapping[str, Any]) -> Budget:
    return Budget(number(values, "latency_ms"), number(values, "memory_mb"))


def _tensor_spec(values: Mapping[str, Any]) -> TensorSpec:
    spec = TensorSpec(
        text(values, "name"), wholes(values, "shape"), number(values, "scale"), whole(values, "zero_point")
    )
    if not (spec.scale > 0 and -128 <= spec.zero_point <= 127):
        raise InvalidValueError(f"{spec} is not an int8 tensor", "not_int8", tensor=spec.name)
    return spec
