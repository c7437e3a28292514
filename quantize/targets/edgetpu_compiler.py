"""Run Coral's `edgetpu_compiler` if it is installed, and compare its log with the lint.

The compiler may not be redistributed. Its log holds a table such as

    Operator                       Count      Status

    CONV_2D                        17         Mapped to Edge TPU
    MAXIMUM                        2          More than one subgraph is not supported
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from quantize.errors import TargetError
from quantize.targets.edgetpu import edgetpu_mapped
from quantize.tflite.file import read_model

COMPILER = "edgetpu_compiler"
CUSTOM_OPERATOR = "edgetpu-custom-op"
"""The operator by which the compiler replaces those that it maps."""

_TIMEOUT_S = 120.0
_MAPPED = "Mapped to Edge TPU"
_HEAD = re.compile(r"^Operator\s+Count\s+Status\s*$", re.MULTILINE)
_ROW = re.compile(r"^([A-Z][A-Z0-9_-]*)\s+(\d+)\s+(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")


@dataclass(frozen=True)
class CompilerRow:
    """One line of the compiler's table: the number of operators with this name and status."""

    operator: str
    count: int
    status: str

    @property
    def mapped(self) -> bool:
        """Whether these operators run on the Edge TPU."""
        return self.status == _MAPPED


@dataclass(frozen=True)
class CompilerVerdict:
    """The compiler's report on a file, compared with the lint.

    Attributes:
        version: Version of the compiler; empty if its log does not name it.
        rows: Table of the log.
        differences: Sentences about the operators on which compiler and lint disagree; empty if they agree.
    """

    version: str
    rows: tuple[CompilerRow, ...]
    differences: tuple[str, ...]

    @property
    def operators(self) -> int:
        """Number of operators in the file."""
        return sum(row.count for row in self.rows)

    @property
    def mapped(self) -> int:
        """Number of operators that run on the Edge TPU."""
        return sum(row.count for row in self.rows if row.mapped)


@dataclass(frozen=True)
class Compiled:
    """The result of a compilation.

    Attributes:
        verdict: The compiler's report.
        model: The compiled file.
    """

    verdict: CompilerVerdict
    model: bytes


def compile_model(model: bytes, timeout_s: float = _TIMEOUT_S) -> Compiled | None:
    """Compile a file in a temporary folder and compare the log with the lint; None without a compiler on the PATH.

    Raises:
        ModelFileError: If the bytes are not a .tflite file.
        TargetError: If the compiler fails, takes longer than `timeout_s` seconds, or prints no table.
    """
    program = shutil.which(COMPILER, path=_path())
    if program is None:
        return None
    log, compiled = _run(program, model, timeout_s)
    rows, version = parse_log(log), _VERSION.search(log)
    return Compiled(CompilerVerdict(version[1] if version else "", rows, compare_with_lint(model, rows)), compiled)


def check_compiled(model: bytes, compiled: bytes) -> None:
    """Refuse a file that is not compiled, or was compiled from a model with other inputs or outputs.

    Raises:
        TargetError: If the file is refused.
        ModelFileError: If one of the two is not a .tflite file.
    """
    wanted, found = read_model(model), read_model(compiled)
    if CUSTOM_OPERATOR not in (operator.name for operator in found.operators):
        names = ", ".join(sorted({operator.name for operator in found.operators}))
        raise TargetError(
            f"The file was not compiled by {COMPILER}: it has no operator {CUSTOM_OPERATOR}, only {names}. Run "
            f"{COMPILER} on the bundle's model.tflite.",
            "not_compiled",
            operators=names,
        )
    for end in ("inputs", "outputs"):
        ours, theirs = (
            [(each.shape, each.type, each.scales, each.zero_points) for each in map(file.tensors.__getitem__, indices)]
            for file, indices in ((wanted, getattr(wanted, end)), (found, getattr(found, end)))
        )
        if ours != theirs:
            raise TargetError(
                f"The compiled file is of another model: its {end} are {theirs}, those of the model are {ours}. Run "
                f"{COMPILER} on the bundle's model.tflite.",
                "other_model",
                end=end,
            )


def parse_log(log: str) -> tuple[CompilerRow, ...]:
    """Return the table of a compiler's log.

    Raises:
        TargetError: If the log has no table.
    """
    head = _HEAD.search(log)
    rows = [CompilerRow(*_row(found)) for found in _ROW.finditer(log, head.end())] if head else []
    if not rows:
        last = (log.strip().splitlines() or ["nothing"])[-1]
        raise TargetError(
            f"{COMPILER} printed no table of operators. The last line of its log: {last}.", "no_table", last=last
        )
    return tuple(rows)


def compare_with_lint(model: bytes, rows: tuple[CompilerRow, ...]) -> tuple[str, ...]:
    """Return sentences about the operators that the compiler and the lint map in different numbers."""
    file = read_model(model)
    ours = Counter(operator.name for operator in file.operators[: edgetpu_mapped(file)])
    theirs: Counter[str] = Counter()
    for row in rows:
        if row.mapped:
            theirs[row.operator] += row.count
    return tuple(
        f"{name}: {COMPILER} maps {theirs[name]}, the lint {ours[name]}"
        for name in sorted(ours | theirs)
        if ours[name] != theirs[name]
    )


def _row(found: re.Match[str]) -> tuple[str, int, str]:
    return found[1], int(found[2]), found[3]


def _path() -> str:
    """Return the PATH without its relative entries, so that no program of the current folder runs."""
    return os.pathsep.join(filter(os.path.isabs, os.environ.get("PATH", os.defpath).split(os.pathsep)))


def _run(program: str, model: bytes, timeout_s: float) -> tuple[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="edgetpu-") as folder:
        source = Path(folder) / "model.tflite"
        source.write_bytes(model)
        command = [program, "-s", "-o", folder, str(source)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=timeout_s, cwd=folder
            )
        except subprocess.TimeoutExpired as exc:
            raise TargetError(
                f"{COMPILER} did not end within {timeout_s:g} s.", "compiler_timeout", timeout_s=timeout_s
            ) from exc
        except OSError as exc:
            raise TargetError(
                f"{program} cannot be run: {exc.strerror}.", "compiler_not_run", program=program, reason=exc.strerror
            ) from exc
        logs = [path.read_text(errors="replace") for path in sorted(Path(folder).glob("*.log"))]
        log = "\n".join([done.stdout, *logs])
        if done.returncode:
            said = (done.stderr or log).strip().splitlines() or ["nothing"]
            raise TargetError(
                f"{COMPILER} failed with exit code {done.returncode}: {said[-1]}.",
                "compiler_failed",
                exit_code=done.returncode,
                last=said[-1],
            )
        try:
            compiled = source.with_name("model_edgetpu.tflite").read_bytes()
        except OSError as exc:
            raise TargetError(f"{COMPILER} wrote no model_edgetpu.tflite.", "no_compiled_file") from exc
        return (done.stdout if _HEAD.search(done.stdout) else log), compiled
