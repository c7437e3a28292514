"""The checks of `drsn-edge doctor`: what is wrong with this gateway, why, and what to type; nothing is changed.

Everything that a check reads comes from an `ExaminedMachine`, so that a test can pass a machine on which it fails.
"""

from __future__ import annotations

import base64
import os
import platform
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from drsn_edge.errors import DrsnEdgeError, GateError
from drsn_edge.gateway.paths import state_folder, trust_folder
from drsn_edge.runtime.coral import accelerators, library_fault
from drsn_edge.runtime.interpreters import open_interpreter
from drsn_edge.runtime.names import DISTRIBUTIONS
from drsn_edge.support.extras import pip_line
from firmware_bridge.errors import FirmwareBridgeError, NoBundleError
from firmware_bridge.sources.ports import Port, list_ports
from firmware_bridge.support.programs import find_program

_TWICE = (
    "eNplUj1PwlAUvZWqBAhiaIwDAzGMpgHUxbgQxISED4PEiaQ0aTVNoJhSCIPxFzgZR0cGB36Dv8HB0dGf4Gw97/W2IeGRE947955z372vBSLqX7"
    "VONCpSgQ5JoxxlwCVJxZ7AET0DP8CrQrQEvraIEjhji2yxUlIlNCmcMqy7APaAqe3NHffesOw7czbypU4F3oIgiPZJYDLzH2a+USb2FnwWOSqf"
    "FwBK0ynHvjkmkAfq3c5to3fT7HaMdqNfu6z1a/AN7yX8E2u5Y8c1vJnrO2PbmNve1Jm4tA1+BSzF3YBHzn/hOsO4X3HfbOwruJJkdyS3wzqSs4"
    "hmqsq5PHmDo9Jvs5DgXlSpIqrq1Ype3vQQ3hX9LAzxWv4FwTuwAsR8261mr1ifuOjDty1dzkqTmdm4uvDMMi/eZsD9WFxnbDpuNPdIq8n6GUqz"
    "lntPZ3h/zO+ncC/RUtZAHBtynQ9oRCjHHiJWFG8Lfh//16bnOz5ew7bq5mh0XuYcJZ7pgeyJuKtw7YINS0e+Cvt+wje/+Q0aCziv+yr8DaryR/"
    "QPjY9nzg=="
)
"""A .tflite file with one operator, ADD of its float32 input of shape (1, 4) to itself; made by TensorFlow 2.21."""

_FTDI_MOST_MS = 2
_LEAST_FREE_BYTES, _LITTLE_FREE_BYTES = 20_000_000, 500_000_000
_WORN = 9
"""Used tenths of an eMMC's or SD card's life from which it counts as worn out."""

_THROTTLED = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit reached"}


class Level(Enum):
    """Severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Name of the check.
        level: Severity.
        what: What was found.
        to_do: What to type or do; None if nothing.
    """

    check: str
    level: Level
    what: str
    to_do: str | None = None


def _run(command: Sequence[str]) -> str | None:
    program = find_program(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True)
class ExaminedMachine:
    """The machine that is examined.

    Attributes:
        root: Root of its file system, with /proc, /sys, /dev and /run.
        run: Returns the output of a command; None if it is missing or fails.
        installed: Returns the version of a Python package; None if it is not installed.
        interpret: Runs `_TWICE` on a named runtime, and raises an error if it cannot.
        library_fault: Returns why a library cannot be loaded; None if it can.
        ports: Returns the serial ports.
        groups: Returns the names of this user's groups.
        user_id: Id of this user.
        python: Version, implementation and machine architecture of Python.
        environment: Environment variables, such as DRSN_EDGE_STATE.
    """

    root: Path = Path("/")
    run: Callable[[Sequence[str]], str | None] = _run
    installed: Callable[[str], str | None] = _installed
    interpret: Callable[[str], None] = field(default_factory=lambda: interpret_twice)
    library_fault: Callable[[str], str | None] = library_fault
    ports: Callable[[], list[Port]] = field(default_factory=lambda: lambda: list_ports(holders=True))
    groups: Callable[[], set[str]] = field(default_factory=lambda: own_groups)
    user_id: int = field(default_factory=os.geteuid)
    python: tuple[tuple[int, int, int], str, str] = field(
        default_factory=lambda: (sys.version_info[:3], platform.python_implementation(), platform.machine())
    )
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def text(self, path: str) -> str | None:
        """Return the text of a small file without outer spaces; None if it cannot be read."""
        try:
            with (self.root / path).open("rb") as file:
                return file.read(65_536).decode(errors="replace").strip("\0 \n")
        except OSError:
            return None

    def paths(self, pattern: str) -> list[Path]:
        """Return the files that match a pattern, sorted."""
        return sorted(self.root.glob(pattern))


