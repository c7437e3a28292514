"""What is wrong with this gateway, why, and what to type: a function for each question, and no change of anything.

Everything that a check looks at comes from an `ExaminedMachine`, so that a test can show it one on which it fails.
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
"""A .tflite file of one operator, ADD of its input to itself, float32 of shape (1, 4); TensorFlow 2.21 wrote it."""

_FTDI_MOST_MS = 2
_LEAST_FREE_BYTES, _LITTLE_FREE_BYTES = 20_000_000, 500_000_000
_WORN = 9
"""Of an eMMC's or SD card's life, in tenths that are used."""

_THROTTLED = {0: "under-voltage", 1: "its frequency is capped", 2: "it is throttled", 3: "its soft temperature limit"}


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Attributes:
        check: What was looked at.
        level: How bad it is.
        what: What was found.
        to_do: What to type or do; None where nothing is to be done.
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
    """What there is to look at.

    Attributes:
        root: Where its files begin; /proc, /sys, /dev and /run are below.
        run: Returns what a command prints; None where it is not there or fails.
        installed: Returns the version of a Python package; None where it is not installed.
        interpret: Runs `_TWICE` on a named runtime; raises where it cannot.
        library_fault: Returns why a library cannot be loaded, None where it can.
        ports: Lists serial ports.
        groups: Names of the groups of this user.
        user_id: Of this user.
        python: Version, and what runs it.
        environment: Where DRSN_EDGE_STATE and the like stand.
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
        """Return a small file's text without the spaces around it; None where it cannot be read."""
        try:
            with (self.root / path).open("rb") as file:
                return file.read(65_536).decode(errors="replace").strip("\0 \n")
        except OSError:
            return None

    def paths(self, pattern: str) -> list[Path]:
        """Return the files of a pattern."""
        return sorted(self.root.glob(pattern))


def interpret_twice(runtime: str) -> None:
    """Run a model of one operator: importing an interpreter proves little, as under a wrong NumPy it crashes here.

    Raises:
        RuntimeUnavailableError: If the runtime is not installed, or cannot load it.
        ValueError: If it computes something else.
    """
    import numpy as np

    _, interpreter = open_interpreter(zlib.decompress(base64.b64decode("".join(_TWICE))), runtime)
    given = np.array([[1.0, -2.0, 0.5, 3.0]], np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    if not np.array_equal(got, 2 * given):
        raise ValueError(f"it adds {given.tolist()} to itself and gets {got.tolist()}")


def own_groups() -> set[str]:
    """Return the names of the groups of this process."""
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
    """Is this a Python that drsn-edge is tested on?"""
    found, implementation, architecture = machine.python
    words = f"{implementation} {'.'.join(map(str, found))} on {architecture}"
    if not (3, 10) <= found[:2] <= (3, 13) or implementation != "CPython":
        yield Finding("python", Level.FAIL, words, "use CPython 3.10 to 3.13: apt install python3 python3-venv")
    elif architecture not in ("x86_64", "aarch64", "armv7l"):
        yield Finding("python", Level.WARN, f"{words}, for which interpreters have no wheels", "--runtime numpy")
    else:
        yield Finding("python", Level.OK, words)


def check_interpreters(machine: ExaminedMachine) -> Iterator[Finding]:
    """Which interpreters are installed, and does each compute?"""
    numpy = machine.installed("numpy")
    usable = []
    for runtime, distribution in DISTRIBUTIONS.items():
        found = machine.installed(distribution)
        if runtime == "numpy" or found is None:
            continue
        try:
            machine.interpret(runtime)
        except Exception as exc:  # a wrong NumPy shows as almost anything
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
            "interpreter", Level.WARN, "none is usable; NumPy alone will do, at some milliseconds a window",
            pip_line("tflite-runtime") if has_wheel else "pip install ai-edge-litert",
        )  # fmt: skip


def _pairing(distribution: str, numpy: str | None) -> str:
    if distribution == "tflite-runtime" and numpy is not None and not numpy.startswith("1."):
        return "pip install 'numpy<2': tflite-runtime was built against NumPy 1"
    return f"pip install --force-reinstall {distribution}"


