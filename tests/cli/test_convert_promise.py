"""What `convert` says of the promise: with the inner folds of a search, and without."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_folds import HELD_OUT, folds_archive
from refusals import expect, failure_of

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.errors import TrainingError

Run = Callable[..., Any]


def test_a_run_of_a_search_says_what_shares_cost_and_give(run: Run, trained_run: Path, tmp_path: Path) -> None:
    searched, out = Path(shutil.copytree(trained_run, tmp_path / "run")), tmp_path / "m.drsn"
    (searched / "inner_folds.npz").write_bytes(folds_archive())
    done = run("convert", searched, "--out", out, "--max-drop", "5")
    assert done.code == 0, done.err
    promise = read_bundle(out).manifest.promise
    assert promise is not None and promise.held_out == HELD_OUT
    words = f"promise            on {HELD_OUT}, by 3 inner folds; temperature {promise.temperature:.3g}"
    assert words in done.out and "at most 5 % wrong: " in done.out and "hold-out set: " in done.out
    out.unlink()
    values = json.loads(run("convert", searched, "--out", out, "--max-drop", "5", "--json").out)
    assert values["promise"]["least_wrong"] == promise.least_wrong
    assert [each["at_most_wrong"] for each in values["promise"]["at_most_wrong"]] == [0.02, 0.05]
    rule = json.loads((searched / "config.json").read_text())["settings"]["hold_out"]
    assert values["promise"]["unpromised"] is None and rule.startswith("time=")


def test_a_run_without_a_search_says_why_nothing_is_promised(run: Run, trained_run: Path, tmp_path: Path) -> None:
    done = run("convert", trained_run, "--out", tmp_path / "m.drsn", "--max-drop", "5")
    assert done.code == 0, done.err
    assert "promise            none, so --at-most-wrong will be refused: " in done.out


def test_damaged_inner_folds_are_refused(trained_run: Path, tmp_path: Path) -> None:
    searched = Path(shutil.copytree(trained_run, tmp_path / "run"))
    (searched / "inner_folds.npz").write_bytes(b"archive")
    failure = failure_of("convert", searched, "--out", tmp_path / "m.drsn")
    expect(failure, TrainingError, "damaged", path=searched)
