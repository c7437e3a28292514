"""Write the generated parts of the reference: `python docs/reference/generate.py`, after a change of what they show.

A page has a part between two HTML comments:

    <!-- generated: settings-alarms -->
    ...
    <!-- end -->

What stands between them is printed from what the code itself uses: dataclasses with the meanings in their docstrings,
the tables that outputs and files are made with, and the JSON Schema of the lines. tests/documentation/test_reference.py
fails where a page is not what this program writes.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import click

HERE = Path(__file__).parent
SCHEMA = HERE / "lines.schema.json"
_PART = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)
_UNITS = {"_s": "s", "_ms": "ms", "_hz": "Hz", "_db": "dB", "_mb": "MB", "_mm": "mm", "_deg": "degrees", "_lsb": "LSB"}
_TYPES = {
    "str": "text", "float": "number", "int": "whole number", "bool": "true or false", "Path": "path",
    "tuple[str, ...]": "list of texts", "tuple[float, ...]": "list of numbers",
    "tuple[int, ...]": "list of whole numbers",
    "tuple[float, float]": "two numbers", "str | NetworkSizes": "text or table", "tuple[Stage, ...]": "list",
    "tuple[RiskPoint, ...]": "list of tables",
    "Mapping[str, str]": "table of texts", "Optional[Seconds]": "number of seconds, or text with a unit",
    "Optional[Share]": "number of percent",
}  # fmt: skip


# --- tables ----------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown; a `|` in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def meanings(kind: type) -> dict[str, str]:
    """Return what the docstring of a dataclass says of each attribute."""
    section = inspect.getdoc(kind).partition("\nAttributes:\n")[2]  # type: ignore[union-attr]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        begins = re.match(r"    (\w+): (.*)", line)
        if begins:
            name, found[begins[1]] = begins[1], begins[2]
        elif line.startswith("        "):
            found[name] += f" {line.strip()}"
        else:
            break
    return found


def keys(
    kind: type,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    without: Sequence[str] = (),
    said: Mapping[str, str] | None = None,
    required: Sequence[str] = (),
) -> str:
    """Return the table of a dataclass whose attributes are the keys of a file.

    Args:
        kind: The dataclass.
        ranges: Least and most of single keys.
        without: Attributes that are no keys.
        said: Meanings; those of the docstring if there are none.
        required: Keys that a file must have although the dataclass has a default.
    """
    said, hints = said or meanings(kind), get_type_hints(kind)
    rows = []
    for each in fields(kind):
        if each.name in without:
            continue
        default = "required" if each.name in required else _default(each)
        type_ = _type(hints[each.name], each.name) + _range((ranges or {}).get(each.name))
        rows.append((f"`{each.name}`", type_, default, said[each.name]))
    return table(("key", "type and unit", "default", "meaning"), rows)


def _type(hint: Any, name: str) -> str:
    text = str(hint) if not isinstance(hint, type) or "[" in str(hint) else hint.__name__
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", text).replace(" | None", "")
    kind = "table" if isinstance(hint, type) and is_dataclass(hint) else _TYPES.get(text, "table")
    unit = _UNITS.get(name[name.rfind("_") :], "")
    return f"{kind}, {unit}" if unit and kind == "number" else kind


def _range(limits: tuple[float, float] | None) -> str:
    if limits is None:
        return ""
    least, most = limits
    return f", at least {least:g}" if most == math.inf else f", {_plain(least)} to {_plain(most)}"


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


def _default(each: Field[Any]) -> str:
    if each.default is MISSING:
        return "required" if each.default_factory is MISSING else "-"
    value = each.default
    if value is None or value == "" or is_dataclass(value):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


# --- commands --------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Return the list of all commands."""
    return table(("command", "what it does"), _commands())


def _commands() -> Iterator[tuple[str, str]]:
    from drsn_edge.cli.main import cli

    for name, command in cli.commands.items():
        yield f"[`{name}`]({name}.md)", command.get_short_help_str(200)
        for inner, sub in command.commands.items() if isinstance(command, click.Group) else ():
            yield f"[`{name} {inner}`]({name}.md#{name}-{inner})", sub.get_short_help_str(200)


# --- files -----------------------------------------------------------------------------------------------------------


def _settings_alarms() -> str:
    from drsn_edge.monitor.stages.alarms import AlarmSettings

    return keys(AlarmSettings, without=("limits", "classes"))


def _settings_decision() -> str:
    from drsn_edge.monitor.stages.settings import DecisionSettings

    return keys(DecisionSettings)


def _settings_limits() -> str:
    from drsn_edge.monitor.stages.alarms import AlarmLimits

    return keys(AlarmLimits)


def _settings_capture() -> str:
    from drsn_edge.monitor.stages.settings import CaptureSettings

    return keys(CaptureSettings)


def _bearing() -> str:
    from drsn_edge.signal.bearing import BearingGeometry

    return keys(BearingGeometry)


