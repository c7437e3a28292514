from __future__ import annotations

import configparser
import json
import os
import shlex
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fake_system import FakeSystem
from refusals import expect, refused

from drsn_edge.errors import OutputError
from drsn_edge.gateway import systemd_host as service_host
from drsn_edge.gateway.systemd_unit import install, quoted, unit_text

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
    assert values["ProtectSystem"] == "strict" and values["DevicePolicy"] == "closed"
    # A user that is there when no service runs, and a group that may read what is written, but write nothing.
    assert values["User"] == values["Group"] == "drsn-edge" and "DynamicUser" not in values
    assert (values["StateDirectoryMode"], values["UMask"]) == ("0750", "0027")
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
    with refused(OutputError, "not_printable", got=argument):
        quoted(argument)


def test_it_is_written_whole_where_that_is_allowed(tmp_path: Path) -> None:
    path = install("pump3", "text", tmp_path)
    assert path.name == "drsn-edge-pump3.service" and path.read_text() == "text"
    with refused(OutputError, "no_systemd", path=tmp_path / "absent"):
        install("pump3", "text", tmp_path / "absent")
    for name in ("", "../x", "a b", "x" * 80):
        with refused(OutputError, "invalid_name", got=name):
            install(name, "text", tmp_path)


def test_what_may_not_be_written_names_sudo(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with refused(OutputError, "not_permitted") as caught:
        install("pump3", "text", tmp_path)
    assert "sudo" in str(caught.value)


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
    sensors = tmp_path / "plant.toml"
    sensors.write_text("model = 'a.drsn'\n[[sensor]]\nport = 'a'\n[[sensor]]\nport = 'b'\n")
    assert "char-apex" not in unit("--sensors", sensors)
    sensors.write_text(sensors.read_text() + "runtime = 'edgetpu'\n")
    assert "char-apex" in unit("--sensors", sensors)
    monkeypatch.setattr("drsn_edge.gateway.paths.SYSTEM_STATE", tmp_path)
    assert "char-apex" in unit("--sensors", "plant.toml")  # as the service finds it, in its own folder
    sensors.write_text("[[sensor]]\nprot = 'a'\n")
    wrong = run("service", "install", "--print", "--", "--sensors", sensors)
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
    status = f"STATUS=Watching {Path(port).name}.".encode()
    assert sorted(heard) == sorted([status, b"READY=1", b"WATCHDOG=1", b"STOPPING=1"])
    assert heard[-1] == b"STOPPING=1"


# --- the user, and the services that are there -----------------------------------------------------------------------


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    fake = FakeSystem(tmp_path)
    monkeypatch.setattr("drsn_edge.cli.service._host", lambda: fake.host)
    return fake


def test_installing_makes_the_user_and_says_how_to_read_what_the_service_writes(
    run: Callable[..., Any], system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    sensor = ("--", "--port", "/dev/ttyUSB0", "--model", "a.drsn")
    done = run("service", "install", "--name", "pump3", *sensor)
    assert done.code == 0, done.err
    assert "made user and group drsn-edge" in done.out and "usermod -aG drsn-edge anna" in done.out
    config = system.host.root / "etc/sysusers.d/drsn-edge.conf"
    assert config.read_text().splitlines()[1] == 'u drsn-edge - "drsn-edge monitor" /var/lib/drsn-edge'
    assert system.calls == [["systemd-sysusers", str(config)]]
    again = json.loads(run("service", "install", "--name", "fan", "--json", *sensor).out)
    assert (again["user"], again["made_user"]) == ("drsn-edge", False) and len(system.calls) == 1


def test_a_system_without_sysusers_gets_the_user_by_useradd_and_one_that_refuses_is_said(tmp_path: Path) -> None:
    system = FakeSystem(tmp_path)
    system.refuses = {"systemd-sysusers"}
    assert system.host.make_user() and system.calls[-1][0] == "useradd" and system.calls[-1][-1] == "drsn-edge"
    assert not system.host.make_user()
    system.users.clear()
    system.refuses.add("useradd")
    with refused(OutputError, "no_user") as caught:
        system.host.make_user()
    assert "sudo useradd" in str(caught.value)


def test_services_are_listed_with_their_state_and_command(run: Callable[..., Any], system: FakeSystem) -> None:
    assert "service install" in run("service", "list").out
    units = system.host.units
    install("pump3", unit_text("pump3", ARGUMENTS, "1.0"), units)
    install("fan", unit_text("fan", ("--port", "a"), "1.0"), units)
    (units / "drsn-edge-of-others.service").write_text("[Service]\nExecStart=/bin/true\n")
    (units / "drsn-edge-masked.service").symlink_to("/dev/null")
    fan, pump = run("service", "list").out.splitlines()
    assert fan.split()[:3] == ["fan", "active", "enabled"] and fan.endswith("monitor --port a")
    assert pump.split()[:3] == ["pump3", "failed", "disabled"]
    listed = json.loads(run("service", "list", "--json").out)
    assert datetime.fromisoformat(listed["time"]).tzinfo is not None
    assert [each["name"] for each in listed["services"]] == ["fan", "pump3"]
    _, *arguments = shlex.split(listed["services"][1]["command"])
    assert arguments[-len(ARGUMENTS) - 1 :] == ["monitor", *ARGUMENTS]  # as they were given
    system.refuses = {"show"}  # a system that was not started with systemd
    assert json.loads(run("service", "list", "--json").out)["services"][0]["active"] is None
    assert run("service", "list").out.split()[1] == "?"


def test_a_service_is_removed_and_what_it_leaves_is_said(run: Callable[..., Any], system: FakeSystem) -> None:
    root, units = system.host.root, system.host.units
    system.users.add("drsn-edge")
    secrets = root / "etc/drsn-edge/secrets"
    for folder in (secrets.parent, root / "var/lib/drsn-edge"):
        folder.mkdir(parents=True)
    secrets.touch()
    path = install("pump3", unit_text("pump3", ARGUMENTS, "1.0", Path("/etc/drsn-edge/secrets")), units)
    done = run("service", "remove", "pump3")
    assert done.code == 0 and not path.exists(), done.err
    left = {line.removeprefix("kept ") for line in done.out.splitlines()[1:]}
    assert left == {
        "/var/lib/drsn-edge", "/etc/drsn-edge", "/etc/drsn-edge/secrets", "the user and group drsn-edge",
    }  # fmt: skip
    assert (root / "var/lib/drsn-edge").is_dir() and secrets.exists()
    unit = "drsn-edge-pump3.service"
    assert system.calls == [
        ["systemctl", "disable", "--now", unit], ["systemctl", "daemon-reload"], ["systemctl", "reset-failed", unit],
    ]  # fmt: skip
    install("pump3", unit_text("pump3", ARGUMENTS, "1.0"), units)
    assert json.loads(run("service", "remove", "pump3", "--json").out)["unit"] == unit


def test_what_is_not_ours_or_does_not_stop_is_left_alone(run: Callable[..., Any], system: FakeSystem) -> None:
    units = system.host.units
    other, masked = units / "drsn-edge-other.service", units / "drsn-edge-masked.service"
    other.write_text("[Service]\nExecStart=/bin/true\n")
    masked.symlink_to("/dev/null")
    ours = install("fan", unit_text("fan", ("--port", "a"), "1.0"), units)
    for name in ("other", "masked"):
        kept = run("service", "remove", name)
        assert kept.code == 1 and name in kept.err
        expect(kept.why, OutputError, "not_ours")
    absent = run("service", "remove", "pump3")
    assert absent.code == 1 and "fan" in absent.err
    expect(absent.why, OutputError, "no_such_service", name="pump3")
    assert run("service", "remove", "../../passwd").code == 1
    assert not [call for call in system.calls if "disable" in call]
    system.refuses = {"disable"}
    stays = run("service", "remove", "fan")
    assert stays.code == 1
    expect(stays.why, OutputError, "cannot_stop", unit="drsn-edge-fan.service")
    assert ours.exists() and other.exists() and masked.is_symlink()


def test_in_an_image_that_does_not_run_a_service_is_removed_as_well(tmp_path: Path) -> None:
    system = FakeSystem(tmp_path, runs=False)
    path = install("fan", unit_text("fan", ("--port", "a"), "1.0"), system.host.units)
    system.refuses = {"systemctl"}
    done = system.host.remove("fan")
    assert not path.exists() and done.left == () and done.warning is None
    assert system.calls == [["systemctl", "disable", "drsn-edge-fan.service"]]


def test_a_program_that_is_missing_or_hangs_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_host, "_PATIENCE_S", 0.2)
    assert service_host.call(["/absent/systemctl"]).code == 127
    assert service_host.call(["sleep", "5"]).code == 1
    assert service_host.call(["sh", "-c", "printf 'a\\377'; exit 3"]).code == 3
    assert service_host.has_user("root") and not service_host.has_user("nobody-of-that-name")
