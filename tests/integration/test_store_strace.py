"""The store's changes are all that the kernel sees: what crash_run.py cuts between is everything that there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

RUN = Path(__file__).parents[1] / "runs" / "recorded_run.py"
CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,link,"
    "linkat,symlink,symlinkat,truncate,ftruncate,fallocate,mkdir,mkdirat,mknod,mknodat,sync_file_range,syncfs,sync,"
    "copy_file_range,sendfile,splice,mmap"
)


def test_strace_sees_the_same_changes(tmp_path: Path, need: Callable[..., None]) -> None:
    need("strace")
    folder, trace = tmp_path / "store", tmp_path / "trace"
    command = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(trace), sys.executable, str(RUN)]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=300, check=True)
    seen = [call for line in trace.read_text().splitlines() if (call := _call(line, folder)) is not None]
    assert seen == ["mkdir", *done.stdout.splitlines()]


def _call(line: str, folder: Path) -> str | None:
    """Return a line of strace as recorded_run.py writes it; None for what changes nothing in the folder."""
    if str(folder) not in line or " = -1 " in line:
        return None
    call = re.sub(r"^\d+ +", "", line)
    name, _, rest = call.partition("(")
    quoted = re.findall(r'"([^"]*)"', rest)
    if name == "mmap":
        assert "MAP_SHARED" not in rest or "PROT_WRITE" not in rest, line
        return None
    if name in ("mkdir", "mkdirat"):
        return "mkdir"
    if "/lock>" in rest or (quoted and quoted[-1].endswith("lock")):
        return None
    if name in ("open", "openat"):
        path = _path(rest)
        return f"create {path}" if "O_CREAT" in rest else f"open_end {path}" if "O_APPEND" in rest else None
    said: dict[str, Callable[[], str]] = {
        "write": lambda: f"write {rest.rsplit('= ', 1)[-1]}",
        "fsync": lambda: "sync",
        "renameat": lambda: "rename " + " ".join(_names(line)),
        "renameat2": lambda: "rename " + " ".join(_names(line)),
        "unlinkat": lambda: "unlink " + _names(line)[0],
    }
    return said[name]() if name in said else f"unexpected: {line}"


def _names(line: str) -> list[str]:
    return re.findall(r'"([^"]+)"', line)


def _path(rest: str) -> str:
    found = re.findall(r'"([^"]*)"', rest)
    return found[0].rsplit("/", 1)[-1]