def _training() -> str:
    from drsn_edge.training.settings import RANGES, TrainSettings

    return keys(TrainSettings, RANGES, without=("research",))


def _training_network() -> str:
    from drsn_edge.models.config import NetworkSizes

    return keys(NetworkSizes)


def _training_research() -> str:
    from drsn_edge.training.settings import RESEARCH_RANGES, ResearchSettings

    return keys(ResearchSettings, RESEARCH_RANGES)


def _sensors() -> str:
    """Return the keys of the sensors file, with the meanings of the options of `monitor` that they are."""
    from drsn_edge.cli.monitor import monitor
    from drsn_edge.monitor.sensor_config import SensorConfig

    options = {each.name: each for each in monitor.params if isinstance(each, click.Option)}
    said = {}
    for each in fields(SensorConfig):
        option = options.get(each.name) or options.get(f"{each.name}s") or options[f"no_{each.name}"]
        choices = f" One of: {', '.join(option.type.choices)}." if isinstance(option.type, click.Choice) else ""
        told = re.search(r"\[default: ([^]]*)\]", option.help or "")
        text = re.sub(r"  \[(default|env)[^]]*\]", "", option.help or "") + choices
        said[each.name] = text + (f" Default: {told[1]}." if told and each.default is None else "")
    said["port"] = said["port"].replace(" Repeatable.", "")
    said["unknown"] = f"`false`: {said['unknown'][0].lower()}{said['unknown'][1:]}"
    return keys(SensorConfig, said=said, required=("port",))


def _formats() -> str:
    from drsn_edge.recordings.readers.registry import FORMATS

    rows = []
    for name, form in sorted(FORMATS.items()):
        said = inspect.getdoc(sys.modules[form.read.__module__]) or ""
        suffixes = ", ".join(f"`{suffix}`" for suffix in form.suffixes)
        rows.append((f"`{name}`", suffixes, said.partition("\n")[0]))
    return table(("format", "suffixes", "file"), rows)


def _catalogue() -> str:
    from drsn_edge.recordings.metadata import MEANINGS

    return table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in MEANINGS.items()))


def _manifest(name: str) -> Callable[[], str]:
    def write() -> str:
        from drsn_edge.bundle import manifest, promise
        from drsn_edge.runtime.tensor import TensorSpec
        from drsn_edge.signal.contract import SignalContract
        from drsn_edge.signal.spectra import Spectra
        from drsn_edge.signal.windows import Scaling

        kinds = {
            "manifest": manifest.Manifest, "contract": SignalContract, "scaling": Scaling, "spectra": Spectra,
            "tensor": TensorSpec, "budget": manifest.Budget, "promise": promise.Promise,
            "curve": promise.RiskPoint,
        }  # fmt: skip
        said, hints = meanings(kinds[name]), get_type_hints(kinds[name])
        rows = ((f"`{key}`", _type(hints[key], key), said[key]) for key in said)
        return table(("key", "type and unit", "meaning"), rows)

    return write


# --- outputs ---------------------------------------------------------------------------------------------------------


def _metrics() -> str:
    from prometheus_client.core import CounterMetricFamily

    from drsn_edge.monitor.sinks.metrics import METRICS

    rows = []
    for each in METRICS:
        is_counter = each.kind is CounterMetricFamily
        name = f"`{each.name}_total`" if is_counter else f"`{each.name}`"
        labels = ", ".join(f"`{label}`" for label in each.labels)
        rows.append((name, "counter" if is_counter else "gauge", _unit_of_metric(each.name), labels, each.text))
    return table(("metric", "type", "unit", "labels", "meaning"), rows)


def _unit_of_metric(name: str) -> str:
    """Return the unit of a metric, which ends its name by Prometheus' rules."""
    ends = {
        "_meters_per_second_squared": "m/s²", "_meters_per_second": "m/s", "_timestamp_seconds": "s since 1970",
        "_ratio": "1", "bytes_received": "bytes", "garbage_bytes": "bytes",
    }  # fmt: skip
    return next((unit for end, unit in ends.items() if name.endswith(end)), "1")


def _topics() -> str:
    from drsn_edge.monitor.sinks.topics import TOPICS

    return table(("topic", "content", "when"), ((f"`{each.name}`", each.content, each.when) for each in TOPICS))


def _history() -> str:
    """Return the tables of a history, whose columns the statements that make them describe."""
    from drsn_edge.monitor.sinks.history_file import TABLES

    parts = []
    for statement in TABLES:
        head, *lines = statement.splitlines()
        made = re.match(r"CREATE TABLE (\w+) \(\s+-- (.*)", head)
        if made is None:
            continue
        rows = [re.match(r"  (\w+) ([A-Z]+)( NOT NULL)?.*?-- (.*)", line) for line in lines]
        columns = [(f"`{row[1]}`", row[2] + (row[3] or ""), row[4]) for row in rows if row]
        parts.append(f"### {made[1]}\n\n{made[2]}\n\n{table(('column', 'type', 'meaning'), columns)}")
    return "\n".join(parts)


