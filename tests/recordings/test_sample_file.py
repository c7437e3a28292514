"""Samples on the disk instead of in memory: the same numbers, little memory, and what a full disk does."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.loading.sample_file import SampleFile


def save(path: Path, seed: int, n: int = 3000) -> None:
    samples = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    np.save(path, samples)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "catalogue.toml").write_text('[defaults]\nsample_rate_hz = 100\nunit = "g"\naxes = ["x", "y", "z"]\n')
    return folder


def test_the_numbers_are_those_in_memory_and_nothing_is_left(folder: Path, tmp_path: Path) -> None:
    for seed in range(3):
        save(folder / f"{seed}.npy", seed, n=7 + 70000 * seed)
    out = tmp_path / "out"
    out.mkdir()
    in_memory, kept = load_recordings(folder), load_recordings(folder, kept_in=out)
    for one, other in zip(in_memory, kept, strict=True):
        assert np.array_equal(one.samples, other.samples) and one.samples.dtype == other.samples.dtype
        assert vars(one).keys() == vars(other).keys() and not other.samples.flags.writeable
        assert {key: value for key, value in vars(one).items() if key != "samples"} == {
            key: value for key, value in vars(other).items() if key != "samples"
        }
    assert not list(out.iterdir())


def test_memory_does_not_grow_with_the_recordings(folder: Path) -> None:
    for seed in range(12):
        save(folder / f"{seed}.npy", seed, n=100_000)
    tracemalloc.start()
    try:
        kept = load_recordings(folder, kept_in=folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    total = sum(each.samples.nbytes for each in kept)
    assert total == 12 * 1_200_000 and peak < 6_000_000


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full())
    with refused(RecordingError, "no_room", path=tmp_path, reason="No space left on device"), SampleFile(tmp_path) as f:
        f.write([np.zeros((2, 2), np.float32)])
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with refused(RecordingError, "no_room", path=tmp_path / "none"):
        SampleFile(tmp_path / "none")
