"""Any damaged file gives a recording or a RecordingError, and no other error."""

from __future__ import annotations

import io
import random
import warnings
import wave
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import parse_catalogue
from drsn_edge.recordings.loading.complete import complete
from drsn_edge.recordings.raw import Request
from drsn_edge.recordings.readers.registry import FORMATS, SUFFIXES

CATALOGUE = parse_catalogue(
    """
    [defaults]
    unit = "g"
    [[recordings]]
    file = "*.wav"
    full_scale = 2
    axes = ["X", "Y"]
    [[recordings]]
    file = "*.mat"
    sample_rate_hz = 12000
    """,
    "test.toml",
)
N_MUTANTS = 400


def npz_bytes(save: Callable[..., None]) -> bytes:
    """Return an archive of two axes."""
    file = io.BytesIO()
    save(file, x=np.arange(40.0).reshape(2, 20), fs=100, axes=["X", "Y"], unit="g", label="ok", rpm=1797)
    return file.getvalue()


def wav_bytes() -> bytes:
    """Return a sound of two channels."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((2, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(range(80)))
    return file.getvalue()


def mat_bytes(do_compression: bool) -> bytes:
    """Return a file with the variables of CWRU's number 105."""
    scipy_io = pytest.importorskip("scipy.io")
    file = io.BytesIO()
    samples = np.arange(20.0)[:, np.newaxis]
    variables = {"X105_DE_time": samples, "X105_FE_time": -samples, "X105RPM": [[1797]]}
    scipy_io.savemat(file, variables, do_compression=do_compression)
    return file.getvalue()


def csv_bytes() -> bytes:
    """Return a table with time stamps."""
    return b"time_s,x_g,y_g\n" + b"".join(b"%f,%f,-1e-3\n" % (0.01 * k, 0.5 * k) for k in range(20))


class Intact(NamedTuple):
    """A file without a fault: its suffix, its bytes, and how many of its shortened forms may pass for a whole file."""

    suffix: str
    make: Callable[[], bytes]
    unnoticed_cuts: int = 0


INTACT = {
    "npz stored": Intact(".npz", lambda: npz_bytes(np.savez)),
    "npz deflated": Intact(".npz", lambda: npz_bytes(np.savez_compressed)),
    "wav": Intact(".wav", wav_bytes),
    # A .mat file does not say how many variables are to come; here they are three.
    "mat plain": Intact(".mat", lambda: mat_bytes(False), unnoticed_cuts=2),
    "mat deflated": Intact(".mat", lambda: mat_bytes(True), unnoticed_cuts=2),
    "csv": Intact(".csv", csv_bytes, unnoticed_cuts=1000),  # a shorter table is a table
}

ELSEWHERE = {".drsnlog"}
"""Formats whose damage other tests look at: tests/firmware_bridge/test_raw_log.py."""

intact_files = pytest.mark.parametrize("intact", INTACT.values(), ids=INTACT)


def is_accepted(data: bytes, suffix: str, folder: Path) -> bool:
    """Read and complete a file; any error but RecordingError fails the test."""
    path = folder / f"105{suffix}"
    path.write_bytes(data)
    try:
        for raw in FORMATS[SUFFIXES[suffix]].read(path, Request()):
            complete(raw, path, [CATALOGUE], Path("catalogue.toml"))
    except RecordingError as error:
        assert str(path) in str(error)
        return False
    return True


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
    assert {each.suffix for each in INTACT.values()} | ELSEWHERE == SUFFIXES.keys()


@intact_files
def test_truncated(intact: Intact, tmp_path: Path) -> None:
    data = intact.make()
    assert is_accepted(data, intact.suffix, tmp_path)
    accepted = [length for length in range(len(data)) if is_accepted(data[:length], intact.suffix, tmp_path)]
    assert len(accepted) <= intact.unnoticed_cuts


@intact_files
@pytest.mark.filterwarnings("ignore")
def test_mutated(intact: Intact, tmp_path: Path) -> None:
    data = intact.make()
    for seed in range(N_MUTANTS):
        is_accepted(mutant(data, random.Random(seed)), intact.suffix, tmp_path)


@intact_files
def test_noise(intact: Intact, tmp_path: Path) -> None:
    rng = random.Random(7)
    for length in (1, 4, 128, 4096):
        assert not is_accepted(rng.randbytes(length), intact.suffix, tmp_path)
        damaged = intact.make()[:4] + rng.randbytes(length)
        assert not is_accepted(damaged, intact.suffix, tmp_path) or intact.suffix == ".csv"


def test_a_flipped_bit_of_an_archive_never_passes_for_data(tmp_path: Path) -> None:
    data = npz_bytes(np.savez)
    start = data.index(b"\x93NUMPY")
    for offset in range(start, start + 128 + 40 * 8):
        flipped = bytearray(data)
        flipped[offset] ^= 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not is_accepted(bytes(flipped), ".npz", tmp_path)