def _verdicts() -> str:
    from drsn_edge.verdicts import VERDICTS

    rows = ((f"`{each.value}`", of.sentence, _colour(of.colour)) for each, of in VERDICTS.items())
    return table(("verdict", "what it says", "colour"), rows)


def _colour(of: str | None) -> str:
    return "by the label" if of is None else f"`{of}`"


def _reasons() -> str:
    from drsn_edge.verdicts import REASONS

    rows = ((f"`{each.text}`", each.subject.value, each.sentence) for each in REASONS.values())
    return table(("reason", "cause", "what it says"), rows)


def _states() -> str:
    from drsn_edge.verdicts import STATES

    return table(("state", "what it says"), ((each.text, each.sentence) for each in STATES.values()))


# --- JSON lines ------------------------------------------------------------------------------------------------------


def _lines(group: str) -> Callable[[], str]:
    return lambda: "\n".join(_line(name, of) for name, of in definitions().items() if of.get("x-page") == group)


def definitions() -> dict[str, Any]:
    """Return the definitions of the schema by name."""
    found: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    return found


def _line(name: str, of: Mapping[str, Any]) -> str:
    example = "\n".join(json.dumps(each) for each in of["examples"])
    return f"### {name}\n\n{of['description']}\n\n{_fields(of)}\n```json\n{example}\n```\n"


def _fields(of: Mapping[str, Any]) -> str:
    required = set(_required(of))
    rows = [
        (f"`{name}`", _json_type(each), each.get("x-unit", ""), _said(each, name in required))
        for name, each in _properties(of)
    ]
    return table(("field", "type", "unit", "meaning"), rows)


def _properties(of: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the fields of a definition, those of the objects in it behind a dot."""
    for each in of.get("allOf", ()):
        yield from _properties(_resolved(each), within)
    for name, each in of.get("properties", {}).items():
        yield within + name, each
        inner = _resolved(each)
        if inner.get("x-inline", True):
            yield from _properties(inner, f"{within}{name}.")
        items = _resolved(inner.get("items", {})) if isinstance(inner.get("items"), dict) else {}
        if items.get("x-inline", True):
            yield from _properties(items, f"{within}{name}[].")
        values = inner.get("additionalProperties")
        if isinstance(values, dict) and _resolved(values).get("x-inline", True):
            yield from _properties(_resolved(values), f"{within}{name}.*.")


def _required(of: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for each in of.get("allOf", ()):
        yield from _required(_resolved(each), within)
    for name in of.get("required", ()):
        yield within + name
    for name, each in of.get("properties", {}).items():
        inner = _resolved(each)
        yield from _required(inner, f"{within}{name}.")
        if isinstance(inner.get("items"), dict):
            yield from _required(_resolved(inner["items"]), f"{within}{name}[].")
        if isinstance(inner.get("additionalProperties"), dict):
            yield from _required(_resolved(inner["additionalProperties"]), f"{within}{name}.*.")


def _resolved(each: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = each.get("$ref")
    if reference is None:
        return each
    return {**definitions()[reference.rpartition("/")[2]], **{k: v for k, v in each.items() if k != "$ref"}}


def _json_type(each: Mapping[str, Any]) -> str:
    each = _resolved(each)
    if "const" in each:
        return f"`{json.dumps(each['const'])}`"
    if "enum" in each:
        return " or ".join(f"`{json.dumps(value)}`" for value in each["enum"])
    kinds = each.get("type", "object")
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)


def _said(each: Mapping[str, Any], required: bool) -> str:
    said = _resolved(each).get("description", "")
    return said if required else f"{said} May be left out.".strip()


_MANIFEST_TABLES = ("contract", "scaling", "spectra", "tensor", "budget", "promise", "curve")

PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "settings-decision": _settings_decision,
    "settings-alarms": _settings_alarms,
    "settings-limits": _settings_limits,
    "settings-capture": _settings_capture,
    "bearing": _bearing,
    "training": _training,
    "training-network": _training_network,
    "training-research": _training_research,
    "sensors": _sensors,
    "formats": _formats,
    "catalogue": _catalogue,
    **{f"manifest-{name}": _manifest(name) for name in _MANIFEST_TABLES},
    "manifest": _manifest("manifest"),
    "metrics": _metrics,
    "topics": _topics,
    "history": _history,
    "verdicts": _verdicts,
    "reasons": _reasons,
    "states": _states,
    **{f"lines-{group}": _lines(group) for group in ("monitor", "mqtt", "truth", "commands")},
}


def filled(text: str) -> str:
    """Return a page with its generated parts as they are now.

    Raises:
        KeyError: If nothing writes a part of that name.
    """
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", text)


def pages() -> list[Path]:
    """Return the pages that have generated parts."""
    return [path for path in sorted(HERE.rglob("*.md")) if _PART.search(path.read_text(encoding="utf-8"))]


def main() -> None:
    """Write every page that has generated parts."""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