def interpret_twice(runtime: str) -> None:
    """Run a model with one operator: an interpreter can be imported with a wrong NumPy and crash only when it runs.

    Raises:
        RuntimeUnavailableError: If the runtime is not installed, or cannot load the model.
        ValueError: If it computes a wrong result.
    """
    import numpy as np

    _, interpreter = open_interpreter(zlib.decompress(base64.b64decode("".join(_TWICE))), runtime)
    given = np.array([[1.0, -2.0, 0.5, 3.0]], np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    if not np.array_equal(got, 2 * given):
        raise ValueError(f"it computes 2 x {given.tolist()} = {got.tolist()}")


def own_groups() -> set[str]:
    """Return the names of this process's groups."""
    import grp

    names = set()
    for number in {*os.getgroups(), os.getegid()}:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            names.add(str(number))
    return names


# --- The checks ----------------------------------------------------------------------------------------------------


def check_python(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check that drsn-edge is tested with this Python."""
    found, implementation, architecture = machine.python
    words = f"{implementation} {'.'.join(map(str, found))} on {architecture}"
    if not (3, 10) <= found[:2] <= (3, 13) or implementation != "CPython":
        yield Finding(
            "python", Level.FAIL, words, "install CPython 3.10 to 3.13: sudo apt install python3 python3-venv"
        )
    elif architecture not in ("x86_64", "aarch64", "armv7l"):
        yield Finding(
            "python", Level.WARN, f"{words}: no interpreter has wheels for it", "run the monitor with --runtime numpy"
        )
    else:
        yield Finding("python", Level.OK, words)


def check_interpreters(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check that each installed interpreter computes."""
    numpy = machine.installed("numpy")
    usable = []
    for runtime, distribution in DISTRIBUTIONS.items():
        found = machine.installed(distribution)
        if runtime == "numpy" or found is None:
            continue
        try:
            machine.interpret(runtime)
        except Exception as exc:  # a wrong NumPy may raise almost any error
            yield Finding(
                "interpreter", Level.FAIL, f"{distribution} {found} with NumPy {numpy}: {_first_line(exc)}",
                _pairing(distribution, numpy),
            )  # fmt: skip
            continue
        usable.append(runtime)
        yield Finding("interpreter", Level.OK, f"{distribution} {found} computes, with NumPy {numpy}")
    if not usable:
        python = machine.python[0]
        has_wheel = (3, 10) <= python[:2] <= (3, 11)
        yield Finding(
            "interpreter", Level.WARN, "none works; NumPy runs a network instead, at some milliseconds per window; a "
            "bundle without a network needs none",
            pip_line("tflite-runtime") if has_wheel else "pip install ai-edge-litert",
        )  # fmt: skip


def _pairing(distribution: str, numpy: str | None) -> str:
    if distribution == "tflite-runtime" and numpy is not None and not numpy.startswith("1."):
        return "pip install 'numpy<2' (tflite-runtime needs NumPy 1)"
    return f"pip install --force-reinstall {distribution}"


def _first_line(exc: BaseException) -> str:
    """Return the most useful line of an error: NumPy puts the cause behind pages of advice."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()] or [type(exc).__name__]
    return next((line for line in lines if line.startswith("Original error was")), lines[0])[:200]


def check_coral(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check the Edge TPU, if there is one."""
    devices = accelerators(machine.root)
    library = machine.paths("usr/lib/*/libedgetpu.so.1*") + machine.paths("usr/lib/libedgetpu.so.1*")
    if not devices:
        yield Finding("coral", Level.OK, "no Edge TPU connected")
        return
    found = devices[0]
    if not library:
        yield Finding(
            "coral", Level.WARN, f"{found.words} is not used: libedgetpu is not installed", "install libedgetpu1-std"
        )
    elif not found.allowed:
        yield Finding(
            "coral", Level.WARN, f"{found.words} is not used: this user may not open it",
            "sudo usermod -aG plugdev $USER, then log in again; udev rules: docs/how-to/coral.md",
        )  # fmt: skip
    elif fault := machine.library_fault(str(library[0])):
        yield Finding("coral", Level.WARN, f"{found.words}: {fault.partition('. ')[0]}", "see docs/how-to/coral.md")
    else:
        yield Finding("coral", Level.OK, f"{found.words}, {library[0].name}")


def check_ports(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check the serial ports: that there are some, that this user may open them, and that they are free."""
    ports = machine.ports()
    if not ports:
        yield Finding("ports", Level.WARN, "no serial port", "plug the sensor in, then type: drsn-edge ports")
    for port in ports:
        words = f"{port.path} ({port.description})"
        others = [f"{name} ({number})" for number, name in port.held_by]
        if others:
            yield Finding("ports", Level.WARN, f"{words} is in use by {', '.join(others)}", "drsn-edge ports")
        else:
            yield Finding("ports", Level.OK, words)
    if machine.user_id != 0 and not machine.groups() & {"dialout", "uucp"}:
        yield Finding(
            "dialout", Level.FAIL if ports else Level.WARN, "this user may not open serial ports",
            "sudo usermod -aG dialout $USER, then log in again",
        )  # fmt: skip
    else:
        yield Finding("dialout", Level.OK, "this user may open serial ports")


def check_interference(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check that no program runs that opens every new serial port."""
    running = {machine.text(f"proc/{path.parent.name}/comm") for path in machine.paths("proc/[0-9]*/comm")}
    cures = {
        "ModemManager": "sudo systemctl disable --now ModemManager",
        "brltty": "sudo apt remove brltty",
    }
    found = [name for name in cures if name in running]
    for name in found:
        yield Finding("interference", Level.WARN, f"{name} runs and writes to every new serial port", cures[name])
    if not found:
        yield Finding("interference", Level.OK, "neither ModemManager nor brltty runs")


def check_latency_timer(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check the latency timer of FTDI converters."""
    for path in machine.paths("sys/bus/usb-serial/devices/*/latency_timer"):
        value = machine.text(str(path.relative_to(machine.root))) or ""
        if value.isdigit() and int(value) > _FTDI_MOST_MS:
            port = path.parent.name
            yield Finding(
                "latency timer", Level.WARN, f"/dev/{port} delays bytes by up to {value} ms",
                f"echo 1 | sudo tee /sys/bus/usb-serial/devices/{port}/latency_timer",
            )  # fmt: skip
        else:
            yield Finding("latency timer", Level.OK, f"/dev/{path.parent.name}: {value} ms")


def check_governor(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check that the CPU frequency is not fixed at the lowest value."""
    governor = machine.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor == "powersave":
        yield Finding(
            "governor", Level.WARN, "the CPU stays at its lowest frequency (powersave)",
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )  # fmt: skip
    elif governor is not None:
        yield Finding("governor", Level.OK, governor)


def check_throttling(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check the voltage and the temperature of a Raspberry Pi."""
    said = machine.run(["vcgencmd", "get_throttled"]) or ""
    match = re.search(r"throttled=0x([0-9a-fA-F]+)", said)
    if match is None:
        return
    bits = int(match[1], 16)
    now = [words for bit, words in _THROTTLED.items() if bits >> bit & 1]
    once = [words for bit, words in _THROTTLED.items() if bits >> (bit + 16) & 1]
    cure = "use the official power supply and a heat sink"
    if now:
        yield Finding("power", Level.FAIL, f"now: {', '.join(now)}", cure)
    elif once:
        yield Finding("power", Level.WARN, f"since power-on: {', '.join(once)}", cure)
    else:
        yield Finding("power", Level.OK, "voltage sufficient, no throttling")


def check_clock(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check that a time server sets the clock, which gives history and brokers their times."""
    said = machine.run(["timedatectl", "show", "-p", "NTPSynchronized", "--value"])
    if said is None:
        return
    if said.strip() == "yes":
        yield Finding("clock", Level.OK, "synchronised with a time server")
    else:
        yield Finding("clock", Level.WARN, "not synchronised with a time server", "sudo timedatectl set-ntp true")


def check_disk(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check the free space, and the wear of an SD card or eMMC."""
    folder = state_folder(machine.environment)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    words = f"{free / 1e9:.1f} GB free at {there}"
    if free < _LEAST_FREE_BYTES:
        yield Finding("disk", Level.FAIL, words, "free some space: history, logs and captures grow")
    elif free < _LITTLE_FREE_BYTES:
        yield Finding("disk", Level.WARN, words, "free some space, or use a smaller --keep-days")
    else:
        yield Finding("disk", Level.OK, words)
    for path in machine.paths("sys/block/mmcblk*/device/life_time"):
        used = [int(part, 16) for part in (machine.text(str(path.relative_to(machine.root))) or "").split()]
        if used and max(used) >= _WORN:
            card = path.parents[1].name
            yield Finding(
                "card", Level.WARN, f"{card} reports {10 * max(used)} % of its lifetime used", "replace the card"
            )


def check_trust(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check that keys are trusted and signatures can be verified."""
    from drsn_edge.bundle.signing import trusted_keys

    folder = trust_folder(machine.environment)
    try:
        keys = trusted_keys(folder)
    except DrsnEdgeError as exc:
        yield Finding("trust", Level.FAIL, str(exc), None)
        return
    if not keys:
        yield Finding(
            "trust",
            Level.WARN,
            f"no trusted key in {folder}: no signed bundle is accepted",
            "drsn-edge keys trust KEY.pub",
        )
    else:
        yield Finding("trust", Level.OK, ", ".join(f"{key.id} ({key.name})" for key in keys))
    if machine.installed("cryptography") is None:
        yield Finding(
            "trust", Level.WARN, "signatures cannot be verified: cryptography is not installed", pip_line("signing")
        )


def check_bundle(machine: ExaminedMachine) -> Iterator[Finding]:
    """Check that a bundle is active and passes the health gate."""
    from drsn_edge.gateway.health_gate import run_gate
    from drsn_edge.gateway.local_store import FOLDER, open_store

    state = state_folder(machine.environment)
    if not (state / FOLDER).is_dir():
        yield Finding(
            "bundle",
            Level.WARN,
            "no bundle is active here",
            "drsn-edge flash BUNDLE --to local, or run the monitor with --model BUNDLE",
        )
        return
    try:
        store = open_store("drsn-edge doctor", state, trust_folder(machine.environment))
        active = store.active()
        measured = run_gate(active.path)
    except NoBundleError as exc:
        level = Level.FAIL if exc.problem == "damaged" else Level.WARN
        yield Finding("bundle", level, str(exc), "drsn-edge flash BUNDLE --to local")
        return
    except (DrsnEdgeError, FirmwareBridgeError) as exc:
        cure = "drsn-edge gateway rollback" if isinstance(exc, GateError) else "drsn-edge gateway status"
        yield Finding("bundle", Level.FAIL, str(exc), cure)
        return
    slot = active.slot
    words = f"{slot.name} {slot.version}: {measured.latency_p99_ms:.3g} ms per window on {measured.by} (99 of 100)"
    if active.is_trial:
        yield Finding("bundle", Level.WARN, f"{words}, on trial", "drsn-edge gateway status")
    else:
        yield Finding("bundle", Level.OK, words)


CHECKS: tuple[Callable[[ExaminedMachine], Iterator[Finding]], ...] = (
    check_python,
    check_interpreters,
    check_coral,
    check_ports,
    check_interference,
    check_latency_timer,
    check_governor,
    check_throttling,
    check_clock,
    check_disk,
    check_trust,
    check_bundle,
)


def examine(machine: ExaminedMachine) -> Iterator[Finding]:
    """Yield the findings of each check; a check that fails yields a warning, and the others go on."""
    for check in CHECKS:
        try:
            yield from check(machine)
        except Exception as exc:  # a failed check must not stop the others
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield Finding(name, Level.WARN, f"check failed: {type(exc).__name__}: {_first_line(exc)}")