def _first_line(exc: BaseException) -> str:
    """Return the line that says most: NumPy puts its own behind pages of advice."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()] or [type(exc).__name__]
    return next((line for line in lines if line.startswith("Original error was")), lines[0])[:200]


def check_coral(machine: ExaminedMachine) -> Iterator[Finding]:
    """Is there an Edge TPU, and what does it need?"""
    devices = accelerators(machine.root)
    library = machine.paths("usr/lib/*/libedgetpu.so.1*") + machine.paths("usr/lib/libedgetpu.so.1*")
    if not devices:
        yield Finding("coral", Level.OK, "no Edge TPU here")
        return
    found = devices[0]
    if not library:
        yield Finding(
            "coral", Level.WARN, f"{found.words}, without libedgetpu: the CPU will do", "install libedgetpu1-std"
        )
    elif not found.allowed:
        yield Finding(
            "coral", Level.WARN, f"{found.words}, which this user may not open: the CPU will do",
            "sudo usermod -aG plugdev $USER, then log in again; udev rules: docs/how-to/install-pi.md",
        )  # fmt: skip
    elif fault := machine.library_fault(str(library[0])):
        yield Finding(
            "coral", Level.WARN, f"{found.words}: {fault.partition('. ')[0]}", "see docs/how-to/install-pi.md, Coral"
        )
    else:
        yield Finding("coral", Level.OK, f"{found.words}, {library[0].name}")


def check_ports(machine: ExaminedMachine) -> Iterator[Finding]:
    """Which serial ports are there, may this user open them, and who holds them?"""
    ports = machine.ports()
    if not ports:
        yield Finding("ports", Level.WARN, "no serial port", "plug the sensor in; drsn-edge ports")
    for port in ports:
        words = f"{port.path} ({port.description})"
        others = [f"{name} ({number})" for number, name in port.held_by]
        if others:
            yield Finding("ports", Level.WARN, f"{words} is held by {', '.join(others)}", "drsn-edge ports")
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
    """Does a program run that opens every new serial port to see what it is?"""
    running = {machine.text(f"proc/{path.parent.name}/comm") for path in machine.paths("proc/[0-9]*/comm")}
    cures = {
        "ModemManager": "sudo systemctl disable --now ModemManager",
        "brltty": "sudo apt remove brltty",
    }
    found = [name for name in cures if name in running]
    for name in found:
        yield Finding("interference", Level.WARN, f"{name} runs, and talks to serial ports that appear", cures[name])
    if not found:
        yield Finding("interference", Level.OK, "neither ModemManager nor brltty runs")


def check_latency_timer(machine: ExaminedMachine) -> Iterator[Finding]:
    """Does an FTDI converter wait before it hands bytes on?"""
    for path in machine.paths("sys/bus/usb-serial/devices/*/latency_timer"):
        value = machine.text(str(path.relative_to(machine.root))) or ""
        if value.isdigit() and int(value) > _FTDI_MOST_MS:
            port = path.parent.name
            yield Finding(
                "latency timer", Level.WARN, f"/dev/{port} hands bytes on every {value} ms",
                f"echo 1 | sudo tee /sys/bus/usb-serial/devices/{port}/latency_timer",
            )  # fmt: skip
        else:
            yield Finding("latency timer", Level.OK, f"/dev/{path.parent.name}: {value} ms")


def check_governor(machine: ExaminedMachine) -> Iterator[Finding]:
    """Does the processor save power where it should be ready?"""
    governor = machine.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor == "powersave":
        yield Finding(
            "governor", Level.WARN, "the processor stays at its lowest frequency (powersave)",
            "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )  # fmt: skip
    elif governor is not None:
        yield Finding("governor", Level.OK, governor)


def check_throttling(machine: ExaminedMachine) -> Iterator[Finding]:
    """Has a Raspberry Pi too little voltage, or got too hot?"""
    said = machine.run(["vcgencmd", "get_throttled"]) or ""
    match = re.search(r"throttled=0x([0-9a-fA-F]+)", said)
    if match is None:
        return
    bits = int(match[1], 16)
    now = [words for bit, words in _THROTTLED.items() if bits >> bit & 1]
    once = [words for bit, words in _THROTTLED.items() if bits >> (bit + 16) & 1]
    cure = "use the power supply that was made for it, and a heat sink"
    if now:
        yield Finding("power", Level.FAIL, f"right now: {', '.join(now)}", cure)
    elif once:
        yield Finding("power", Level.WARN, f"since it was switched on: {', '.join(once)}", cure)
    else:
        yield Finding("power", Level.OK, "enough voltage, no throttling")


def check_clock(machine: ExaminedMachine) -> Iterator[Finding]:
    """Does somebody set the clock? History and brokers are told times by it."""
    said = machine.run(["timedatectl", "show", "-p", "NTPSynchronized", "--value"])
    if said is None:
        return
    if said.strip() == "yes":
        yield Finding("clock", Level.OK, "set by a time server")
    else:
        yield Finding("clock", Level.WARN, "no time server sets the clock", "sudo timedatectl set-ntp true")


def check_disk(machine: ExaminedMachine) -> Iterator[Finding]:
    """Is there room, and is the card worn out?"""
    folder = state_folder(machine.environment)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    words = f"{free / 1e9:.1f} GB free at {there}"
    if free < _LEAST_FREE_BYTES:
        yield Finding("disk", Level.FAIL, words, "make room: history, logs and captures are what grows")
    elif free < _LITTLE_FREE_BYTES:
        yield Finding("disk", Level.WARN, words, "make room, or a smaller --keep-days")
    else:
        yield Finding("disk", Level.OK, words)
    for path in machine.paths("sys/block/mmcblk*/device/life_time"):
        used = [int(part, 16) for part in (machine.text(str(path.relative_to(machine.root))) or "").split()]
        if used and max(used) >= _WORN:
            card = path.parents[1].name
            yield Finding("card", Level.WARN, f"{card} says that {10 * max(used)} % of its life is over", "replace it")


def check_trust(machine: ExaminedMachine) -> Iterator[Finding]:
    """Whose bundles are taken here, and can signatures be checked?"""
    from drsn_edge.bundle.signing import trusted_keys

    folder = trust_folder(machine.environment)
    try:
        keys = trusted_keys(folder)
    except DrsnEdgeError as exc:
        yield Finding("trust", Level.FAIL, str(exc), None)
        return
    if not keys:
        yield Finding("trust", Level.WARN, f"no key is trusted here ({folder})", "drsn-edge keys trust KEY.pub")
    else:
        yield Finding("trust", Level.OK, ", ".join(f"{key.id} ({key.name})" for key in keys))
    if machine.installed("cryptography") is None:
        yield Finding("trust", Level.WARN, "signatures cannot be checked", pip_line("signing"))


def check_bundle(machine: ExaminedMachine) -> Iterator[Finding]:
    """Is there a bundle that is active, whole, and does it run as it should?"""
    from drsn_edge.gateway.health_gate import run_gate
    from drsn_edge.gateway.local_store import FOLDER, open_store

    state = state_folder(machine.environment)
    if not (state / FOLDER).is_dir():
        yield Finding(
            "bundle", Level.WARN, "none is active here", "drsn-edge flash BUNDLE --to local, or monitor --model"
        )
        return
    try:
        store = open_store("drsn-edge doctor", state, trust_folder(machine.environment))
        active = store.active()
        measured = run_gate(active.path)
    except NoBundleError as exc:
        level = Level.FAIL if "damaged" in str(exc) else Level.WARN
        yield Finding("bundle", level, str(exc), "drsn-edge flash BUNDLE --to local")
        return
    except (DrsnEdgeError, FirmwareBridgeError) as exc:
        cure = "drsn-edge gateway rollback" if isinstance(exc, GateError) else "drsn-edge gateway status"
        yield Finding("bundle", Level.FAIL, str(exc), cure)
        return
    slot = active.slot
    words = f"{slot.name} {slot.version}: {measured.latency_p99_ms:.3g} ms a window on {measured.runtime} (99 in 100)"
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
    """Yield what each check finds; one that cannot look says so, and costs no other anything."""
    for check in CHECKS:
        try:
            yield from check(machine)
        except Exception as exc:  # a doctor must not fall ill
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield Finding(name, Level.WARN, f"could not look: {type(exc).__name__}: {_first_line(exc)}")
