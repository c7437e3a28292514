"""Coral's Edge TPU (USB, M.2, PCIe): which are here, the delegate that drives one, and why one does not come up.

The library `libedgetpu` is a TFLite delegate. It is quiet where it fails, and a build for another TensorFlow crashes
the process, so that a process of its own tries it first, whose main program is this module: LIBRARY DEVICE < MODEL.
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
"""Whether it has its firmware. The first use loads it, and the accelerator comes back under the second number."""

_came_up: set[tuple[str, str | None]] = set()
"""Libraries and devices that a process has computed with."""

_BUILDS = (
    "Use a build of libedgetpu for this interpreter: https://github.com/feranick/libedgetpu/releases (Google's own of "
    "2021 and 2022 crash with TFLite 2.12 and later)"
)


@dataclass(frozen=True)
class Accelerator:
    """An Edge TPU.

    Attributes:
        words: For people.
        node: Its device file.
        ready: Whether it has its firmware; one on USB gets it at its first use.
        allowed: Whether this user may open it.
    """

    words: str
    node: Path
    ready: bool
    allowed: bool


def accelerators(root: Path = Path("/")) -> list[Accelerator]:
    """Return the Edge TPUs of this machine.

    Args:
        root: Of the file system; other ones are for tests.
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
    """Return why a library cannot be loaded and what to do, None where it can."""
    try:
        ctypes.CDLL(library)
    except OSError as exc:
        said = str(exc)
        if "No such file" in said and said.startswith(library) and not Path(library).exists():
            return (
                f"the library {library} is not on this machine. Install libedgetpu1-std, or name it: --edgetpu-library"
            )
        return f"the library {library} does not go with this system ({said}). {_BUILDS}"
    return None


def expect_edgetpu(model: bytes, library: str, device: str | None, root: Path = Path("/")) -> None:
    """Try an Edge TPU with a model in a process of its own, so that what kills that process is told here.

    An accelerator on USB that has no firmware yet gets it by this, and is waited for as it comes back. One that came up
    before is not tried again: this process may hold it, and no other can open it then.

    Raises:
        RuntimeUnavailableError: If it does not compute here: naming the cause, and what to do.
    """
    if (library, device) in _came_up:
        return
    if fault := library_fault(library):
        raise RuntimeUnavailableError(f"Expected an Edge TPU, {fault}.")
    fresh = any(not each.ready for each in accelerators(root))
    said = _probe(model, library, device)
    if said is not None and fresh and _comes_back(root):
        said = _probe(model, library, device)
    if said is not None:
        raise RuntimeUnavailableError(f"Expected an Edge TPU, {cause(said, library, root)}.")
    _came_up.add((library, device))


def _comes_back(root: Path) -> bool:
    until_s = time.monotonic() + _ENUMERATION_S
    while not any(each.ready for each in accelerators(root)):
        if time.monotonic() > until_s:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _probe(model: bytes, library: str, device: str | None) -> str | None:
    """Return what went wrong, None where the model was computed."""
    try:
        name = device or ""
        ask_apart("drsn_edge.runtime.coral", library, name, timeout_s=_PROBE_TIMEOUT_S, data=model, to_its_end=True)
    except KilledApartError as exc:
        return f"{library} crashed (signal {exc.signal}). {_BUILDS}"
    except ApartError as exc:
        return str(exc)
    return None


def cause(said: str, library: str, root: Path = Path("/")) -> str:
    """Return why an Edge TPU does not come up and what to do, of what its library says."""
    if "crashed (signal" in said:
        return said
    here = accelerators(root)
    if not here:
        return (
            f"there is none ({library}: {said}). Plug it in (lsusb shows 1a6e:089a or 18d1:9302; M.2 and PCIe need the "
            "gasket driver and show /dev/apex_0); into a container with --device"
        )
    if not any(each.allowed for each in here):
        return (
            f"this user may not open {here[0].node} ({here[0].words}). sudo usermod -aG plugdev $USER, log in again; "
            "without libedgetpu's package add its udev rule, see docs/how-to/install-pi.md"
        )
    held = holders_of(str(each.node) for each in here)
    for node, holders in held.items():
        return f"{node} is held by {', '.join(f'{name} ({number})' for number, name in holders)}. One program at a time"
    return f"{here[0].words} does not come up ({library}: {said}). Plug it in anew, into a port of its own. {_BUILDS}"


def main(arguments: list[str]) -> None:
    """Compute a model on an Edge TPU once, and answer, or say what went wrong."""
    from drsn_edge.runtime.interpreters import open_interpreter

    library, device = arguments

    def compute() -> None:
        _, interpreter = open_interpreter(sys.stdin.buffer.read(), "edgetpu", 1, (library, device or None))
        interpreter.invoke()

    answer_apart(compute, (Exception,))  # whatever a delegate raises is what its user must read


if __name__ == "__main__":
    main(sys.argv[1:])
