"""Prometheus' own checker on what `/metrics` serves."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("prometheus_client", reason="needs the extra `metrics`")

from drsn_edge.monitor.sinks.metrics import MetricsServer
from drsn_edge.monitor.sinks.present import About
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Decision, Result, Severity, Summary, WindowResult
from drsn_edge.verdicts import Verdict
from firmware_bridge.wire.stream import StreamCounters

pytestmark = pytest.mark.integration

WINDOW = WindowResult(0, 0.0, Verdict.CLASS, 'worn "out"', {'worn "out"': 1.0}, None, 0, 0.25)
RESULTS: list[Result] = [
    WINDOW,
    Decision(WINDOW, 0.0),
    Severity(0, 0.0, 1.25, 0.1, 0.4, 4.0, 3.0, "A", "g"),
    Alarm("UNKNOWN", AlarmState.RAISED, 0, 0.0, 0.0, 1.0),
    Summary(0, 0, 0, {}, {}, None),
]


@pytest.mark.parametrize("results", [[], RESULTS], ids=["at the start", "of everything"])
def test_promtool_has_nothing_to_say(need: Callable[..., None], results: list[Result]) -> None:
    need("promtool")
    server = MetricsServer("127.0.0.1", 0)
    about = About(lambda: ("worn", "UNKNOWN"), lambda: {"mqtt": "It is away.", "lines": None}, lambda: ("fans", "1.2"))
    for machine in ("fan \\ 1\n", "насос"):
        sink = server.sink(machine, StreamCounters, about)
        for result in results:
            sink.take(result)
    with urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        page = answer.read()
    server.close()
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_rules_in_the_documents_are_rules_and_name_what_is_served(
    need: Callable[..., None], tmp_path: Path
) -> None:
    need("promtool")
    text = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    rules = tmp_path / "rules.yml"
    rules.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    checked = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0 and "4 rules found" in checked.stdout, checked
    server = MetricsServer("127.0.0.1", 0)
    sink = server.sink("fan", StreamCounters, About(lambda: ("worn",)))
    for result in RESULTS:
        sink.take(result)
    with urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        page = answer.read().decode()
    server.close()
    named = set(re.findall(r"drsn_edge_[a-z_]*[a-z]", text)) - {"drsn_edge_link", "drsn_edge"}
    assert named and all(f"{name}{{" in page or f"# TYPE {name} " in page for name in named)
