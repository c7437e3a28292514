"""Each check on a machine on which all is well, and on one on which it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.signing import new_private, trust
from drsn_edge.diagnostics import doctor
from drsn_edge.diagnostics.doctor import CHECKS, ExaminedMachine, Finding, Level, examine, interpret_twice
from drsn_edge.errors import RuntimeUnavailableError
from drsn_edge.gateway.local_store import open_store
from firmware_bridge.sources.ports import Port

PORT = Port("/dev/ttyUSB0", "CP2102", "10C4:EA60", "1")


@pytest.fixture
def machine(tmp_path: Path) -> ExaminedMachine:
    """Return a machine on which all is well, but that it has no bundle and trusts nobody."""
    root = tmp_path / "root"
    root.mkdir()
    return ExaminedMachine(
        root=root,
        run=lambda command: {"vcgencmd": "throttled=0x0\n", "timedatectl": "yes\n"}.get(command[0]),
        installed=lambda name: {"numpy": "2.1.0", "ai-edge-litert": "2.3.0", "cryptography": "50.0"}.get(name),
        interpret=lambda runtime: None,
        library_fault=lambda library: None,
        ports=lambda: [PORT],
        groups=lambda: {"pi", "dialout"},
        user_id=1000,
        python=((3, 11, 2), "CPython", "aarch64"),
        environment={"DRSN_EDGE_STATE": str(tmp_path / "state")},
    )


def put(machine: ExaminedMachine, path: str, text: str) -> None:
    file = machine.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def found(check: Callable[[ExaminedMachine], Any], machine: ExaminedMachine) -> list[Finding]:
    return list(check(machine))


def only(check: Callable[[ExaminedMachine], Any], machine: ExaminedMachine, level: Level) -> Finding:
    findings = [finding for finding in check(machine) if finding.level is level]
    assert len(findings) == 1, findings
    if level is not Level.OK:
        assert findings[0].to_do, findings
    return findings[0]


@pytest.mark.parametrize("check", CHECKS[:-2])
def test_all_is_well(machine: ExaminedMachine, check: Callable[[ExaminedMachine], Any]) -> None:
    assert {finding.level for finding in check(machine)} <= {Level.OK}


def test_the_model_of_the_check_computes_on_this_machine() -> None:
    interpret_twice("litert")
    with pytest.raises(RuntimeUnavailableError):
        interpret_twice("tflite-runtime")


@pytest.mark.parametrize(
    ("python", "level"),
    [
        (((3, 9, 1), "CPython", "aarch64"), Level.FAIL),
        (((3, 14, 0), "CPython", "aarch64"), Level.FAIL),
        (((3, 11, 1), "PyPy", "aarch64"), Level.FAIL),
        (((3, 11, 1), "CPython", "riscv64"), Level.WARN),
    ],
)
def test_another_python(machine: ExaminedMachine, python: Any, level: Level) -> None:
    only(doctor.check_python, replace(machine, python=python), level)


def test_tflite_runtime_with_numpy_2(machine: ExaminedMachine) -> None:
    def crash(runtime: str) -> None:
        raise AttributeError("_ARRAY_API not found\nand more")

    versions = {"numpy": "2.1.0", "tflite-runtime": "2.14.0"}.get
    finding = only(doctor.check_interpreters, replace(machine, installed=versions, interpret=crash), Level.FAIL)
    assert "numpy<2" in str(finding.to_do) and "and more" not in finding.what


def test_an_interpreter_that_computes_wrong(machine: ExaminedMachine) -> None:
    def wrong(runtime: str) -> None:
        raise ValueError("it adds 1 to itself and gets 3")

    finding = only(doctor.check_interpreters, replace(machine, interpret=wrong), Level.FAIL)
    assert "gets 3" in finding.what and "reinstall" in str(finding.to_do)


def test_no_interpreter_at_all(machine: ExaminedMachine) -> None:
    finding = only(doctor.check_interpreters, replace(machine, installed={"numpy": "2.1"}.get), Level.WARN)
    assert "tflite-runtime" in str(finding.to_do)
    newer = replace(machine, installed={"numpy": "2.1"}.get, python=((3, 13, 1), "CPython", "aarch64"))
    assert "ai-edge-litert" in str(only(doctor.check_interpreters, newer, Level.WARN).to_do)


def test_a_coral_without_its_library(machine: ExaminedMachine) -> None:
    put(machine, "sys/bus/usb/devices/1-1/idVendor", "1a6e\n")
    put(machine, "sys/bus/usb/devices/1-1/idProduct", "089a\n")
    assert "before its first use" in only(doctor.check_coral, machine, Level.WARN).what
    put(machine, "usr/lib/aarch64-linux-gnu/libedgetpu.so.1.0", "")
    assert "usermod -aG plugdev" in str(only(doctor.check_coral, machine, Level.WARN).to_do)
    put(machine, "sys/bus/usb/devices/1-1/busnum", "1\n")
    put(machine, "sys/bus/usb/devices/1-1/devnum", "12\n")
    put(machine, "dev/bus/usb/001/012", "")
    assert "libedgetpu.so.1.0" in only(doctor.check_coral, machine, Level.OK).what
    other = replace(machine, library_fault=lambda library: f"{library} does not fit this system. Use a build")
    assert only(doctor.check_coral, other, Level.WARN).what.endswith("libedgetpu.so.1.0 does not fit this system")


def test_a_coral_on_pcie(machine: ExaminedMachine) -> None:
    put(machine, "dev/apex_0", "")
    assert "/dev/apex_0" in only(doctor.check_coral, machine, Level.WARN).what


def test_ports_that_are_missing_or_held(machine: ExaminedMachine) -> None:
    assert "plug" in str(only(doctor.check_ports, replace(machine, ports=lambda: []), Level.WARN).to_do)
    held = replace(machine, ports=lambda: [replace(PORT, held_by=((7, "minicom"),))])
    assert "in use by minicom (7)" in only(doctor.check_ports, held, Level.WARN).what


def test_a_user_who_may_not_open_ports(machine: ExaminedMachine) -> None:
    other = replace(machine, groups=lambda: {"pi"})
    assert "usermod -aG dialout" in str(only(doctor.check_ports, other, Level.FAIL).to_do)
    assert not [f for f in found(doctor.check_ports, replace(other, user_id=0)) if f.level is Level.FAIL]


@pytest.mark.parametrize("name", ["ModemManager", "brltty"])
def test_programs_that_talk_to_every_port(machine: ExaminedMachine, name: str) -> None:
    put(machine, "proc/812/comm", f"{name}\n")
    assert name in only(doctor.check_interference, machine, Level.WARN).what


def test_a_slow_latency_timer(machine: ExaminedMachine) -> None:
    put(machine, "sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "16\n")
    assert "tee /sys/bus/usb-serial" in str(only(doctor.check_latency_timer, machine, Level.WARN).to_do)
    put(machine, "sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "1\n")
    only(doctor.check_latency_timer, machine, Level.OK)


def test_a_processor_that_saves_power(machine: ExaminedMachine) -> None:
    put(machine, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    only(doctor.check_governor, machine, Level.WARN)
    put(machine, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    only(doctor.check_governor, machine, Level.OK)


@pytest.mark.parametrize(
    ("bits", "level", "words"),
    [
        ("0x50005", Level.FAIL, "now: under-voltage, throttled"),
        ("0x50000", Level.WARN, "since power-on: under-voltage"),
    ],
)
def test_a_pi_with_too_little_power(machine: ExaminedMachine, bits: str, level: Level, words: str) -> None:
    assert words in only(doctor.check_throttling, replace(machine, run=lambda _: f"throttled={bits}\n"), level).what


def test_what_is_no_pi_is_not_asked(machine: ExaminedMachine) -> None:
    nothing = replace(machine, run=lambda _: None)
    assert found(doctor.check_throttling, nothing) == found(doctor.check_clock, nothing) == []


def test_a_clock_that_nobody_sets(machine: ExaminedMachine) -> None:
    assert "set-ntp" in str(only(doctor.check_clock, replace(machine, run=lambda _: "no\n"), Level.WARN).to_do)


@pytest.mark.parametrize(("free", "level"), [(10**6, Level.FAIL), (10**8, Level.WARN)])
def test_a_disk_that_is_full(
    machine: ExaminedMachine, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    usage = type("usage", (), {"free": free})
    monkeypatch.setattr("drsn_edge.diagnostics.doctor.shutil.disk_usage", lambda _: usage)
    only(doctor.check_disk, machine, level)


def test_a_card_that_is_worn_out(machine: ExaminedMachine) -> None:
    put(machine, "sys/block/mmcblk0/device/life_time", "0x02 0x01\n")
    assert {finding.level for finding in doctor.check_disk(machine)} == {Level.OK}
    put(machine, "sys/block/mmcblk0/device/life_time", "0x0a 0x01\n")
    assert "100 %" in only(doctor.check_disk, machine, Level.WARN).what


def test_whom_this_gateway_trusts(machine: ExaminedMachine, tmp_path: Path) -> None:
    folder = Path(machine.environment["DRSN_EDGE_STATE"]) / "trusted"
    only(doctor.check_trust, machine, Level.WARN)
    trust(new_private(tmp_path / "key", "works"), folder)
    assert "works" in only(doctor.check_trust, machine, Level.OK).what
    bare = replace(machine, installed=lambda _: None)
    assert "signing" in str(only(doctor.check_trust, bare, Level.WARN).to_do)
    folder.chmod(0o777)
    assert "chmod go-w" in next(doctor.check_trust(machine)).what


def test_the_active_bundle(
    machine: ExaminedMachine, golden_bundle: Bundle, signed: Callable[[Bundle], bytes], tmp_path: Path
) -> None:
    only(doctor.check_bundle, machine, Level.WARN)
    store = open_store("a test", Path(machine.environment["DRSN_EDGE_STATE"]), tmp_path / "trusted")
    only(doctor.check_bundle, machine, Level.WARN)
    store.install(signed(golden_bundle))
    assert "on trial" in only(doctor.check_bundle, machine, Level.WARN).what
    store.confirm()
    assert "ms per window on litert" in only(doctor.check_bundle, machine, Level.OK).what
    path = store.active().path
    path.write_bytes(path.read_bytes()[:-1])
    assert "damaged" in only(doctor.check_bundle, machine, Level.FAIL).what


def test_a_check_that_cannot_look_costs_no_other_anything(machine: ExaminedMachine) -> None:
    def broken() -> list[Port]:
        raise RuntimeError("no udev here")

    findings = list(examine(replace(machine, ports=broken)))
    assert Finding("ports", Level.WARN, "check failed: RuntimeError: no udev here") in findings
    assert findings[-1].check == "bundle"
