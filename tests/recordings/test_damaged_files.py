"""Any damaged file gives a recording or a RecordingError, and no other error."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from recording_files import SMALL_FILES, SmallFile, npz_bytes

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import parse_catalogue
from drsn_edge.recordings.loading.complete import Source, complete
from drsn_edge.recordings.raw import Request
from drsn_edge.recordings.readers.registry import FORMATS

CATALOGUE = parse_catalogue(
    """
    [defaults]
    unit = "g"
    [[recordings]]
    file = ["*.wav", "*.rf64", "*.w64"]
    full_scale = 2
    axes = ["X", "Y"]
    [[recordings]]
    file = ["*.mat", "*.npy"]
    sample_rate_hz = 12000
    [[recordings]]
    file = "*.bin"
    sample_rate_hz = 100
    axes = ["X"]
    [[recordings]]
    file = ["*.parquet", "*.pq"]
    sample_rate_hz = 100
    [[recordings]]
    file = "*.npy"
    axes = ["X", "Y"]
    """,
    "test.toml",
)
N_MUTANTS = 300
MOST_CUTS = 150


ELSEWHERE = {"drsnlog"}
"""Formats whose damage other tests look at: tests/firmware_bridge/test_raw_log.py."""

small_files = pytest.mark.parametrize("small", SMALL_FILES.values(), ids=SMALL_FILES)


def outcome(data: bytes, small: SmallFile, folder: Path) -> str:
    """Read and complete a file: "read", "remarked" or "refused"; any error but RecordingError fails the test."""
    path = folder / f"105{small.suffix}"
    path.write_bytes(data)
    remarks: list[str] = []
    try:
        for raw in FORMATS[small.format].read(path, Request(small.values)):
            source = Source(path, path.stem, ((CATALOGUE, path.name),), Path("catalogue.toml"))
            complete(raw, source).in_memory()
            remarks += raw.remarks
    except RecordingError as error:
        assert str(path) in str(error)
        return "refused"
    return "remarked" if remarks else "read"


def mutant(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut out or insert a few bytes, more often in the first part, where the headers are."""
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(rng.choice([min(200, len(mutated)), len(mutated)]))
        kind = rng.randrange(4)
        if kind == 0:
            mutated[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            mutated[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            del mutated[at : at + rng.randint(1, 8)]
        else:
            mutated[at:at] = rng.randbytes(rng.randint(1, 8))
    return bytes(mutated)


def test_every_format_is_here() -> None:
    assert {each.format for each in SMALL_FILES.values()} | ELSEWHERE == FORMATS.keys()


@small_files
def test_truncated(small: SmallFile, tmp_path: Path) -> None:
    data = small.make()
    assert outcome(data, small, tmp_path) != "refused"
    lengths = [*range(0, len(data) - 20, 1 + len(data) // MOST_CUTS), *range(len(data) - 20, len(data))]
    unnoticed = [length for length in lengths if outcome(data[:length], small, tmp_path) == "read"]
    assert len(unnoticed) <= small.unnoticed_cuts


@small_files
@pytest.mark.filterwarnings("ignore")
def test_mutated(small: SmallFile, tmp_path: Path) -> None:
    data = small.make()
    for seed in range(N_MUTANTS):
        outcome(mutant(data, random.Random(seed)), small, tmp_path)


@small_files
def test_noise(small: SmallFile, tmp_path: Path) -> None:
    rng = random.Random(7)
    for length in (1, 4, 128, 4096):
        assert outcome(rng.randbytes(length), small, tmp_path) == "refused"
        damaged = small.make()[:4] + rng.randbytes(length)
        assert outcome(damaged, small, tmp_path) == "refused" or small.format == "table"


def test_a_flipped_bit_of_an_archive_never_passes_for_data(tmp_path: Path) -> None:
    data = npz_bytes(np.savez)
    start = data.index(b"\x93NUMPY")
    for offset in range(start, start + 128 + 40 * 8):
        flipped = bytearray(data)
        flipped[offset] ^= 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert outcome(bytes(flipped), SMALL_FILES["npz stored"], tmp_path) == "refused"
