from __future__ import annotations

from pathlib import Path

import pytest
from refusals import refused

from drsn_edge.errors import OutputError, ReproduceError
from drsn_edge.support.results_file import append_line, drop_cut_line, read_lines


def refusal(number: int, exc: Exception) -> ReproduceError:
    return ReproduceError(str(exc), "not_a_result", line=number)


def read(path: Path) -> list[int]:
    return read_lines(path, lambda values: int(values["n"]), refusal)


def test_what_was_cut_does_not_count_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    drop_cut_line(path)
    assert read(path) == [] and not path.exists()
    append_line(path, '{"n": 1}')
    path.write_text(path.read_text() + '{"n"')
    assert read(path) == [1]
    drop_cut_line(path)
    append_line(path, '{"n": 2}')
    assert read(path) == [1, 2]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"n": "x"}', "null"])
def test_another_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "r").write_text(f'{{"n": 1}}\n{line}\n')
    with refused(ReproduceError, "not_a_result", line=2):
        read(tmp_path / "r")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with refused(OutputError, "cannot_write", path=tmp_path / "no" / "r"):
        append_line(tmp_path / "no" / "r", "{}")
