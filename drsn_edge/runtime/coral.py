"""Coral's Edge TPU (USB, M.2, PCIe): which are connected, a trial run of one, and why one does not work.

The library `libedgetpu` is a TFLite delegate. It often fails without a message, and a build for another TensorFlow
crashes the process. So a process of its own tries it first; its main program is this module: LIBRARY DEVICE < MODEL.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from drsn_edge.errors import RuntimeUnavailableError
from drsn_edge.support.apart import ApartError, KilledApartError, answer_apart, ask_apart
from firmware_bridge.sources.ports import holders_of

_PROBE_TIMEOUT_S = 60.0
_ENUMERATION_S, _LOOK_EVERY_S = 10.0, 0.1
_USB_IDS = {"1a6e:089a": False, "18d1:9302": True}
"""USB ids, and whether the device has its firmware: the first use loads it, and the second id appears."""

_came_up: set[tuple[str, str | None]] = set()
"""Libraries and devices that this process has already used successfully."""

_BUILDS = (
    "Use a build of libedgetpu for this interpreter: https://github.com/feranick/libedgetpu/releases (Google's own of "
    "2021 and 2022 crash with TFLite 2.12 and later)"
)


@dataclass(frozen=True)
class Accelerator:
    """An Edge TPU.

    Attributes:
        words: Name for people.
        node: Device file.
        ready: Whether it has its firmware; an accelerator on USB gets it at the first use.
        allowed: Whether this user may open the device file.
    """

    words: str
    node: Path
    ready: bool
    allowed: bool


def accelerators(root: Path = Path("/")) -> list[Accelerator]:
    """Return the Edge TPUs of this machine.

    Args:
        root: Root of the file system; tests use another.
    """
    found = [
        Accelerator(f"Coral at /dev/{node.name}", node, True, os.access(node, os.R_OK | os.W_OK))
        for node in sorted(root.glob("dev/apex_[0-9]*"))
    ]
    for folder in sorted(root.glob("sys/bus/usb/devices/*")):
        usb_id = f"{_word(folder / 'idVendor')}:{_word(folder / 'idProduct')}"
        if usb_id not in _USB_IDS:
            continue
        bus, number = _word(folder / "busnum"), _word(folder / "devnum")
        node = root / "dev/bus/usb" / f"{bus:0>3}" / f"{number:0>3}"
        ready = _USB_IDS[usb_id]
        words = f"Coral USB accelerator ({usb_id}, {'ready' if ready else 'before its first use'})"
        found.append(Accelerator(words, node, ready, os.access(node, os.R_OK | os.W_OK)))
    return found


def _word(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def library_fault(library: str) -> str | None:
    """Return why a library cannot be loaded and what to do; None if it can."""
    try:
        ctypes.CDLL(library)
    except OSError as exc:
        said = str(exc)
        if "No such file" in said and said.startswith(library) and not Path(library).exists():
            return (
                f"the library {library} is not on this machine. Install libedgetpu1-std, or give the library with "
                "--edgetpu-library"
            )
        return f"the library {library} does not fit this system ({said}). {_BUILDS}"
    return None


def expect_edgetpu(model: bytes, library: str, device: str | None, root: Path = Path("/")) -> None:
    """Run a model on an Edge TPU in a process of its own, so that a crash ends that process alone.

    An accelerator on USB without firmware gets it by this run, and this function waits until the device returns. An
    accelerator that has worked before is not tried again: if this process holds it, no other process can open it.

    Raises:
        RuntimeUnavailableError: If the Edge TPU does not compute; with the cause and what to do.
    """
    if (library, device) in _came_up:
        return
    if fault := library_fault(library):
        raise _unusable(fault, "library_fault", library=library)
    fresh = any(not each.ready for each in accelerators(root))
    fault_found = _probe(model, library, device, root)
    if fault_found is not None and fresh and _comes_back(root):
        fault_found = _probe(model, library, device, root)
    if fault_found is not None:
        raise fault_found
    _came_up.add((library, device))


def _comes_back(root: Path) -> bool:
    until_s = time.monotonic() + _ENUMERATION_S
    while not any(each.ready for each in accelerators(root)):
        if time.monotonic() > until_s:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _probe(model: bytes, library: str, device: str | None, root: Path) -> RuntimeUnavailableError | None:
    """Return what went wrong; None if the model was computed."""
    try:
        name = device or ""
        ask_apart("drsn_edge.runtime.coral", library, name, timeout_s=_PROBE_TIMEOUT_S, data=model, to_its_end=True)
    except KilledApartError as exc:
        words = f"{library} crashed (signal {exc.signal}). {_BUILDS}"
        return _unusable(words, "library_crashed", library=library, signal=exc.signal)
    except ApartError as exc:
        return fault_of(str(exc), library, root)
    return None


def fault_of(said: str, library: str, root: Path = Path("/")) -> RuntimeUnavailableError:
    """Return why an Edge TPU does not work and what to do; `said` is the message of its library."""
    here, facts = accelerators(root), {"library": library, "said": said}
    if not here:
        words = (
            f"none is connected ({library}: {said}). Plug it in (lsusb shows 1a6e:089a or 18d1:9302; M.2 and PCIe need "
            "the gasket driver and show /dev/apex_0), and pass it into a container with --device"
        )
        return _unusable(words, "not_connected", **facts)
    if not any(each.allowed for each in here):
        words = (
            f"this user may not open {here[0].node} ({here[0].words}). Type: sudo usermod -aG plugdev $USER, then log "
            "in again; without libedgetpu's package also add its udev rule, see docs/how-to/coral.md"
        )
        return _unusable(words, "not_permitted", node=here[0].node)
    for node, holders in holders_of(str(each.node) for each in here).items():
        names = ", ".join(f"{name} ({number})" for number, name in holders)
        words = f"{node} is in use by {names}. Only one program can use it at a time: stop that program"
        return _unusable(words, "in_use", node=node, holders=holders)
    words = (
        f"{here[0].words} does not start ({library}: {said}). Unplug it, and plug it into a port of its own. {_BUILDS}"
    )
    return _unusable(words, "does_not_start", device=here[0].words, **facts)


def _unusable(words: str, problem: str, **facts: object) -> RuntimeUnavailableError:
    return RuntimeUnavailableError(f"No Edge TPU can be used: {words}.", problem, **facts)


def main(arguments: list[str]) -> None:
    """Run a model on an Edge TPU once, and answer whether it worked or what went wrong."""
    from drsn_edge.runtime.interpreters import open_interpreter

    library, device = arguments

    def compute() -> None:
        _, interpreter = open_interpreter(sys.stdin.buffer.read(), "edgetpu", 1, (library, device or None))
        interpreter.invoke()

    answer_apart(compute, (Exception,))  # the user must read whatever a delegate raises


if __name__ == "__main__":
    main(sys.argv[1:])
