"""The compiler's log, and a compiler of our own on the PATH."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from quantize.errors import ModelFileError, TargetError
from quantize.targets.edgetpu_compiler import CompilerRow, compile_model, parse_log
from quantize.tflite.file import read_model

LOG = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 96 ms.

Input model: model.tflite
Input size: 24.07KiB
Output model: model_edgetpu.tflite
Output size: 80.71KiB
On-chip memory used for caching model parameters: 37.25KiB
On-chip memory remaining for caching model parameters: 7.84MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 21
Operation log: model_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will instead
run on the CPU, which is slower.
Number of operations that will run on Edge TPU: 18
Number of operations that will run on CPU: 3

Operator                       Count      Status

CONV_2D                        17         Mapped to Edge TPU
CONV_2D                        1          More than one subgraph is not supported
MEAN                           1          Mapped to Edge TPU
QUANTIZE                       1          Operation is otherwise supported, but not mapped due to some unspecified limitation
ABS                            1          Operation not supported
Compilation child process completed within timeout period.
Compilation succeeded!
"""  # noqa: E501


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script named like the compiler on the PATH, in front of everything else."""

    def install(script: str) -> None:
        program = tmp_path / "edgetpu_compiler"
        program.write_text(f"#!/bin/sh\necho compiled > model_edgetpu.tflite\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def table(rows: dict[str, int]) -> str:
    lines = "".join(f"{name:31}{count:<11}Mapped to Edge TPU\n" for name, count in rows.items())
    return f"Edge TPU Compiler version 16.0\n\nOperator                       Count      Status\n\n{lines}"


def counts(data: bytes) -> dict[str, int]:
    names = [operator.name for operator in read_model(data).operators]
    return {name: names.count(name) for name in names}


def test_the_table_of_a_log() -> None:
    rows = parse_log(LOG)
    assert rows[0] == CompilerRow("CONV_2D", 17, "Mapped to Edge TPU")
    assert [row.mapped for row in rows] == [True, False, True, False, False]
    assert [(row.operator, row.count) for row in rows[3:]] == [("QUANTIZE", 1), ("ABS", 1)]


@pytest.mark.parametrize(
    ("log", "last"),
    [
        ("", "nothing"),
        ("Internal compiler error. Aborting!", "Internal compiler error. Aborting!"),
        (LOG[: LOG.index("CONV_2D")], "Operator                       Count      Status"),
    ],
)
def test_a_log_without_a_table_is_refused(log: str, last: str) -> None:
    with refused(TargetError, "no_table", last=last):
        parse_log(log)


def test_without_a_compiler_there_is_no_verdict(int8_edgetpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert compile_model(int8_edgetpu.data) is None


def test_a_compiler_that_agrees(int8_edgetpu: Any, compiler: Any, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(table(counts(int8_edgetpu.data)))
    compiler(f'test -s "$4" && cat {tmp_path}/log')
    compiled = compile_model(int8_edgetpu.data)
    assert compiled is not None and compiled.model == b"compiled\n"
    assert (compiled.verdict.version, compiled.verdict.differences) == ("16.0", ())


def test_a_compiler_that_writes_its_table_to_a_log_file(int8_edgetpu: Any, compiler: Any, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(table(counts(int8_edgetpu.data)))
    compiler(f'cat {tmp_path}/log > "$3/model_edgetpu.log"')
    compiled = compile_model(int8_edgetpu.data)
    assert compiled is not None and compiled.verdict.differences == ()


def test_where_they_disagree_is_said(int8_edgetpu: Any, compiler: Any, tmp_path: Path) -> None:
    rows = counts(int8_edgetpu.data)
    (tmp_path / "log").write_text(table({**rows, "MEAN": rows["MEAN"] - 1}))
    compiler(f"cat {tmp_path}/log")
    compiled = compile_model(int8_edgetpu.data)
    assert compiled is not None
    assert compiled.verdict.differences == (f"MEAN: edgetpu_compiler maps {rows['MEAN'] - 1}, the lint {rows['MEAN']}",)


@pytest.mark.parametrize(
    ("script", "problem", "facts"),
    [
        ("sleep 5", "compiler_timeout", {"timeout_s": 0.2}),
        ("echo Invalid model >&2; exit 1", "compiler_failed", {"exit_code": 1, "last": "Invalid model"}),
        ("true", "no_table", {"last": "nothing"}),
        ("rm model_edgetpu.tflite", "no_compiled_file", {}),
    ],
)
def test_a_compiler_that_goes_wrong_is_one_error(
    int8_edgetpu: Any, compiler: Any, script: str, problem: str, facts: dict[str, Any]
) -> None:
    compiler(f"exec {script}" if script.startswith("sleep") else script)
    with refused(TargetError, problem, **facts):
        compile_model(int8_edgetpu.data, timeout_s=0.2 if script.startswith("sleep") else 10)


def test_the_compiler_is_asked_about_models_only(compiler: Any, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    compiler(f"cat {tmp_path}/log")
    with pytest.raises(ModelFileError):
        compile_model(b"garbage")
