"""Cut a store at every change of every operation, boot what is left, and cut the recovery as well.

    python tests/runs/crash_run.py --results docs/results/crashes.json

After each cut the store must start with the bundle from before or the one from after, whole, as its state says; and
must still take a new one. Then each call fails once with ENOSPC and with EIO: the store must say so with an error of
its own, and start likewise, at once and after a cut at any later change.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crashing import MemoryDisk, Op, states_after

from firmware_bridge.errors import FirmwareBridgeError, NoBundleError
from firmware_bridge.gateway import bundle_files
from firmware_bridge.gateway.state import Description
from firmware_bridge.gateway.store import SlotStore

Files = dict[str, bytes]
Act = Callable[[SlotStore], object]


class RefusedByGateError(Exception):
    """What a bundle of version 1.1.66 raises at the gate."""


class RefusedByVerifierError(Exception):
    """What the verifier raises for a damaged bundle."""


def bundle(version: str, size: int = 3000) -> bytes:
    """Return what the verifier here takes for a bundle: its version, and bytes that follow from it."""
    seed = hashlib.sha256(version.encode()).digest()
    return (version.encode() + b"\n" + seed * (size // len(seed) + 1))[:size]


def verify(data: bytes, active: bytes | None) -> Description:
    version = data.split(b"\n")[0].decode()
    if data != bundle(version, len(data)) or len(data) < 100:
        raise RefusedByVerifierError("damaged")
    return Description("pump", version, version)


def store_on(disk: MemoryDisk) -> SlotStore:
    def gate(path: Path) -> None:
        if disk.files[path.name].startswith(b"1.1.66"):
            raise RefusedByGateError("too slow")

    return SlotStore(disk, nullcontext, verify, gate, now_s=lambda: 1e9)


def prepared(*acts: Act) -> Files:
    disk = MemoryDisk()
    for act in acts:
        act(store_on(disk))
    return disk.files


def install(version: str) -> Act:
    return lambda store: store.install(bundle(version))


def confirm(store: SlotStore) -> object:
    return store.confirm()


def roll_back(store: SlotStore) -> object:
    return store.roll_back("asked to")


def start(store: SlotStore) -> object:
    return store.start()


ONE = (install("1.0.0"), start, confirm)
TWO = (*ONE, install("1.1.0"))
SCENARIOS: dict[str, tuple[tuple[Act, ...], Act]] = {
    "first install": ((), install("1.0.0")),
    "confirm of the first": ((install("1.0.0"),), confirm),
    "install": (ONE, install("1.1.0")),
    "install that the gate refuses": (ONE, install("1.1.66")),
    "install that takes the place of an older one": ((*TWO, confirm), install("1.2.0")),
    "start of a trial": (TWO, start),
    "crash loop": ((*TWO, start, start, start), start),
    "confirm": (TWO, confirm),
    "rollback of a trial": (TWO, roll_back),
    "rollback of the first trial": ((install("1.0.0"),), roll_back),
    "install again after a rollback": ((*TWO, roll_back), install("1.1.0")),
}


@dataclass
class Tally:
    """What was tried.

    Attributes:
        cuts: Disk states after a cut that were booted, by scenario; equal ones count once.
        recoveries_cut: Of them, those that come from a cut in the recovery itself.
        failed_calls: Calls that failed once, by error.
        bad: Descriptions of states in which neither bundle ran as it should.
    """

    cuts: Counter[str] = field(default_factory=Counter)
    recoveries_cut: int = 0
    failed_calls: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)


def running(files: Files) -> str | None:
    """Return the version that starts on a disk; only whole bundles that the state names may."""
    disk = MemoryDisk(files)
    try:
        found = store_on(disk).start()
    except NoBundleError:
        return None
    data = disk.files[found.path.name]
    assert hashlib.sha256(data).hexdigest() == found.slot.sha256
    assert found.slot.version == verify(data, None).version
    return found.slot.version


def expected(before: Files, act: Act) -> tuple[str | None, str | None]:
    """Return what may run after a cut: what ran before, or what runs after the whole operation."""
    disk = MemoryDisk(before)
    with suppress(RefusedByGateError, FirmwareBridgeError):
        act(store_on(disk))
    return running(before), running(disk.files)


class Search:
    """Boots disk states, each once."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._seen: set[bytes] = set()

    def cut(self, name: str, before: Files, ops: list[Op], allowed: set[str | None], nested: bool) -> None:
        """Boot all that a cut after these changes may leave."""
        for left in states_after(before, ops):
            digest = hashlib.sha256(repr((name, nested, len(allowed), sorted(left.items()))).encode()).digest()
            if digest in self._seen:
                continue
            self._seen.add(digest)
            self.tally.cuts[name] += 1
            self.tally.recoveries_cut += not nested
            self.boot(name, left, allowed)
            if nested:
                self._cut_recovery(name, left, allowed)

    def boot(self, name: str, left: Files, allowed: set[str | None]) -> None:
        try:
            version = running(left)
        except Exception as exc:  # whatever it is, it is what is looked for
            self.tally.bad.append(f"{name}: {exc!r}")
            return
        if version not in allowed:
            self.tally.bad.append(f"{name}: {version} runs, expected one of {allowed}")
        disk = MemoryDisk(left)
        with suppress(FirmwareBridgeError):
            store_on(disk).roll_back("to try another")
        try:
            store_on(disk).install(bundle("9.0.0"))
        except Exception as exc:
            self.tally.bad.append(f"{name}: takes no further bundle: {exc!r}")

    def _cut_recovery(self, name: str, left: Files, allowed: set[str | None]) -> None:
        disk = MemoryDisk(left)
        with suppress(NoBundleError):
            store_on(disk).start()
        for count in range(1, len(disk.ops)):
            self.cut(name, left, disk.ops[:count], allowed, nested=False)


