"""The manifest of a bundle: schema 1. Later versions only add members and fields."""

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
from firmware_bridge.gateway.state import is_version, version_key

SCHEMA = 1
MOST_LABELS, LONGEST_LABEL = 1000, 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPTIONAL = ("floor", "votes", "unknown_share", "noise_limit", "golden_tolerance_lsb", "operators", "budget")
"""Left out where they are not known."""


@dataclass(frozen=True)
class Budget:
    """What the model may cost on a gateway; what needs more is not made active there.

    Attributes:
        latency_ms: Of a window, preprocessing included, of 99 in 100.
        memory_mb: Resident memory that the interpreter and the model take, in 10^6 bytes.
    """

    latency_ms: float
    memory_mb: float


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about its model.

    Attributes:
        name: Letters, digits, dots, dashes, underscores.
        version: MAJOR.MINOR.PATCH of this model, given by whoever trained it.
        contract: What the model was trained on.
        labels: Classes in the order of the logits.
        input: What the network sees, (1, 1, steps, channels).
        outputs: The logits come first; further outputs are named here or not there.
        parts: SHA-256 of every other member of the bundle.
        generator: What wrote the bundle.
        floor: The lowest version of this name that may still be put on a gateway once this one is confirmed there;
            None: this one's own, so that nothing older comes back.
        votes: What it takes to change the decision, K/N; None: the monitor's own.
        unknown_share: Of held-out windows, that novelty.npz lets be called unknown; None: nothing is unknown.
        noise_limit: Chance from which on a window holds noise alone, see `drsn_edge.signal.noise_alone`; 1: none does;
            None: the monitor's own.
        golden_tolerance_lsb: How far an interpreter may be from golden.npz, RMS over all logits in steps of int8.
        operators: What the model is made of, by TFLite's names; None: not said.
        budget: What it may cost; None: anything.
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
        """Refuse values that a bundle may not have.

        Raises:
            BundleError: Naming the value and what it may be.
        """
        _expect(_NAME.fullmatch(self.name), "a name of letters, digits, '.', '_' and '-'", self.name)
        _expect(is_version(self.version), "a version MAJOR.MINOR.PATCH", self.version)
        _expect(len(set(self.labels)) == len(self.labels) >= 2, "two or more different labels", self.labels)
        _expect(len(self.labels) <= MOST_LABELS, f"at most {MOST_LABELS} labels", self.labels)
        _expect(max(map(len, self.labels)) <= LONGEST_LABEL, f"labels of {LONGEST_LABEL} letters at most", self.labels)
        words = "labels that can be printed, without spaces around them, and that are no verdicts"
        _expect(all(map(is_label, self.labels)), words, self.labels)
        _expect(self.outputs and self.outputs[0].name == "logits", "the output 'logits' first", self.outputs)
        _expect(self.outputs[0].shape == (1, len(self.labels)), "one logit per label", self.outputs[0].shape)
        window = (1, 1, *self.contract.input_shape)
        _expect(self.input.shape == window, f"an input of shape {window}", self.input.shape)
        _expect(all(_SHA256.fullmatch(digest) for digest in self.parts.values()), "SHA-256 digests", dict(self.parts))
        if self.floor is not None:
            fits = is_version(self.floor) and version_key(self.floor) <= version_key(self.version)
            _expect(fits, f"a floor that is a version of at most {self.version}", self.floor)
        _expect(self.votes is None or _are_votes(self.votes), "votes K/N, more than half of N", self.votes)
        for name in ("unknown_share", "golden_tolerance_lsb"):
            _expect((getattr(self, name) or 0) >= 0, f"{name} >= 0", getattr(self, name))
        limit = 1.0 if self.noise_limit is None else self.noise_limit
        _expect(0 < limit <= 1, "noise_limit above 0 and at most 1", limit)
        costs = (1.0, 1.0) if self.budget is None else (self.budget.latency_ms, self.budget.memory_mb)
        _expect(min(costs) > 0, "a budget > 0", self.budget)


def _are_votes(text: str) -> bool:
    try:
        parse_votes(text)
    except ValueError:
        return False
    return True


def _expect(condition: object, expected: str, got: object) -> None:
    if not condition:
        raise BundleError(f"Expected {expected} in the bundle's manifest, got {reprlib.repr(got)}.")


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """Return the manifest as JSON; the same manifest gives the same bytes."""
    values = {**asdict(manifest), "schema": SCHEMA, "contract": contract_to_json(manifest.contract)}
    values["parts"] = {name: {"sha256": digest} for name, digest in manifest.parts.items()}
    for name in _OPTIONAL:
        if values[name] is None:
            del values[name]
    return _encoded(values)


def _encoded(values: Mapping[str, Any]) -> bytes:
    """Return the one form of a manifest's values."""
    return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def manifest_from_bytes(data: bytes) -> Manifest:
    """Return the manifest in JSON bytes; unknown fields are left alone, since later versions add some.

    Values have one form, as `manifest_to_bytes` writes them: no key is there twice, to be read in two ways.

    Raises:
        BundleError: If it is no manifest, from a newer schema, in another form, or fields are missing or impossible.
    """
    try:
        values = json.loads(data)
        schema = whole(values, "schema")
        if schema != SCHEMA:
            raise BundleError(f"Expected a bundle of schema {SCHEMA}, got {schema}. Update drsn-edge.")
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
            raise ValueError("its values are written in another way than `drsn-edge convert` does it")
        return manifest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ContractError) as exc:
        raise BundleError(f"Expected a complete bundle manifest, got a damaged one: {exc!r}.") from exc


def _budget(values: Mapping[str, Any]) -> Budget:
    return Budget(number(values, "latency_ms"), number(values, "memory_mb"))


def _tensor_spec(values: Mapping[str, Any]) -> TensorSpec:
    spec = TensorSpec(
        text(values, "name"), wholes(values, "shape"), number(values, "scale"), whole(values, "zero_point")
    )
    if not (spec.scale > 0 and -128 <= spec.zero_point <= 127):
        raise ValueError(f"{spec} is no int8 tensor")
    return spec
