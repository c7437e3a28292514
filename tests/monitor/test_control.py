"""The control socket: who may say what to a running monitor, within which bounds, and what a command says of it."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from drsn_edge.errors import ControlError
from drsn_edge.monitor import control
from drsn_edge.monitor.control import MOST_BYTES, MOST_CONNECTIONS, ControlSocket, ask, choose, handlers_of, watched


@dataclass
class FakeStation:
    machine: str
    alarms: tuple[str, ...] = ()
    waiting: bool = False
    told: list[Any] = field(default_factory=list)

    def acknowledge(self, alarm: str | None = None) -> None:
        self.told.append(("ack", alarm))

    def accept_mounting(self) -> None:
        self.told.append(("accept", None))


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[..., ControlSocket]]:
    opened: list[ControlSocket] = []

    def start(*stations: FakeStation, folder: Path = tmp_path) -> ControlSocket:
        opened.append(ControlSocket(folder, handlers_of(stations)))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def send(path: Path, data: bytes, end: bool = False) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        link.connect(str(path))
        link.sendall(data)
        if end:
            link.shutdown(socket.SHUT_WR)
        answer: dict[str, Any] = json.loads(link.makefile().readline())
        return answer


def test_alarms_are_acknowledged_and_a_mounting_is_accepted(listen: Any, tmp_path: Path) -> None:
    pump = FakeStation("pump 3", ("worn", "UNKNOWN"))
    listen(pump)
    one = choose(watched([tmp_path]), None)
    assert (one.machine, one.alarms, one.process) == ("pump 3", ("worn", "UNKNOWN"), os.getpid())
    assert ask(one, "ack") == {"ok": True, "alarms": ["worn", "UNKNOWN"], "taken": True}
    assert ask(one, "ack", "worn")["alarms"] == ["worn"]
    assert ask(one, "accept-mounting") == {"ok": True, "taken": True}
    assert pump.told == [("ack", None), ("ack", "worn"), ("accept", None)]
    with refused(ControlError, "refused", machine="pump 3") as caught:
        ask(one, "ack", "loud")
    assert "loud" in str(caught.value) and "worn, UNKNOWN" in str(caught.value)  # what the monitor says


def test_what_is_not_done_yet_is_said(listen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_TAKEN_WITHIN_S", 0.05)
    listen(FakeStation("pump", waiting=True))
    assert ask(choose(watched([tmp_path]), None), "ack")["taken"] is False


def test_several_machines_and_monitors_are_told_apart(listen: Any, tmp_path: Path) -> None:
    pump, fan, other = FakeStation("pump"), FakeStation("fan"), FakeStation("fan")
    listen(pump, fan)
    found = watched([tmp_path, tmp_path / "absent"])
    ask(choose(found, "fan"), "ack")
    assert (fan.told, pump.told) == ([("ack", None)], [])
    with refused(ControlError, "several_machines", watched=["pump", "fan"]):
        choose(found, None)
    with refused(ControlError, "no_such_machine", machine="mill", watched=["pump", "fan"]):
        choose(found, "mill")
    listen(other)
    with refused(ControlError, "several_monitors", machine="fan", watched=["fan", "fan"]):
        choose(watched([tmp_path]), "fan")


def test_only_its_user_and_group_may_connect_whatever_the_umask(listen: Any, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = listen(FakeStation("pump")).path
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b'"ack"\n',
        b"[" * 4000 + b"\n",
        b"\xff\xfe\n",
        b'{"do": "reboot"}\n',
        b'{"do": null}\n',
        b'{"do": 1}\n',
        b'{"do": ["ack"]}\n',
        b'{"do": "ack", "machine": "fan"}\n',
        b'{"do": "ack", "machine": {"a": 1}}\n',
        b'{"do": "ack", "alarm": "\\u001b[31m"}\n',
        b'{"do": "ack", "alarm": "\\ud800"}\n',
        b'{"do": "ack", "alarm": "' + b"x" * 300 + b'"}\n',
        b'{"do": "ack", "alarm": ""}\n',
        b'{"do": "ack", "more": "x"}\n',
        b'{"do": "ack"' + b" " * MOST_BYTES + b"}\n",
    ],
)
def test_what_is_no_request_is_refused_and_does_nothing(line: bytes, listen: Any) -> None:
    pump = FakeStation("pump", ("worn",))
    path = listen(pump).path
    answer = send(path, line)
    assert answer["ok"] is False and answer["error"].isprintable()
    assert pump.told == []
    assert send(path, b'{"do": "ack"}\n')["ok"] is True


def test_a_request_ends_with_its_line_and_within_its_time(listen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pump = FakeStation("pump", ("worn",))
    path = listen(pump).path
    assert send(path, b'{"do": "ack"}', end=True)["ok"] is False
    monkeypatch.setattr(control, "MOST_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as drip:
        drip.connect(str(path))
        drip.settimeout(5)
        with pytest.raises(OSError):
            for _ in range(50):
                drip.sendall(b" ")
                time.sleep(0.05)
    assert pump.told == []


def test_idle_connections_are_few_and_keep_nobody_out_for_good(listen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_SECONDS", 0.3)
    path = listen(FakeStation("pump")).path
    idle = [socket.socket(socket.AF_UNIX) for _ in range(MOST_CONNECTIONS + 4)]
    for link in idle:
        link.settimeout(5)
        link.connect(str(path))
    time.sleep(0.05)
    assert sum(each.name == "control request" for each in threading.enumerate()) == MOST_CONNECTIONS
    assert [each.machine for each in watched([path.parent])] == ["pump"]
    for link in idle:
        link.close()


def test_a_crowd_before_the_door_is_waited_for(listen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_MOST_WAITING", 1)
    monkeypatch.setattr(control.ControlSocket, "_answer", lambda *_: time.sleep(0.05) or {"machines": []})
    path = listen(FakeStation("pump")).path
    asking = [threading.Thread(target=control._ask, args=(path, {"do": "machines"})) for _ in range(40)]
    answers: list[Any] = []
    monkeypatch.setattr(json, "loads", lambda line: answers.append(line) or {})
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(answers) == 40


def test_sockets_of_monitors_that_were_killed_are_replaced(listen: Any, tmp_path: Path) -> None:
    for name in ("monitor-999999999.sock", f"monitor-{os.getpid()}.sock"):  # as a kill leaves them
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / name))
    (tmp_path / "monitor-1.sock").write_text("no socket")
    with refused(ControlError, "no_monitor", folders=(tmp_path,)):
        watched([tmp_path])
    first, second = listen(FakeStation("pump")), listen(FakeStation("fan"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["monitor-1.sock", first.path.name, second.path.name]
    )
    assert {each.machine for each in watched([tmp_path])} == {"pump", "fan"}
    first.close()
    first.close()
    assert not first.path.exists() and second.path.exists()


def test_a_folder_with_a_long_path_will_do(listen: Any, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / ("er" * 60)
    pump = FakeStation("pump")
    listen(pump, folder=folder)
    ask(choose(watched([folder]), "pump"), "ack")
    assert pump.told == [("ack", None)]


def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused(ControlError, "no_socket", path=tmp_path / "file" / "state") as caught:
        ControlSocket(tmp_path / "file" / "state", {})
    assert "drsn-edge ack" in str(caught.value) and f"kill -USR1 {os.getpid()}" in str(caught.value)


@pytest.mark.parametrize(("group", "may_join"), [(20, True), (0, False)])
def test_who_may_not_connect_is_told_the_group(
    group: int, may_join: bool, listen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(FakeStation("pump"))
    before = Path.stat
    owned = os.stat_result((0o660, 0, 0, 1, 0, group, 0, 0, 0, 0))
    monkeypatch.setattr(
        Path, "stat", lambda self, **kw: owned if str(self).startswith(str(tmp_path)) else before(self, **kw)
    )
    denied = PermissionError(13, "Permission denied")

    def refuse(*_: Any) -> None:
        raise denied

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with refused(ControlError, "not_permitted") as socket_denied:
        watched([tmp_path])
    monkeypatch.setattr(os, "scandir", refuse)
    with refused(ControlError, "not_permitted", path=tmp_path) as folder_denied:
        watched([tmp_path])
    for caught in (socket_denied, folder_denied):
        assert ("sudo usermod -aG" in str(caught.value)) is may_join and "sudo" in str(caught.value)


@pytest.mark.parametrize(
    "answer", [b"", b"x" * 100_000, b"[]\n", b"[" * 60_000 + b"\n", b'{"ok": true, "machines": 3}\n']
)
def test_what_answers_nonsense_is_no_monitor(answer: bytes, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as fake:
        fake.bind(str(tmp_path / "monitor-1.sock"))
        fake.listen()

        def talk() -> None:
            link, _ = fake.accept()
            with link:
                link.recv(1000)
                try:
                    link.sendall(answer)
                except OSError:
                    return

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(ControlError):
            watched([tmp_path])
        thread.join()


def test_what_a_monitor_says_reaches_no_terminal_as_more_than_text(listen: Any, tmp_path: Path) -> None:
    listen(FakeStation("pump\x1b[31m\n", ("wo\x07rn\ud800",)))
    (one,) = watched([tmp_path])
    assert (one.machine, one.alarms) == ("pump\\x1b[31m\\n", ("wo\\x07rn\\ud800",))


def test_many_that_hang_hold_up_no_listing(
    listen: Callable[..., ControlSocket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MOST_LISTING_SECONDS", 1.0)
    silent = []
    for number in range(40):
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].bind(str(tmp_path / f"monitor-{number}.sock"))
        silent[-1].listen()
    listen(FakeStation("pump 3"))
    began_s = time.monotonic()
    try:
        found = watched([tmp_path])
    finally:
        for each in silent:
            each.close()
    assert [each.machine for each in found] == ["pump 3"]
    assert time.monotonic() - began_s < 4