def run(names: list[str] | None = None, write_bytes: int = 1024) -> Tally:
    """Run the scenarios of these names, or all."""
    tally = Tally()
    search = Search(tally)
    with _writes_of(write_bytes):
        for name in names or list(SCENARIOS):
            earlier, act = SCENARIOS[name]
            before = prepared(*earlier)
            old, new = expected(before, act)
            allowed = {old, new}
            whole = MemoryDisk(before)
            with suppress(RefusedByGateError):
                act(store_on(whole))
            for count in range(len(whole.ops) + 1):
                done = count == len(whole.ops)  # then it has returned, and what it did must stay
                search.cut(name, before, whole.ops[:count], {new} if done else allowed, nested=True)
            for number in (errno.ENOSPC, errno.EIO):
                for count in range(len(whole.ops)):
                    _fail(search, name, before, act, allowed, (count, number))
    return tally


def _fail(search: Search, name: str, before: Files, act: Act, allowed: set[str | None], fail: tuple[int, int]) -> None:
    """Let one call fail: then the store must be as if nothing had happened, or the whole had."""
    disk = MemoryDisk(before, fail)
    search.tally.failed_calls[errno.errorcode[fail[1]]] += 1
    try:
        act(store_on(disk))
    except (FirmwareBridgeError, RefusedByGateError):
        pass
    except Exception as exc:
        search.tally.bad.append(f"{name}, {fail}: {exc!r} is no error of the store's")
    search.boot(name, disk.files, allowed)
    for count in range(fail[0], len(disk.ops) + 1):
        search.cut(name, before, disk.ops[:count], allowed, nested=False)


@contextmanager
def _writes_of(size: int) -> Any:
    """Write bundles in smaller pieces, so that there are several."""
    usual = bundle_files._WRITE_BYTES
    bundle_files._WRITE_BYTES = size
    try:
        yield
    finally:
        bundle_files._WRITE_BYTES = usual


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True)
    options = parser.parse_args()
    began = time.monotonic()
    tally = run()
    values = {**vars(tally), "states": tally.cuts.total(), "seconds": round(time.monotonic() - began, 1)}
    options.results.write_text(json.dumps(values, indent=1) + "\n")
    print(f"{tally.cuts.total()} states after cuts, {tally.failed_calls.total()} failing calls, {len(tally.bad)} bad")
    return int(bool(tally.bad))


if __name__ == "__main__":
    sys.exit(main())
