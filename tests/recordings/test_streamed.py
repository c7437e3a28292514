"""Recordings that are read piece by piece: what a piece holds, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recordings, open_recordings

STATED: dict[str, Any] = {"fs": 100, "axes": ["x", "y"], "unit": "g", "label": "ok"}


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2, 1000)).astype(np.float32)


def test_pieces_are_the_samples(tmp_path: Path, samples: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x=samples, **STATED)
    (tmp_path / "catalogue.toml").write_text('[defaults]\nscale = 0.5\naxes = ["y", "x"]\nvariable = "x"\n')
    (streamed,) = open_recordings([tmp_path])
    (loaded,) = load_recordings(tmp_path)
    pieces = list(streamed.pieces(64))
    assert max(map(len, pieces)) == 64 and pieces[0].dtype == np.float32
    assert np.array_equal(np.concatenate(pieces), 0.5 * samples[::-1].T)
    assert np.array_equal(loaded.samples, np.concatenate(pieces))
    assert np.array_equal(np.concatenate(list(loaded.pieces(64))), loaded.samples)
    assert (streamed.name, streamed.label, streamed.axes, streamed.fields) == ("a", "ok", ("y", "x"), {})
    assert streamed.n_samples == loaded.n_samples == 1000


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_values_that_are_not_finite_are_counted(tmp_path: Path, samples: np.ndarray, bad: float) -> None:
    wrong = samples.astype(np.float64)
    wrong[1, [300, 310, 900]] = bad
    np.savez(tmp_path / "a.npz", x=wrong, **STATED)
    (streamed,) = open_recordings([tmp_path])
    with refused(RecordingError, "not_finite", count=3, sample=300, axis="y", recording="a"):
        list(streamed.pieces(64))


@pytest.mark.parametrize(
    ("of_file", "of_catalogue", "axes", "columns"),
    [
        (["x", "y"], ["y"], ("y",), (1,)),
        (["X", "Y"], ["y", "x"], ("y", "x"), (1, 0)),
        (["c0", "c1"], ["x", "y"], ("x", "y"), (0, 1)),
        (["c0", "c1"], ["-", "y"], ("y",), (1,)),
        (None, ["-", "y"], ("y",), (1,)),
        (["x", "y"], ["-", "x"], ("x",), (0,)),
    ],
)
def test_axes_are_chosen_by_name_or_named_by_position(
    tmp_path: Path, of_file: list[str] | None, of_catalogue: list[str], axes: tuple[str, ...], columns: tuple[int, ...]
) -> None:
    stated = {**STATED, "axes": of_file} if of_file else {key: STATED[key] for key in ("fs", "unit")}
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 5)), **stated)
    (tmp_path / "catalogue.toml").write_text(f"[defaults]\naxes = {of_catalogue}\n")
    (streamed,) = open_recordings([tmp_path])
    assert (streamed.axes, streamed.columns) == (axes, columns)


@pytest.mark.parametrize(
    ("of_catalogue", "problem"),
    [(["x", "z"], "unknown_axes"), (["a"], "unknown_axes"), (["a", "b", "c"], "unknown_axes")],
)
def test_axes_that_do_not_fit(tmp_path: Path, of_catalogue: list[str], problem: str) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 5)), **STATED)
    (tmp_path / "catalogue.toml").write_text(f"[defaults]\naxes = {of_catalogue}\n")
    with refused(RecordingError, problem):
        next(open_recordings([tmp_path]))
