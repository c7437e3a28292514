"""Who may write a history, what of it cannot be stored, and files that are none."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from drsn_edge.errors import OutputError
from drsn_edge.monitor.sinks import Guarded, history_file, history_waiting
from drsn_edge.monitor.sinks.history import HistorySink
from drsn_edge.monitor.sinks.history_reader import read_history
from drsn_edge.monitor.sinks.one_writer import InUseError
from drsn_edge.monitor.stages.results import Alarm, AlarmState, Decision, Severity, Summary, WindowResult
from drsn_edge.verdicts import Verdict

FOREVER = (-1e12, 1e12)
DAY_S = 86_400.0
NOON = 1_800_000_000.0 // DAY_S * DAY_S + DAY_S / 2

HOLDER = """
import sys, time
from pathlib import Path
from drsn_edge.monitor.sinks.history import HistorySink
sink = HistorySink(Path(sys.argv[1]), "pump")
print("holds", flush=True)
time.sleep(60)
"""


def window(label: str = "calm") -> WindowResult:
    return WindowResult(0, 0.0, Verdict.CLASS, label, {label: 1.0}, None, 0)


def severity(*values: float) -> Severity:
    velocity, rms, peak, kurtosis = values
    return Severity(0, 0.0, velocity, rms, peak, 4.0, kurtosis, None, "g")


# --- one writer ------------------------------------------------------------------------------------------------------


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes the history of a pump."""
    child = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "history"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "holds\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_second_writer_of_a_machine_is_refused_with_the_firsts_process(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to("history")
    for path in (tmp_path / "history", link):
        with refused(InUseError, "in_use", machine="pump", holder=f"process {holder.pid}"):
            HistorySink(path, "pump")
    other = HistorySink(tmp_path / "history", "fan")  # another machine in the same file is welcome
    for _ in range(59):
        other.take(window())
    other.close()
    assert [each.machine for each in read_history(tmp_path / "history", *FOREVER)] == ["fan"]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    HistorySink(tmp_path / "history", "pump").close()  # the right to write ended with the process


def test_two_sensors_of_one_process_are_kept_apart_as_well(tmp_path: Path) -> None:
    first = HistorySink(tmp_path / "history", "pump")
    with refused(InUseError, "in_use", holder=f"another sensor of this process ({os.getpid()})"):
        HistorySink(tmp_path / "history", "pump")
    first.close()
    HistorySink(tmp_path / "history", "pump").close()
    assert not list(tmp_path.glob("*.lock"))


def test_many_begin_the_same_file_at_once(tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER.replace('"pump"', "sys.argv[2]").replace("60", "0"), tmp_path / "h", str(n)]
        )
        for n in range(4)
    ]
    assert [child.wait() for child in children] == [0] * 4


# --- what cannot be stored -------------------------------------------------------------------------------------------


def test_numbers_that_are_none_are_stored_as_nothing_and_stop_nothing(tmp_path: Path) -> None:
    told: list[Any] = []
    path, now_s = tmp_path / "history", [NOON]
    sink = HistorySink(path, "pump", now_s=lambda: now_s[0])
    guarded = Guarded("history", sink, told.append)
    nan, inf = float("nan"), float("inf")
    for values in ((nan, nan, nan, nan), (inf, inf, -inf, 10**400), (2.0, 0.5, 1.0, 3.0)):
        guarded.take(severity(*values))
        odd = WindowResult(0, 0.0, Verdict.CLASS, "calm", {"calm": values[0]}, None, 0, values[1])
        guarded.take(odd)
        guarded.take(Decision(odd, 0.0))
        now_s[0] += 60
    guarded.close()
    assert told == [] and sink.dropped == 0
    (found,) = read_history(path, *FOREVER)
    assert [span.velocity_mm_s for span in found.spans] == [None, None, 2.0]
    assert [span.windows for span in found.spans] == [1, 1, 1]
    assert [(each.score, each.novelty) for each in found.decisions] == [(None, None), (None, None), (2.0, 0.5)]


def test_a_row_that_cannot_be_stored_is_left_out_alone_and_counted(tmp_path: Path) -> None:
    told: list[Any] = []
    path = tmp_path / "history"
    sink = HistorySink(path, "pump", now_s=lambda: NOON, tell=told.append)
    for name in ("worn", "lone \ud800", "broken"):
        sink.take(Alarm(name, AlarmState.RAISED, 0, 0.0, 0.0, 1.0))
        sink.take(window(name))
    sink.close()
    (found,) = read_history(path, *FOREVER)
    assert [each.name for each in found.alarms] == ["worn", "broken"]
    assert dict(found.spans[0].states) == {"worn": 1, "broken": 1}
    assert sink.dropped == 2 and len(told) == 1 and "counts them" in told[0]
    assert sqlite3.connect(path).execute("SELECT dropped FROM runs").fetchone() == (2,)


