"""The published schema of the JSON lines, held against real lines of every type."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_broker import FakeBroker
from jsonschema import Draft202012Validator
from lines_schema import CLOSED, SCHEMA, TYPES, Lines, expect_described, printed, put, resolved, sensor

from drsn_edge.bundle.bundle import Bundle, read_bundle, write_bundle
from drsn_edge.bundle.promise import Promise, RiskPoint
from drsn_edge.monitor.sinks.topics import TOPICS

STREAMED = [name for name, of in TYPES.items() if of["x-page"] != "commands"]
SETTINGS = """
[alarms]
normal = []
windows = 1
on = 0.01
off = 0.01
on_delay_s = 0.0
[capture]
folder = "{captures}"
before_s = 0.1
after_s = 0.1
"""
LIMITS = """
[zones]
velocity_mm_s = [1.4, 2.8, 4.5]
[bearing]
n_balls = 9
ball_diameter_mm = 7.94
pitch_diameter_mm = 39.04
"""
FAULTS = ("flip 1e-4", "drop-frame 0.05", "overrun 80 at 1", "stall at 1.5 for 0.1")


def promising(bundle: Bundle) -> Bundle:
    """Return the bundle with a promise that names every window, which no inner fold did."""
    point = RiskPoint(0.0, 0.02, 0.1, 0.5)
    manifest = replace(bundle.manifest, promise=Promise(1.0, "another rpm of these machines", 3, 900, (point,)))
    return Bundle(manifest, bundle.model, bundle.extras)


# --- real lines ------------------------------------------------------------------------------------------------------


def of_the_monitor(folder: Path, bundle: Path, lines: Lines) -> None:
    """Watch one sensor with every output, replay its log, and watch two sensors."""
    (folder / "monitor.toml").write_text(SETTINGS.format(captures=folder / "captures"))
    (folder / "limits.toml").write_text(LIMITS)
    measured = ("--severity", "--rpm", 3000, "--limits", folder / "limits.toml")
    able = folder / "able.drsn"
    write_bundle(promising(read_bundle(bundle)), able)
    asked = ("--model", able, "--at-most-wrong", 2)
    judged = (*asked, "--settings", folder / "monitor.toml", "--json", *measured)
    broker = FakeBroker()
    with sensor(folder / "sensor", 4.5):
        mqtt = ("--mqtt", f"mqtt://127.0.0.1:{broker.port}/plant", "--mqtt-gateway", "g", "--machine", "fan")
        kept = ("--lines", folder / "lines.jsonl", "--record", folder / "logs")
        put(lines, printed("monitor", "--port", folder / "sensor", *judged, *kept, *mqtt))
    broker.close()
    put(lines, [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()])
    topics = of_the_broker(broker, lines)
    assert topics | {"acknowledge"} == {each.name.partition("/")[0] for each in TOPICS}
    put(lines, printed("monitor", "--replay", folder / "logs", *judged))
    with sensor(folder / "one", 0.2), sensor(folder / "two", 0.2):
        ports = ("--port", folder / "one", "--port", folder / "two")
        several = printed("monitor", *ports, "--model", bundle, "--json")
    assert {line["machine"] for line in several} == {"one", "two"}
    put(lines, several)


def of_the_broker(broker: FakeBroker, lines: Lines) -> set[str]:
    """Keep the payloads that a broker received; return the names of their topics."""
    topics = set()
    for topic, payload in broker.published:
        name = topic.removeprefix("plant/g/fan/").partition("/")[0]
        topics.add(name)
        if name == "status":
            assert payload in ("online", "offline")
        elif payload:
            put(lines, [json.loads(payload)], "state" if name == "state" else f"{name}-payload")
    return topics


def of_simulate(folder: Path, lines: Lines) -> None:
    """Stream a damaged recording to `record`, and keep what the two say of it, and the truth."""
    truth = folder / "truth.jsonl"
    faults = [word for fault in FAULTS for word in ("--fault", fault)]
    command = [sys.executable, "-m", "drsn_edge.cli.main", "simulate", "--condition", "healthy", "--duration", "3"]
    command += ["--listen", "127.0.0.1:0", "--speed", "0", "--truth", str(truth), "--json", *faults]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    port = re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())
    assert port is not None
    recorded = printed("record", "--port", f"socket://127.0.0.1:{port[1]}", "--out", folder / "out", "--json")
    said, _ = process.communicate(timeout=60)
    put(lines, recorded)
    put(lines, [json.loads(said)], "simulate")
    put(lines, [json.loads(line) for line in truth.read_text().splitlines()])


@pytest.fixture(scope="module")
def healthy_lines(tmp_path_factory: pytest.TempPathFactory, healthy_bundle_of_noise: Bundle) -> Lines:
    """Watch a sensor with a bundle that has no network."""
    folder, found, broker = tmp_path_factory.mktemp("healthy"), Lines(), FakeBroker()
    write_bundle(healthy_bundle_of_noise, folder / "pump.drsn")
    (folder / "monitor.toml").write_text(SETTINGS.format(captures=folder / "captures"))
    with sensor(folder / "sensor", 1.0):
        mqtt = ("--mqtt", f"mqtt://127.0.0.1:{broker.port}/plant", "--mqtt-gateway", "g", "--machine", "fan")
        judged = ("--model", folder / "pump.drsn", "--settings", folder / "monitor.toml", "--json", *mqtt)
        put(found, printed("monitor", "--port", folder / "sensor", *judged))
    broker.close()
    of_the_broker(broker, found)
    return found


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory, tiny_bundle_path: Path) -> Lines:
    folder, found = tmp_path_factory.mktemp("lines"), Lines()
    of_the_monitor(folder, tiny_bundle_path, found)
    of_simulate(folder, found)
    return found


# --- tests -----------------------------------------------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["anyOf"] == [{"$ref": f"#/$defs/{name}"} for name in TYPES]


@pytest.mark.parametrize("name", TYPES)
def test_every_field_has_a_meaning_and_examples_are_valid(name: str) -> None:
    def undescribed(schema: Mapping[str, Any]) -> Iterator[str]:
        for field, each in schema.get("properties", {}).items():
            if not each.get("description", "").endswith("."):
                yield field
            yield from undescribed(each)

    assert list(undescribed(resolved(TYPES[name]))) == []
    assert TYPES[name]["examples"]
    for example in TYPES[name]["examples"]:
        CLOSED[name].validate(example)


@pytest.mark.parametrize("name", [*STREAMED, "record", "simulate"])
def test_real_lines_are_as_the_schema_says(name: str, lines: Lines, healthy_lines: Lines) -> None:
    expect_described(name, lines.get(name, []) + healthy_lines.get(name, []))


def test_lines_of_a_bundle_without_a_network_are_as_the_schema_says(healthy_lines: Lines) -> None:
    for name, found in healthy_lines.items():
        for line in found:
            CLOSED[name].validate(line)
    alarms = {line["name"] for line in healthy_lines["alarm"]}
    decided = [(each["verdict"], each["scores"]) for each in healthy_lines["decision"]]
    assert alarms == {"UNKNOWN"} and decided == [("UNKNOWN", None)]
    last = healthy_lines["state"][-1]
    assert last["decision"]["scores"] is None and set(last["alarms"]) == {"healthy", "UNKNOWN"}


def test_no_line_is_without_a_definition(lines: Lines) -> None:
    assert set(lines) == {*STREAMED, "record", "simulate"}


def test_a_field_that_is_not_described_is_noticed(lines: Lines) -> None:
    for name, inner in (("window", None), ("summary", "link"), ("state", "decision")):
        line = json.loads(json.dumps(lines[name][-1]))
        (line if inner is None else line[inner])["surprise"] = 1
        assert not CLOSED[name].is_valid(line)
        assert Draft202012Validator(SCHEMA).is_valid(line), "readers ignore fields that they do not know"
