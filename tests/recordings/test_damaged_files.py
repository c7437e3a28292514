"""Whatever happened to a file, the reader answers with a recording or with a RecordingError."""

from __future__ import annotations

import io
import random
import warnings
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.catalogue import parse_catalogue
from drsn_edge.recordings.loading.complete import complete
from drsn_edge.recordings.readers.registry import READERS

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

# A shorter table is a table, and a .mat file does not say how many of its variables (here three) are to come.
UNNOTICED_CUTS = {".npz": 0, ".wav": 0, ".mat": 2, ".csv": 1000}


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


INTACT: dict[str, tuple[str, Callable[[], bytes]]] = {
    "npz stored": (".npz", lambda: npz_bytes(np.savez)),
    "npz deflated": (".npz", lambda: npz_bytes(np.savez_compressed)),
    "wav": (".wav", wav_bytes),
    "mat plain": (".mat", lambda: mat_bytes(False)),
    "mat deflated": (".mat", lambda: mat_bytes(True)),
    "csv": (".csv", csv_bytes),
}

intact_files = pytest.mark.parametrize(("suffix", "make"), INTACT.values(), ids=INTACT)


def is_accepted(data: bytes, suffix: str) -> bool:
    """Read and complete a file; any error but RecordingError fails the test."""
    path = Path(f"105{suffix}")
    try:
        for raw in READERS[suffix](data, path):
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


@intact_files
def test_truncated(suffix: str, make: Callable[[], bytes]) -> None:
    data = make()
    assert is_accepted(data, suffix)
    accepted = [length for length in range(len(data)) if is_accepted(data[:length], suffix)]
    assert len(accepted) <= UNNOTICED_CUTS[suffix]


@intact_files
@pytest.mark.filterwarnings("ignore")
def test_mutated(suffix: str, make: Callable[[], bytes]) -> None:
    data = make()
    for seed in range(N_MUTANTS):
        is_accepted(mutant(data, random.Random(seed)), suffix)


@intact_files
def test_noise(suffix: str, make: Callable[[], bytes]) -> None:
    rng = random.Random(7)
    for length in (1, 4, 128, 4096):
        assert not is_accepted(rng.randbytes(length), suffix)
        assert not is_accepted(make()[:4] + rng.randbytes(length), suffix) or suffix == ".csv"


def test_a_flipped_bit_of_an_archive_never_passes_for_data() -> None:
    data = npz_bytes(np.savez)
    start = data.index(b"\x93NUMPY")
    for offset in range(start, start + 128 + 40 * 8):
        flipped = bytearray(data)
        flipped[offset] ^= 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not is_accepted(bytes(flipped), ".npz")