def test_a_machine_whose_name_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    for name in ("pump \ud800", "pump\n3"):
        with refused(OutputError, "not_printable", machine=name):
            HistorySink(tmp_path / "history", name)


# --- a full disk -----------------------------------------------------------------------------------------------------


class Flaky:
    """A sink that cannot be written at times."""

    def __init__(self) -> None:
        self.works = True

    def take(self, result: Any) -> None:
        if not self.works:
            raise OutputError("The disk is full.")

    def close(self) -> None:
        pass


def test_an_output_that_alternates_is_said_once_and_well_after_a_minute() -> None:
    told: list[Any] = []
    now_s, sink = [0.0], Flaky()
    guarded = Guarded("history", sink, told.append, now_s=lambda: now_s[0])
    for second in range(300):
        sink.works = second % 3 == 0
        guarded.take(window())
        now_s[0] += 1
    assert told == ["The disk is full."] and guarded.failing
    sink.works = True
    for _ in range(59):
        guarded.take(window())
        now_s[0] += 1
    assert len(told) == 1 and guarded.failing
    for _ in range(3):
        guarded.take(window())
        now_s[0] += 1
    assert told[1:] == ['The output "history" can be written again.'] and guarded.failing is None


def test_a_severity_is_no_sign_that_a_full_disk_works_again(tmp_path: Path) -> None:
    told: list[Any] = []
    path, now_s = tmp_path / "history", [NOON]
    sink = HistorySink(path, "pump", now_s=lambda: now_s[0])
    guarded = Guarded("history", sink, told.append)
    guarded.take(window())
    guarded.flush()
    sink._file._connection.execute("PRAGMA busy_timeout = 10")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")  # as long as it lasts nobody else can write
    for number in range(6):
        now_s[0] += 6
        guarded.take(window(str(number)))
        guarded.flush()
        guarded.take(severity(1.0, 1.0, 1.0, 3.0))
        guarded.flush()
    connection.execute("ROLLBACK")
    connection.close()
    assert len(told) == 1
    now_s[0] += 6
    guarded.take(Summary(0, 0, 7, {}, {}, None))
    guarded.close()
    (found,) = read_history(path, *FOREVER, DAY_S)
    assert found.spans[0].windows == 7 and len(told) == 2
    assert sqlite3.connect(path).execute("SELECT summary LIKE '%summary%' FROM runs").fetchone() == (1,)


