"""docs/how-to/your-data.md does what it says: its example is made, its catalogues are read, its rules are rules.

Its commands are run with those of the other pages; here are those that need hardware, and what the page's files hold.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from drsn_edge.cli.main import cli
from drsn_edge.cli.record import record
from drsn_edge.datasets.split import parse_hold_out
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.log_note import note_of
from drsn_edge.recordings.recorder import LogKeeper, record_source
from drsn_edge.simulation.simulator import simulate_dataset
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.wire.messages import Hello

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "your-data.md").read_text(encoding="utf-8")
NEEDS_HARDWARE = "/dev/ttyUSB0"
CONDITIONS = ("healthy", "imbalance", "outer_race")
TIMEOUT_S = 60.0


def files() -> dict[str, str]:
    """Return the files that the page has its reader save, by their names."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the page's recordings, shorter ones, and its catalogues."""
    folder = tmp_path_factory.mktemp("your-data")
    saved = files()
    script = saved.pop("make_example.py")
    shorter = script.replace("duration_s=10", "duration_s=2")
    assert shorter != script
    subprocess.run([sys.executable, "-c", shorter], cwd=folder, check=True, timeout=TIMEOUT_S)
    assert set(saved) == {"pumps/catalogue.toml", "fans/catalogue.csv"}
    for name, text in saved.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_what_was_recorded_has_its_label_and_its_group(example: Path) -> None:
    pytest.importorskip("serial")
    hello = Hello(1, "bench", "1", "fake", ("x", "y", "z"), "g", 1 / 1024, 16.0, 3200.0)
    for number, line in enumerate(line for line in commands() if " record " in line):
        options = record.make_context("record", shlex.split(line)[2:]).params
        samples = np.random.default_rng(0).normal(size=(6400, 3))
        device = VirtualAccelerometer(hello, [samples], link=example / "sensor", speed=4.0)
        thread = threading.Thread(target=device.run)
        thread.start()
        record_source(
            lambda on_bytes: SerialSource(str(example / "sensor"), on_bytes=on_bytes),
            LogKeeper(
                example / options["out"],
                f"lathe-{number}",
                about=note_of({"label": options["label"], "group": options["group"]}),
            ),
        )
        thread.join(TIMEOUT_S)
    recordings = load_recordings(example / "lathes")
    assert [(each.label, each.group) for each in recordings] == [("healthy", "lathe1"), ("imbalance", "lathe1")]
    assert all(len(each.samples) == 6400 and each.axes == ("x", "y", "z") for each in recordings)


@pytest.mark.parametrize(("data", "seed"), [("pumps", 0), ("fans", 1)])
def test_the_catalogues_say_everything_about_the_recordings(example: Path, data: str, seed: int) -> None:
    recordings = load_recordings(example / data)
    originals = {r.name: r.samples for r in simulate_dataset(CONDITIONS, n_machines=4, duration_s=2, seed=seed)}
    assert len(recordings) == 12
    assert {recording.label for recording in recordings} == set(CONDITIONS)
    assert {(r.sample_rate_hz, r.axes, r.unit) for r in recordings} == {(3200.0, ("x", "y", "z"), "g")}
    for recording in recordings:
        machine = recording.fields["machine"]
        assert recording.name == f"{data[:-1]}{machine}_{recording.label}"
        assert recording.group == f"{data[:-1]}{machine}"
        np.testing.assert_allclose(recording.samples, originals[f"{recording.label}-0{machine}"], atol=16 / 32767)


def test_the_rules_of_the_page_are_rules() -> None:
    rules = re.findall(r"`([a-z_]+=[0-9][^`]*)`", PAGE)
    assert len(rules) >= 8
    assert [str(parse_hold_out(rule)) for rule in rules] == rules


def test_the_commands_for_hardware_parse() -> None:
    lines = [line for line in commands() if NEEDS_HARDWARE in line or line.endswith("ports --hello")]
    assert [shlex.split(line)[1] for line in lines] == ["ports", "record", "record", "monitor"]
    for line in lines:
        _, name, *arguments = shlex.split(line)
        assert not cli.commands[name].make_context(name, arguments).args
