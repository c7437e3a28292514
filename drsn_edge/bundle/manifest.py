"""The manifest of a bundle: schema 1. Later versions only add members and fields."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from drsn_edge.bundle.contract import SignalContract, contract_from_json, contract_to_json
from drsn_edge.bundle.fields import items, number, text, texts, whole, wholes
from drsn_edge.errors import BundleError, ContractError

SCHEMA = 1
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TensorSpec:
    """An int8 input or output of the model: real = scale * (q - zero_point)."""

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


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
    """

    name: str
    version: str
    contract: SignalContract
    labels: tuple[str, ...]
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    parts: Mapping[str, str]
    generator: str

    def __post_init__(self) -> None:
        """Refuse values that a bundle may not have.

        Raises:
            BundleError: Naming the value and what it may be.
        """
        _expect(_NAME.fullmatch(self.name), "a name of letters, digits, '.', '_' and '-'", self.name)
        _expect(_VERSION.fullmatch(self.version), "a version MAJOR.MINOR.PATCH", self.version)
        _expect(len(set(self.labels)) == len(self.labels) >= 2, "two or more different labels", self.labels)
        _expect(all(label and label.isprintable() for label in self.labels), "labels that can be printed", self.labels)
        _expect(self.outputs and self.outputs[0].name == "logits", "the output 'logits' first", self.outputs)
        _expect(self.outputs[0].shape == (1, len(self.labels)), "one logit per label", self.outputs[0].shape)
        window = (1, 1, *self.contract.input_shape)
        _expect(self.input.shape == window, f"an input of shape {window}", self.input.shape)
        _expect(all(_SHA256.fullmatch(digest) for digest in self.parts.values()), "SHA-256 digests", dict(self.parts))


def _expect(condition: object, expected: str, got: object) -> None:
    if not condition:
        raise BundleError(f"Expected {expected} in the bundle's manifest, got {reprlib.repr(got)}.")


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """Return the manifest as JSON; the same manifest gives the same bytes."""
    values = {**asdict(manifest), "schema": SCHEMA, "contract": contract_to_json(manifest.contract)}
    values["parts"] = {name: {"sha256": digest} for name, digest in manifest.parts.items()}
    return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def manifest_from_bytes(data: bytes) -> Manifest:
    """Return the manifest in JSON bytes; unknown fields are left alone, since later versions add some.

    Raises:
        BundleError: If it is no manifest, from a newer schema, or fields are missing or impossible.
    """
    try:
        values = json.loads(data)
        schema = whole(values, "schema")
        if schema != SCHEMA:
            raise BundleError(f"Expected a bundle of schema {SCHEMA}, got {schema}. Update drsn-edge.")
        return Manifest(
            name=text(values, "name"),
            version=text(values, "version"),
            contract=contract_from_json(values["contract"]),
            labels=texts(values, "labels"),
            input=_tensor_spec(values["input"]),
            outputs=tuple(_tensor_spec(output) for output in items(values, "outputs")),
            parts={name: text(part, "sha256") for name, part in values["parts"].items()},
            generator=text(values, "generator"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ContractError) as exc:
        raise BundleError(f"Expected a complete bundle manifest, got a damaged one: {exc!r}.") from exc


def _tensor_spec(values: Mapping[str, Any]) -> TensorSpec:
    spec = TensorSpec(
        text(values, "name"), wholes(values, "shape"), number(values, "scale"), whole(values, "zero_point")
    )
    if not (spec.scale > 0 and -128 <= spec.zero_point <= 127):
        raise ValueError(f"{spec} is no int8 tensor")
    return spec
