"""A disk in memory that keeps every change, and every state in which a cut may leave it.

What is promised to be there after a cut is little: content that was synced, and names that were there when the folder
was synced. Of the rest, any part may be there:

- each change of a name since, in any combination;
- of a file that was not synced: nothing, any number of its writes, the last of them torn, zeros where a write should
  be (the size reached the disk, the content did not), or only its last write (reordered), the rest zeros.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from firmware_bridge.gateway.disk import Disk


class Op(NamedTuple):
    """A change: the call, and what it was given."""

    call: str
    file: int = -1
    names: tuple[str, ...] = ()
    data: bytes = b""


class MemoryDisk(Disk):
    """A folder in memory. `fail`: number of the change that fails, and how."""

    def __init__(self, files: dict[str, bytes] | None = None, fail: tuple[int, int] | None = None) -> None:
        self.before = dict(files or {})
        self.ops: list[Op] = []
        self._contents = [bytearray(content) for content in self.before.values()]
        self._names = {name: number for number, name in enumerate(self.before)}
        self._fail = fail
        self.free = 1 << 30

    @property
    def files(self) -> dict[str, bytes]:
        """What a program sees."""
        return {name: bytes(self._contents[number]) for name, number in self._names.items()}

    def _do(self, op: Op) -> None:
        if self._fail is not None and len(self.ops) == self._fail[0]:
            number, self._fail = self._fail[1], None
            if op.call == "write" and number == errno.ENOSPC:  # what fits is written before it fails
                half = op.data[: len(op.data) // 2]
                self._contents[op.file] += half
                self.ops.append(op._replace(data=half))
            raise OSError(number, "injected")
        self.ops.append(op)

    def names(self) -> list[str]:
        return list(self._names)

    def read(self, name: str, limit: int) -> bytes:
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, name)
        return bytes(self._contents[self._names[name]][: limit + 1])

    def free_bytes(self) -> int:
        return self.free

    def create(self, name: str) -> int:
        if name in self._names:
            raise FileExistsError(errno.EEXIST, name)
        number = len(self._contents)
        self._do(Op("create", number, (name,)))
        self._contents.append(bytearray())
        self._names[name] = number
        return number

    def open_end(self, name: str) -> int:
        return self._names[name]

    def write(self, descriptor: int, data: bytes) -> None:
        self._do(Op("write", descriptor, data=data))
        self._contents[descriptor] += data

    def sync(self, descriptor: int) -> None:
        self._do(Op("sync", descriptor))

    def close(self, descriptor: int) -> None:
        pass

    def rename(self, old: str, new: str) -> None:
        self._do(Op("rename", self._names[old], (old, new)))
        self._names[new] = self._names.pop(old)

    def unlink(self, name: str) -> None:
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, name)
        self._do(Op("unlink", self._names[name], (name,)))
        del self._names[name]

    def sync_folder(self) -> None:
        self._do(Op("sync_folder"))

    def path(self, name: str) -> Path:
        return Path("/memory") / name


def states_after(before: dict[str, bytes], ops: list[Op]) -> Iterator[dict[str, bytes]]:
    """Yield what a cut right after these changes may leave, given what was on the disk before them."""
    names = {name: number for number, name in enumerate(before)}
    last_sync = max((index for index, op in enumerate(ops) if op.call == "sync_folder"), default=-1)
    changes = [(index, op) for index, op in enumerate(ops) if op.call in ("create", "rename", "unlink")]
    for index, op in changes:
        if index < last_sync:
            _rename(names, op)
    for kept in _subsets([op for index, op in changes if index > last_sync]):
        left = dict(names)
        for op in kept:
            _rename(left, op)
        versions = [list(_versions(number, list(before.values()), ops)) for number in left.values()]
        for contents in itertools.product(*versions):
            yield dict(zip(left, contents, strict=True))


def _versions(file: int, before: list[bytes], ops: list[Op]) -> Iterator[bytes]:
    """Yield the contents that a file may have."""
    synced, waiting = before[file] if file < len(before) else b"", []
    for op in ops:
        if op.file == file and op.call == "write":
            waiting.append(op.data)
        elif op.file == file and op.call == "sync":
            synced, waiting = synced + b"".join(waiting), []
    yield from _torn(synced, waiting)


def _rename(names: dict[str, int], op: Op) -> None:
    """Apply a change of names; an entry that an earlier change should have made may be missing."""
    if op.call != "create" and names.get(op.names[0]) == op.file:
        del names[op.names[0]]
    if op.call != "unlink":
        names[op.names[-1]] = op.file


def _subsets(ops: list[Op]) -> Iterator[tuple[Op, ...]]:
    for count in range(len(ops) + 1):
        yield from itertools.combinations(ops, count)


def _torn(synced: bytes, writes: list[bytes]) -> Iterator[bytes]:
    """Yield what may be there of a file whose last writes were not synced."""
    for count in range(len(writes)):
        whole, last = synced + b"".join(writes[:count]), writes[count]
        yield whole
        for cut in sorted({1, len(last) // 4, len(last) // 2, len(last) - 1} - {0, len(last)}):
            yield whole + last[:cut]
            yield whole + last[:cut] + bytes(len(last) - cut)
        yield whole + bytes(len(last))
    everything = b"".join(writes)
    yield synced + everything
    if len(writes) > 1:
        yield synced + bytes(len(everything) - len(writes[-1])) + writes[-1]
