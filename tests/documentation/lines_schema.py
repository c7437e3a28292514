"""The published schema of the JSON lines, closed, and commands whose lines are held against it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from drsn_edge.cli.main import cli
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.virtual_sensor import Playback, virtual_sensor

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "reference" / "lines.schema.json").read_text(encoding="utf-8"))
TYPES = {name: of for name, of in SCHEMA["$defs"].items() if "x-page" in of}
"""The definitions of whole lines, by name."""

RATE_HZ, AXES = 4000.0, ("x", "y")

Lines = dict[str, list[dict[str, Any]]]
"""Lines that were printed, by the name of their definition."""


def resolved(schema: Any) -> Any:
    """Return a schema with every reference replaced by what it refers to."""
    if isinstance(schema, list):
        return [resolved(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: resolved(each) for name, each in schema.items() if name not in ("$ref", "examples")}
    if "$ref" in schema:
        plain = {**resolved(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]), **plain}
    return plain


def closed(schema: Any) -> Any:
    """Return a resolved schema in which no object may have a field that is not described."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    return {**inner, "unevaluatedProperties": False} if isinstance(schema.get("properties"), dict) else inner


def fields_of(schema: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Yield every field that a resolved schema describes, those of inner objects behind a dot."""
    for name, each in schema.get("properties", {}).items():
        yield within + name
        yield from fields_of(each, f"{within}{name}.")
    outer = within.removesuffix(".")
    for form, each in ((f"{outer}[].", schema.get("items")), (f"{outer}.*.", schema.get("additionalProperties"))):
        if isinstance(each, dict):
            yield from fields_of(each, form)


def found_in(value: Any, schema: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Yield every field of a value, named as `fields_of` does."""
    if isinstance(value, dict):
        named = schema.get("properties", {})
        for name, each in value.items():
            if name in named:
                yield within + name
                yield from found_in(each, named[name], f"{within}{name}.")
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from found_in(each, schema["additionalProperties"], f"{within.removesuffix('.')}.*.")
    elif isinstance(value, list):
        for each in value:
            yield from found_in(each, schema.get("items", {}), f"{within.removesuffix('.')}[].")


CLOSED = {name: Draft202012Validator(closed(resolved(of))) for name, of in TYPES.items()}


def expect_described(name: str, found: list[dict[str, Any]]) -> None:
    """Fail unless every line is as its definition says, and every field that it describes is in one of them."""
    assert found, f"no line of {name} was printed"
    whole, schema = Draft202012Validator(SCHEMA), resolved(TYPES[name])
    for line in found:
        CLOSED[name].validate(line)
    whole.validate(found[0])
    seen = {field for line in found for field in found_in(line, schema)}
    assert set(fields_of(schema)) - seen == set()


def printed(*arguments: object, status: int | None = 0) -> list[dict[str, Any]]:
    """Run a command in this process and return the JSON lines that it printed."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert status is None or result.exit_code == status, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@contextmanager
def sensor(link: Path, seconds: float = 3.2) -> Iterator[None]:
    """Play noise with a line at 50 Hz from a virtual sensor."""
    n = round(seconds * RATE_HZ)
    time_s = np.arange(n) / RATE_HZ
    samples = np.random.default_rng(0).normal(size=(n, len(AXES))) + np.sin(2 * np.pi * 50 * time_s)[:, None]
    recording = Recording("noise", samples.astype(np.float32), RATE_HZ, AXES, "g", None, "noise", {})
    done = threading.Event()
    device = virtual_sensor(recording, Playback(speed=None), link=link)
    thread = threading.Thread(target=device.run, args=(done.is_set,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def put(lines: Lines, found: list[dict[str, Any]], name: str | None = None) -> None:
    """Add lines under the name of their definition: their type unless another is given."""
    for line in found:
        lines.setdefault(name or line["type"], []).append(line)
