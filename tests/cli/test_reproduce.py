"""The command around a sweep whose results are all there already, and its bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusals import expect

from drsn_edge.cli.main import cli
from drsn_edge.errors import RecordingError, ReproduceError
from drsn_edge.reproduce.jobs import JobResult, Score, result_to_json
from drsn_edge.reproduce.names import SUITES
from drsn_edge.reproduce.protocols import suite_jobs


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a results file that holds every job of the suite `splits` for one seed."""
    path = tmp_path / "results.jsonl"
    outcomes = [
        JobResult(job, tuple(Score(c, 50, 0.75, 0.5) for c in job.conditions), 1.0, {})
        for job in suite_jobs("splits", 1)
    ]
    path.write_text("".join(json.dumps(result_to_json(outcome)) + "\n" for outcome in outcomes))
    return path


def test_nothing_is_left_to_run_and_the_tables_are_printed(run: Callable[..., Any], results: Path) -> None:
    before = results.read_bytes()
    page = results.parent / "ACCURACY.md"
    done = run("reproduce", "splits", "--data", "nowhere", "--results", results, "--seeds", 1, "--write", page)
    assert done.code == 0, done.err
    assert done.out.startswith("# Accuracy\n")
    assert page.read_text().strip() == done.out.strip()
    assert results.read_bytes() == before


def test_json_lists_the_outcomes(run: Callable[..., Any], results: Path) -> None:
    done = run("reproduce", "splits", "--data", "nowhere", "--results", results, "--seeds", 1, "--json")
    assert done.code == 0, done.err
    assert {line["protocol"] for line in json.loads(done.out)} == {
        "adi_speed", "adi_load", "cwru_load", "cwru_bearing",
    }  # fmt: skip


def test_a_folder_without_the_data_is_an_error(run: Callable[..., Any], tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    arguments = ("--data", tmp_path, "--results", results, "--workers", 1, "--only", "lda", "--seeds", 1)
    done = run("reproduce", "splits", *arguments)
    assert done.code == 1
    expect(done.why, RecordingError, "unreadable", path=tmp_path / "adi_mfs_mems")
    assert "Traceback" not in done.err
    assert not results.exists()


def test_a_file_of_something_else_is_an_error(run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n")
    done = run("reproduce", "paper", "--data", tmp_path, "--results", path)
    assert (done.code, path.read_text()) == (1, "buy milk\n")
    expect(done.why, ReproduceError, "not_a_result", path=path, line=1)


def test_the_command_knows_every_suite() -> None:
    """It spells them out, because importing them would load NumPy."""
    argument = next(each for each in cli.commands["reproduce"].params if each.name == "suite")
    assert argument.type.choices == SUITES  # type: ignore[attr-defined]


def test_only_nothing_is_a_usage_error(run: Callable[..., Any], tmp_path: Path) -> None:
    done = run("reproduce", "paper", "--data", tmp_path, "--results", tmp_path / "r", "--only", "adi_speed")
    assert done.code == 2
    assert "adi_speed" in done.err
