"""`drsn-edge ack` and `drsn-edge accept-mounting` with a monitor that runs."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.errors import ControlError
from tests.cli.test_monitor import SETTINGS, Run, Start, finish, read_until, recording, start, wait_until

__all__ = ["recording", "start"]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRSN_EDGE_STATE", str(tmp_path / "state"))


@pytest.fixture
def watching(start: Start, recording: Path, tiny_bundle_path: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return what starts a monitor of a virtual sensor with alarms that are latched."""
    (tmp_path / "monitor.toml").write_text(SETTINGS.partition("[capture]")[0])
    link = tmp_path / "sensor"
    start("simulate", "--recording", recording, "--link", link, "--loop")
    wait_until(link.exists)

    def watch(*more: Any, **options: Any) -> subprocess.Popen[str]:
        model = ("--model", tiny_bundle_path, "--settings", tmp_path / "monitor.toml")
        return start("monitor", "--port", link, *model, "--duration", 60, *more, **options)

    return watch


def test_an_alarm_is_acknowledged_by_name_and_a_mounting_accepted_and_a_replay_says_the_same(
    run: Run, watching: Any, tiny_bundle_path: Path, tmp_path: Path
) -> None:
    live = watching("--json", "--machine", "fan", "--record", tmp_path / "logs")
    lines = read_until(live, lambda line: line["type"] == "alarm")
    name = lines[-1]["name"]
    wrong = run("ack", "--name", "nothing")
    assert wrong.code == 1 and re.search(rf"fan.*nothing.*{name}", wrong.err) and type(wrong.why) is ControlError
    other = run("ack", "--machine", "pump")
    assert other.code == 1 and re.search(r"pump.*fan \(process \d+\)", other.err) and type(other.why) is ControlError
    done = run("ack", "--name", name, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {"schema": 1, "type": "ack", "machine": "fan", "alarms": [name], "taken": True}
    lines += read_until(live, lambda line: line["type"] == "alarm" and line["state"] == "ACKNOWLEDGED")
    assert lines[-1]["name"] == name
    moved = run("accept-mounting", "--machine", "fan")
    assert (moved.code, moved.err) == (0, "") and moved.out.startswith("fan: mounting accepted")
    read_until(live, lambda line: line["type"] == "window")
    live.send_signal(signal.SIGTERM)
    code, _, err = finish(live)
    assert (code, err) == (0, "")
    assert list((tmp_path / "state").iterdir()) == []
    logged = b"".join(path.read_bytes() for path in (tmp_path / "logs").iterdir())
    assert logged.count(b"accept mounting") == 1 and logged.count(f"acknowledge {name}".encode()) == 1
    again = run("monitor", "--replay", tmp_path / "logs", "--model", tiny_bundle_path,
                "--settings", tmp_path / "monitor.toml", "--json")  # fmt: skip
    states = [(line["name"], line["state"]) for line in map(json.loads, again.out.splitlines())
              if line["type"] == "alarm"]  # fmt: skip
    assert (name, "ACKNOWLEDGED") in states


def test_without_a_monitor_it_says_what_to_type(run: Run) -> None:
    for command in ("ack", "accept-mounting"):
        done = run(command)
        assert (done.code, done.out) == (1, "") and "drsn-edge monitor" in done.err


def test_a_state_folder_that_cannot_be_written_keeps_no_monitor_from_its_work(watching: Any, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    live = watching("--json")
    read_until(live, lambda line: line["type"] == "window")
    live.send_signal(signal.SIGTERM)
    code, _, err = finish(live)
    assert code == 0 and re.fullmatch(r"Note: .*drsn-edge ack.*\n", err)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_a_key_of_the_view_acknowledges_and_the_terminal_is_given_back(
    watching: Any, terminal: tuple[int, int], tmp_path: Path
) -> None:
    pytest.importorskip("rich", reason="the view needs the extra `view`")
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)[3]
    lines = tmp_path / "lines.jsonl"
    live = watching("--lines", lines, stdin=theirs, stdout=theirs, start_new_session=True, preexec_fn=_take_terminal)

    def see(done: Callable[[bytes], bool]) -> None:
        shown = b""
        until = time.monotonic() + 60
        while not done(shown):
            assert time.monotonic() < until, shown[-2000:]
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 65_536)

    see(lambda shown: b"acknowledge the alarms" in shown)
    assert not termios.tcgetattr(theirs)[3] & (termios.ICANON | termios.ECHO)
    assert "ACKNOWLEDGED" not in lines.read_text()
    os.write(ours, b"xa")
    see(lambda _: "ACKNOWLEDGED" in lines.read_text())
    live.send_signal(signal.SIGTERM)
    see(lambda _: live.poll() is not None)
    assert live.returncode == 0 and termios.tcgetattr(theirs)[3] == before


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
