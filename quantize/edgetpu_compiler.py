"""Ask Coral's `edgetpu_compiler`, where it is installed, and compare its log with our lint.

The compiler cannot be redistributed. It writes a table such as

    Operator                       Count      Status

    CONV_2D                        17         Mapped to Edge TPU
    MAXIMUM                        2          More than one subgraph is not supported
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from quantize.edgetpu import edgetpu_mapped
from quantize.errors import TargetError
from quantize.tflite_file import read_model

COMPILER = "edgetpu_compiler"
_TIMEOUT_S = 120.0
_MAPPED = "Mapped to Edge TPU"
_HEAD = re.compile(r"^Operator\s+Count\s+Status\s*$", re.MULTILINE)
_ROW = re.compile(r"^([A-Z][A-Z0-9_-]*)\s+(\d+)\s+(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")


@dataclass(frozen=True)
class CompilerRow:
    """One line of the compiler's table: so many operators of this name share a status."""

    operator: str
    count: int
    status: str

    @property
    def mapped(self) -> bool:
        """Whether they run on the Edge TPU."""
        return self.status == _MAPPED


@dataclass(frozen=True)
class CompilerVerdict:
    """What the compiler says of a file, beside what our lint says.

    Attributes:
        version: Of the compiler, empty where its log does not tell.
        rows: Its table.
        differences: In sentences, where the two disagree; empty where they agree.
    """

    version: str
    rows: tuple[CompilerRow, ...]
    differences: tuple[str, ...]


def compiler_verdict(model: bytes, timeout_s: float = _TIMEOUT_S) -> CompilerVerdict | None:
    """Compile a file in a temporary folder and compare; None where the compiler is not on the PATH.

    Raises:
        ModelFileError: If the bytes are not a .tflite file.
        TargetError: If the compiler fails, takes longer than `timeout_s` seconds or writes no table.
    """
    program = shutil.which(COMPILER)
    if program is None:
        return None
    log = _run(program, model, timeout_s)
    rows, version = parse_log(log), _VERSION.search(log)
    return CompilerVerdict(version[1] if version else "", rows, compare_with_lint(model, rows))


def parse_log(log: str) -> tuple[CompilerRow, ...]:
    """Return the table of a compiler's log.

    Raises:
        TargetError: If there is none.
    """
    head = _HEAD.search(log)
    rows = [CompilerRow(*_row(found)) for found in _ROW.finditer(log, head.end())] if head else []
    if not rows:
        last = (log.strip().splitlines() or ["nothing"])[-1]
        raise TargetError(f"Expected a table of operators from {COMPILER}, got: {last}.")
    return tuple(rows)


def compare_with_lint(model: bytes, rows: tuple[CompilerRow, ...]) -> tuple[str, ...]:
    """Return in sentences which operators the compiler maps and our lint does not, or the other way round."""
    file = read_model(model)
    ours = Counter(operator.name for operator in file.operators[: edgetpu_mapped(file)])
    theirs: Counter[str] = Counter()
    for row in rows:
        if row.mapped:
            theirs[row.operator] += row.count
    return tuple(
        f"{name}: {COMPILER} maps {theirs[name]}, our lint {ours[name]}"
        for name in sorted(ours | theirs)
        if ours[name] != theirs[name]
    )


def _row(found: re.Match[str]) -> tuple[str, int, str]:
    return found[1], int(found[2]), found[3]


def _run(program: str, model: bytes, timeout_s: float) -> str:
    with tempfile.TemporaryDirectory(prefix="edgetpu-") as folder:
        source = Path(folder) / "model.tflite"
        source.write_bytes(model)
        command = [program, "-s", "-o", folder, str(source)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=timeout_s, cwd=folder
            )
        except subprocess.TimeoutExpired as exc:
            raise TargetError(f"Expected {COMPILER} to end within {timeout_s:g} s, it did not.") from exc
        except OSError as exc:
            raise TargetError(f"Expected {program} to run, got: {exc.strerror}.") from exc
        logs = [path.read_text(errors="replace") for path in sorted(Path(folder).glob("*.log"))]
        log = "\n".join([done.stdout, *logs])
        if done.returncode:
            said = (done.stderr or log).strip().splitlines() or ["nothing"]
            raise TargetError(f"Expected {COMPILER} to compile the file, got exit code {done.returncode}: {said[-1]}.")
        return done.stdout if _HEAD.search(done.stdout) else log
