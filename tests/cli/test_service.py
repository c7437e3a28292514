from __future__ import annotations

import configparser
import shlex
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drsn_edge import service
from drsn_edge.errors import OutputError
from drsn_edge.service import Notifier, install, quoted, unit_text

ARGUMENTS = ("--port", "/dev/ttyUSB*", "--model", "/etc/my pumps/100%.drsn", "--machine", 'the "big" $one')


def section(text: str, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",), delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return dict(parser[name])


def test_the_unit_runs_the_monitor_with_its_arguments() -> None:
    text = unit_text("pump3", ARGUMENTS, "1.0", Path("/etc/drsn-edge/secrets"))
    values = section(text, "Service")
    program, command, *arguments = shlex.split(values["ExecStart"])
    assert Path(program).is_absolute() and command == "monitor" and arguments == [
        "--port", "/dev/ttyUSB*", "--model", "/etc/my pumps/100%%.drsn", "--machine", 'the "big" $$one',
    ]  # fmt: skip
    assert values["EnvironmentFile"] == "/etc/drsn-edge/secrets"
    assert values["Type"] == "notify" and values["Restart"] == "always" and values["WatchdogSec"] == "60"
    assert values["ProtectSystem"] == "strict" and values["DynamicUser"] == "yes" and values["DevicePolicy"] == "closed"
    assert section(text, "Install") == {"WantedBy": "multi-user.target"}


def test_an_edge_tpu_may_be_opened_where_the_monitor_runs_on_one() -> None:
    text = unit_text("pump3", ARGUMENTS, "1.0", on_edgetpu=True)
    assert "\nDeviceAllow=char-usb_device rw\nDeviceAllow=char-apex rw\nNoNew" in text
    assert section(text, "Service")["SupplementaryGroups"] == "dialout plugdev"
    assert "usb_device" not in unit_text("pump3", ARGUMENTS, "1.0")


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("--port", "--port"),
        ("/dev/ttyUSB*", '"/dev/ttyUSB*"'),
        ("", '""'),
        ("a b", '"a b"'),
        ("\\", '"\\\\"'),
        ("%h", "%%h"),
    ],
)
def test_arguments_reach_the_program_as_they_are(argument: str, written: str) -> None:
    assert quoted(argument) == written


@pytest.mark.parametrize("argument", ["a\nExecStart=/bin/sh", "\0", "\x1b[2J"])
def test_no_argument_can_add_a_line(argument: str) -> None:
    with pytest.raises(OutputError, match="can be printed"):
        quoted(argument)


def test_it_is_written_whole_where_that_is_allowed(tmp_path: Path) -> None:
    path = install("pump3", "text", tmp_path)
    assert path.name == "drsn-edge-pump3.service" and path.read_text() == "text"
    with pytest.raises(OutputError, match="systemd"):
        install("pump3", "text", tmp_path / "absent")
    for name in ("", "../x", "a b", "x" * 80):
        with pytest.raises(OutputError, match="--name"):
            install(name, "text", tmp_path)


def test_what_may_not_be_written_names_sudo(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(service.os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="sudo"):
        install("pump3", "text", tmp_path)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_what_it_waits_for(tmp_path: Path, abstract: bool) -> None:
    address = f"@drsn-edge-test-{id(tmp_path)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(1)
        clock = [0.0]
        notifier = Notifier(address, lambda: clock[0])
        notifier.ready()
        for _ in range(250):
            notifier.alive()
            notifier.status("The disk\nis full.")
            clock[0] += 0.1
        notifier.stopping()
        heard = [systemd.recv(100) for _ in range(6)]
    status = b"STATUS=The disk is full."
    assert heard == [b"READY=1", b"WATCHDOG=1", status, *[b"WATCHDOG=1"] * 2, b"STOPPING=1"]


def test_without_systemd_nothing_happens() -> None:
    for address in (None, "", "/absent/socket"):
        notifier = Notifier(address)
        notifier.ready()
        notifier.alive()
        notifier.stopping()


def test_the_command_checks_what_the_monitor_will_be_told(run: Callable[..., Any]) -> None:
    shown = run("service", "install", "--print", "--name", "fan", "--", "--port", "/dev/ttyUSB0", "--model", "a.drsn")
    assert shown.code == 0 and "monitor fan" in shown.out and "--model a.drsn" in shown.out
    wrong = run("service", "install", "--print", "--", "--port", "/dev/ttyUSB0", "--modell", "a.drsn")
    assert wrong.code == 2 and "--modell" in wrong.err


def test_the_command_sees_who_needs_an_edge_tpu(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unit(*monitor_options: Any) -> str:
        shown = run("service", "install", "--print", "--", *monitor_options)
        assert shown.code == 0, shown.err
        return str(shown.out)

    sensor = ("--port", "/dev/ttyUSB0", "--model", "a.drsn")
    assert "char-apex" not in unit(*sensor) and "char-apex" in unit(*sensor, "--runtime", "edgetpu")
    assert "char-apex" not in unit(*sensor, "--machine", "edgetpu")
    fleet = tmp_path / "plant.toml"
    fleet.write_text("model = 'a.drsn'\n[[sensor]]\nport = 'a'\n[[sensor]]\nport = 'b'\n")
    assert "char-apex" not in unit("--fleet", fleet)
    fleet.write_text(fleet.read_text() + "runtime = 'edgetpu'\n")
    assert "char-apex" in unit("--fleet", fleet)
    monkeypatch.setattr("drsn_edge.state.SYSTEM_STATE", tmp_path)
    assert "char-apex" in unit("--fleet", "plant.toml")  # as the service finds it, in its own folder
    fleet.write_text("[[sensor]]\nprot = 'a'\n")
    wrong = run("service", "install", "--print", "--", "--fleet", fleet)
    assert wrong.code == 1 and "line 2" in wrong.err


def test_a_monitor_under_systemd_says_that_it_is_ready(
    run: Callable[..., Any], playing: Any, tiny_bundle_path: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(1)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with playing() as (port, _):
            assert run("monitor", "--port", port, "--model", tiny_bundle_path).code == 0
        heard = [systemd.recv(200) for _ in range(4)]
    status = f"STATUS=Watches {Path(port).name}.".encode()
    assert sorted(heard) == sorted([status, b"READY=1", b"WATCHDOG=1", b"STOPPING=1"])
    assert heard[-1] == b"STOPPING=1"
