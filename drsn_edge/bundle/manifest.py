"""The manifest of a bundle, schema 1. Later versions only add members and fields."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from drsn_edge.bundle.votes import parse_votes
from drsn_edge.errors import BundleError, ContractError
from drsn_edge.runtime.tensor import TensorSpec
from drsn_edge.signal.contract import SignalContract, contract_from_json, contract_to_json
from drsn_edge.support.fields import is_label, items, number, text, texts, whole, wholes
from drsn_edge.support.invalid import InvalidValueError
from firmware_bridge.gateway.state import is_version, version_key

SCHEMA = 1
MOST_LABELS, LONGEST_LABEL = 1000, 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPTIONAL = ("floor", "votes", "unknown_share", "noise_limit", "golden_tolerance_lsb", "operators", "budget")
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
        labels: Classes in the order of the logits.
        input: The tensor that the network sees, of shape (1, 1, steps, channels).
        outputs: Tensors that the model returns; the logits come first.
        parts: SHA-256 of every other member of the bundle, by the member's name.
        generator: Program and version that wrote the bundle.
        floor: Lowest version of this name that a gateway still accepts after this bundle is confirmed there. Left
            out: the bundle's own version, so that no older one is accepted.
        votes: Votes K/N that change a decision. Left out: the monitor's own, 4/5.
        unknown_share: Share of the hold-out windows that `novelty.npz` calls UNKNOWN. Left out: nothing is unknown.
        noise_limit: Probability above which a window counts as noise alone; 1: no window does. Left out: the monitor's
            own limit. See `drsn_edge.signal.noise_alone`.
        golden_tolerance_lsb: Largest deviation of an interpreter from `golden.npz`, RMS over all logits in int8 steps.
        operators: Operators of the model by TFLite's names. Left out: not known.
        budget: Limits of the model's cost on a gateway. Left out: no limits.
    """

    name: str
    version: str
    contract: SignalContract
    labels: tuple[str, ...]
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    parts: Mapping[str, str]
    generator: str
    floor: str | None = None
    votes: str | None = None
    unknown_share: float | None = None
    noise_limit: float | None = None
    golden_tolerance_lsb: float | None = None
    operators: tuple[str, ...] | None = None
    budget: Budget | None = None

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
        _expect(len(set(self.labels)) == len(self.labels) >= 2, "labels", "two or more different texts", self.labels)
        _expect(len(self.labels) <= MOST_LABELS, "labels", f"at most {MOST_LABELS} texts", self.labels)
        longest = max(map(len, self.labels))
        _expect(longest <= LONGEST_LABEL, "labels", f"texts of at most {LONGEST_LABEL} characters", self.labels)
        words = "printable texts without outer spaces that are not names of verdicts"
        _expect(all(map(is_label, self.labels)), "labels", words, self.labels)
        _expect(self.outputs and self.outputs[0].name == "logits", "outputs", "the logits first", self.outputs)
        got = self.outputs[0].shape
        _expect(got == (1, len(self.labels)), "logits", f"one for each of the {len(self.labels)} labels", got)
        window = (1, 1, *self.contract.input_shape)
        _expect(self.input.shape == window, "input", f"of the shape {window}", self.input.shape)
        are_digests = all(_SHA256.fullmatch(digest) for digest in self.parts.values())
        _expect(are_digests, "parts", "SHA-256 digests", dict(self.parts))
        if self.floor is not None:
            fits = is_version(self.floor) and version_key(self.floor) <= version_key(self.version)
            _expect(fits, "floor", f"a version of at most {self.version}", self.floor)
        _expect(self.votes is None or _are_votes(self.votes), "votes", "K/N with K more than half of N", self.votes)
        for name in ("unknown_share", "golden_tolerance_lsb"):
            _expect((getattr(self, name) or 0) >= 0, name, "at least 0", getattr(self, name))
        limit = 1.0 if self.noise_limit is None else self.noise_limit
        _expect(0 < limit <= 1, "noise_limit", "above 0 and at most 1", limit)
        costs = (1.0, 1.0) if self.budget is None else (self.budget.latency_ms, self.budget.memory_mb)
        _expect(min(costs) > 0, "budget", "above 0", self.budget)


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
            words = f"The bundle has the manifest schema {schema}, but this drsn-edge reads {SCHEMA}. Update drsn-edge."
            raise BundleError(words, "other_schema", expected=SCHEMA, got=schema)
        manifest = Manifest(
            name=text(values, "name"),
            version=text(values, "version"),
            contract=contract_from_json(values["contract"]),
            labels=texts(values, "labels"),
            input=_tensor_spec(values["input"]),
            outputs=tuple(_tensor_spec(output) for output in items(values, "outputs")),
            parts={name: text(part, "sha256") for name, part in values["parts"].items()},
            generator=text(values, "generator"),
            floor=text(values, "floor") if "floor" in values else None,
            votes=text(values, "votes") if "votes" in values else None,
            unknown_share=number(values, "unknown_share") if "unknown_share" in values else None,
            noise_limit=number(values, "noise_limit") if "noise_limit" in values else None,
            golden_tolerance_lsb=number(values, "golden_tolerance_lsb") if "golden_tolerance_lsb" in values else None,
            operators=texts(values, "operators") if "operators" in values else None,
            budget=_budget(values["budget"]) if "budget" in values else None,
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


def _damaged(why: object) -> str:
    return f"The bundle's manifest is damaged: {str(why).rstrip('.')}. Copy or convert the bundle again."


def _budget(values: Mapping[str, Any]) -> Budget:
    return Budget(number(values, "latency_ms"), number(values, "memory_mb"))


def _tensor_spec(values: Mapping[str, Any]) -> TensorSpec:
    spec = TensorSpec(
        text(values, "name"), wholes(values, "shape"), number(values, "scale"), whole(values, "zero_point")
    )
    if not (spec.scale > 0 and -128 <= spec.zero_point <= 127):
        raise InvalidValueError(f"{spec} is not an int8 tensor", "not_int8", tensor=spec.name)
    return spec
