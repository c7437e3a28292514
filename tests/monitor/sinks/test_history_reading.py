"""Reading a history that belongs to somebody else: while it is written, after that, after a kill, and not at all."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from refusals import expect

from drsn_edge.monitor.sinks import sqlite_reading
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.history_file import open_history
from drsn_edge.monitor.sinks.history_reader import read_history
from drsn_edge.monitor.stages.results import Decision, WindowResult
from drsn_edge.support.readable import NotReadableError, not_readable
from drsn_edge.verdicts import Verdict

FOREVER = (-1e12, 1e12)

READER = """
import json, os, sys
from pathlib import Path
from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks.history_reader import read_history
if os.geteuid() == 0:  # once all is imported: Python itself may lie where others cannot reach it
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
try:
    found = read_history(Path(sys.argv[1]), -1e12, 1e12)
    print(json.dumps([sum(span.windows for each in found for span in each.spans), len(found[0].decisions)]))
except OutputError as exc:
    print(json.dumps(str(exc)))
"""

WRITER = """
import os, sys
from pathlib import Path
from drsn_edge.monitor.stages.results import Decision, Verdict, WindowResult
from drsn_edge.monitor.sinks.history import HistorySink
sink = HistorySink(Path(sys.argv[1]), "pump")
window = WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 1.0}, None, 0)
sink.take(window)
sink.take(Decision(window, 0.0))
os._exit(0)  # as a kill ends it: nothing is tidied up
"""


def window() -> WindowResult:
    return WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": 1.0}, None, 0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others can reach, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="drsn-edge-test-"))
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def closed(folder: Path, folder_mode: int = 0o555, file_mode: int = 0o444) -> None:
    """Take from others, and from the user of this test unless that is root, what the modes take."""
    for each in folder.iterdir():
        each.chmod(file_mode)
    folder.chmod(folder_mode)


def read_by_another(path: Path) -> Any:
    command = [sys.executable, "-c", READER, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_history_of_a_stopped_monitor(folder: Path) -> None:
    sink = HistorySink(folder / "history", "pump")
    sink.take(window())
    sink.take(Decision(window(), 0.0))
    sink.close()
    assert not (folder / "history-wal").exists()
    closed(folder)
    assert read_by_another(folder / "history") == [1, 1]
    assert [path.name for path in folder.iterdir()] == ["history"]


def test_the_history_of_a_running_monitor(folder: Path) -> None:
    sink = HistorySink(folder / "history", "pump")
    sink.take(window())
    sink.take(Decision(window(), 0.0))
    closed(folder)
    assert read_by_another(folder / "history") == [1, 1]
    sink.take(Decision(window(), 0.0))
    assert read_by_another(folder / "history") == [1, 2]  # what is in the log alone, too
    folder.chmod(0o755)
    sink.close()


@pytest.mark.parametrize("with_index", [True, False])
def test_the_history_of_a_killed_monitor(folder: Path, with_index: bool) -> None:
    subprocess.run([sys.executable, "-c", WRITER, folder / "history"], check=True)
    assert (folder / "history-wal").stat().st_size > 0
    if not with_index:  # a restart of the machine, or a copy, leaves it behind
        (folder / "history-shm").unlink()
    closed(folder)
    before = sorted(path.name for path in folder.iterdir())
    assert read_by_another(folder / "history") == [1, 1]
    assert sorted(path.name for path in folder.iterdir()) == before


def test_while_it_is_read_as_complete_a_monitor_may_begin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "history"
    sink = HistorySink(path, "pump")
    sink.take(Decision(window(), 0.0))
    sink.close()
    calls: list[str] = []
    plain = sqlite_reading._with

    def with_one_more(place: Path, how: str, read: Any) -> Any:
        calls.append(how)
        if len(calls) == 1:
            raise sqlite3.OperationalError("unable to open database file")  # as for a user who may not
        found = plain(place, how, read)
        if len(calls) == 2:
            again = HistorySink(path, "pump")
            again.take(Decision(window(), 0.0))
            again.close()
        return found

    monkeypatch.setattr(sqlite_reading, "_with", with_one_more)
    (found,) = read_history(path, *FOREVER)
    assert "immutable" in calls[1] and len(found.decisions) == 2  # the first answer was thrown away


def test_what_is_read_beside_a_busy_writer_is_whole(folder: Path) -> None:
    path, stopped = folder / "history", threading.Event()
    open_history(path).close()

    def write() -> None:
        while not stopped.is_set():
            sink = HistorySink(path, "pump")
            for _ in range(20):
                sink.take(window())
                sink.take(Decision(window(), 0.0))
            sink.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        before = 0
        for _ in range(30):
            for found in read_history(path, *FOREVER):
                assert len(found.decisions) >= before
                before = len(found.decisions)
    finally:
        stopped.set()
        thread.join()


# --- not allowed -----------------------------------------------------------------------------------------------------


class Group(NamedTuple):
    gr_name: str
    gr_mem: list[str]


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another group are root's to make")
@pytest.mark.parametrize("barred", ["folder", "file"])
def test_a_user_who_lacks_the_group_is_told_which(folder: Path, barred: str) -> None:
    sink = HistorySink(folder / "history", "pump")
    sink.take(window())
    sink.close()
    gid = 12  # of `man`: a group that others are not in
    place = folder if barred == "folder" else folder / "history"
    os.chown(place, 0, gid)
    place.chmod(0o750 if barred == "folder" else 0o640)
    said = read_by_another(folder / "history")
    assert f"nobody may not read {folder / 'history'}" in said and f"{place} is readable by the group man" in said
    assert "sudo usermod -aG man nobody" in said


def test_what_helps_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "history"
    path.write_bytes(b"")
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != folder)
    monkeypatch.setattr(os, "getgroups", lambda: [])
    group = Group("plant", [])
    monkeypatch.setattr("grp.getgrgid", lambda gid: group)
    folder.chmod(0o750)
    error = not_readable(path)
    expect(error, NotReadableError, "not_in_group", path=path, place=folder, group="plant")
    assert "sudo usermod -aG plant" in str(error)
    monkeypatch.setattr("drsn_edge.support.readable._user", lambda: "anna")
    group.gr_mem.append("anna")
    expect(not_readable(path), NotReadableError, "log_in_again", user="anna", group="plant")
    folder.chmod(0o700)
    expect(not_readable(path), NotReadableError, "group_not_permitted", place=folder)
    group = Group("root", [])
    folder.chmod(0o755)
    expect(not_readable(path), NotReadableError, "belongs_to_root", place=folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_bars_the_way_gives_one_sentence(folder: Path) -> None:
    HistorySink(folder / "history", "pump").close()
    folder.chmod(0)
    with pytest.raises(NotReadableError):
        read_history(folder / "history", *FOREVER)