def test_what_does_not_fit_into_memory_is_counted_and_what_is_lost_at_the_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_waiting, "_MOST_WAITING", 10)
    told: list[Any] = []
    path = tmp_path / "history"
    history_file.open_history(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    sink = HistorySink(path, "pump", now_s=lambda: NOON)
    sink._file._connection.execute("PRAGMA busy_timeout = 10")
    guarded = Guarded("history", sink, told.append)
    for number in range(25):
        guarded.take(Decision(window(str(number)), 0.0))
        guarded.take(window(str(number)))
    guarded.close()
    connection.close()
    assert sink.dropped == 30
    assert len(told) == 2 and "10 decisions" in told[1] and "10 windows" in told[1]


def test_a_monitor_that_starts_on_a_full_disk_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = [True]

    def connect(*args: Any, **more: Any) -> sqlite3.Connection:
        if full[0]:
            raise sqlite3.OperationalError("database or disk is full")
        return plain(*args, **more)

    plain = sqlite3.connect
    (tmp_path / "history").touch()  # as it is left where the disk became full at that moment
    monkeypatch.setattr(sqlite3, "connect", connect)
    with refused(OutputError, "cannot_open", path=tmp_path / "history") as caught:
        HistorySink(tmp_path / "history", "pump")
    assert "disk is full" in str(caught.value)  # as SQLite says it
    monkeypatch.setattr(history_file, "is_full_or_read_only", lambda path: full[0])
    now_s = [NOON]
    sink = HistorySink(tmp_path / "history", "pump", now_s=lambda: now_s[0])
    with refused(OutputError, "cannot_open", path=tmp_path / "history"):
        sink.take(Decision(window(), 0.0))
    full[0] = False
    now_s[0] += 6
    sink.take(window())
    sink.close()
    (found,) = read_history(tmp_path / "history", *FOREVER)
    assert len(found.decisions) == 1 and found.spans[0].windows == 1


@pytest.mark.parametrize(
    ("place", "problem"), [("/proc/history", "cannot_make"), ("missing/history", "parent_missing")]
)
def test_where_no_file_can_ever_be_made_a_monitor_does_not_start(tmp_path: Path, place: str, problem: str) -> None:
    with refused(OutputError, problem, path=tmp_path / place) as caught:
        HistorySink(tmp_path / place, "pump")
    assert ".." not in str(caught.value) and "choose" in str(caught.value).lower()


def test_a_disk_without_blocks_is_no_full_one() -> None:
    assert not history_file.is_full_or_read_only(Path("/proc/history"))


def test_a_history_that_cannot_be_opened_says_so_in_one_sentence(tmp_path: Path) -> None:
    sink = HistorySink(tmp_path / "history", "pump")
    (tmp_path / "history").mkdir()  # meanwhile
    with refused(OutputError, "is_folder", path=tmp_path / "history") as failed:
        sink.take(Decision(window(), 0.0))
    assert str(failed.value).count("the history") == 1 and ".." not in str(failed.value)
    assert "wait in memory" in str(failed.value)


def test_a_monitor_that_ends_before_its_first_row_leaves_no_file(tmp_path: Path) -> None:
    HistorySink(tmp_path / "history", "pump").close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moved", [True, False])
def test_a_file_that_is_taken_away_is_begun_anew_and_that_is_said(tmp_path: Path, moved: bool) -> None:
    told: list[Any] = []
    path, now_s = tmp_path / "history", [NOON]
    sink = HistorySink(path, "pump", now_s=lambda: now_s[0], tell=told.append)
    for minute in range(4):
        if minute == 2:
            path.rename(tmp_path / "old") if moved else path.unlink()
        sink.take(window())
        sink.take(Decision(window(), 0.0))
        now_s[0] += 60
    sink.close()
    (found,) = read_history(path, *FOREVER)
    assert len(found.decisions) == len(found.spans) == 2
    assert len(told) == 1 and "moved away" in told[0]
    if moved:
        (found,) = read_history(tmp_path / "old", *FOREVER)
        assert len(found.decisions) == len(found.spans) == 2


def test_a_new_file_that_cannot_be_opened_at_once_begins_with_a_run_of_its_own(tmp_path: Path) -> None:
    path, now_s = tmp_path / "history", [NOON]
    sink = HistorySink(path, "pump", now_s=lambda: now_s[0])
    sink.take(window())
    sink.take(Decision(window(), 0.0))
    path.rename(tmp_path / "old")
    path.mkdir()
    now_s[0] += 60
    with refused(OutputError, "is_folder", path=path):
        sink.take(Decision(window(), 0.0))
    path.rmdir()
    now_s[0] += 60
    sink.take(window())
    sink.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM decisions JOIN runs USING (run)").fetchone() == (1,)
    connection.close()


# --- files that are none of ours --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 99])
def test_a_file_of_another_version_is_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "history"
    connection = sqlite3.connect(path)
    connection.executescript(f"CREATE TABLE minutes (machine TEXT, minute INTEGER); PRAGMA user_version = {version};")
    connection.close()
    before = path.read_bytes()
    for use in (lambda: HistorySink(path, "pump"), lambda: read_history(path, *FOREVER)):
        with refused(OutputError, "other_version", path=path, expected=3, got=version):
            use()
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["history"]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (name TEXT)")
    connection.commit()
    before = path.read_bytes()
    with refused(OutputError, "not_a_history", path=path):
        HistorySink(path, "pump")
    with refused(OutputError, "not_a_history", path=path):
        read_history(path, *FOREVER)
    assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["photos"]
    assert path.read_bytes()[100:] == before[100:]
    connection.close()


def test_writing_goes_on_while_others_read(tmp_path: Path) -> None:
    sink, began_s = HistorySink(tmp_path / "history", "pump"), time.monotonic()
    for _ in range(50):
        sink.take(Decision(window(), 0.0))
        assert read_history(tmp_path / "history", *FOREVER)
    sink.close()
    assert time.monotonic() - began_s < 30


def test_an_output_that_cannot_be_closed_either_is_not_said_twice() -> None:
    told: list[str] = []

    class Broken(Flaky):
        def close(self) -> None:
            self.take(None)

    sink = Broken()
    sink.works = False
    guarded = Guarded("history", sink, told.append)
    guarded.take(window())
    guarded.close()
    assert told == ["The disk is full."] == [guarded.failing]


def test_a_monitor_that_starts_beside_a_lock_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "history"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE x (a)")
    other.execute("DROP TABLE x")
    other.execute("BEGIN EXCLUSIVE")
    clock = [NOON]
    began_s = time.monotonic()

    sink = HistorySink(path, "pump", now_s=lambda: clock[0], steady_s=lambda: clock[0])
    sink.take(window())
    with refused(OutputError, "locked", path=path):
        sink.flush()
    assert time.monotonic() - began_s < 8

    other.execute("COMMIT")
    other.close()
    clock[0] += 10
    sink.take(window())
    sink.close()
    (found,) = read_history(path, *FOREVER)
    assert sum(span.windows for span in found.spans) == 2
