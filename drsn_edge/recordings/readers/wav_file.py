"""Sound files (.wav): PCM of 8, 16, 24 or 32 bits, or floating point; each sound channel is an axis.

Sound files have no unit. A catalogue states the value at full scale (1.0 in a floating-point file): `full_scale`, in
`unit`. A floating-point file that already holds values in that unit needs `full_scale = 1`.
"""

from __future__ import annotations

import importlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import checked
from drsn_edge.recordings.raw import RawRecording, Request, Whole, file_bytes, reading, real_numbers
from drsn_edge.support.extras import pip_line


def read_wav(path: Path, request: Request) -> list[RawRecording]:
    """Read the one recording of a .wav file, as fractions of full scale.

    Raises:
        RecordingError: If SciPy is not installed, or the sound file is incomplete or damaged.
    """
    data = file_bytes(path)
    wavfile = _import_wavfile(path)
    with reading(path, "a complete WAV file (PCM or floating point)"), warnings.catch_warnings():
        # SciPy only warns about a truncated file. Its warning about remarks of other software is harmless.
        warnings.simplefilter("error", wavfile.WavFileWarning)
        warnings.filterwarnings("ignore", message=r"Chunk \(non-data\) not understood")
        rate, samples = wavfile.read(io.BytesIO(data))
    channels = real_numbers(samples if samples.ndim == 2 else samples[:, None], path, "the sound")
    sample_rate_hz = checked("sample_rate_hz", int(rate), str(path))
    return [
        RawRecording(Whole(_fraction_of_full_scale(channels)), {"sample_rate_hz": sample_rate_hz}, is_relative=True)
    ]


def _import_wavfile(path: Path) -> Any:
    """Import SciPy's reader here, because a gateway has no SciPy."""
    try:
        return importlib.import_module("scipy.io.wavfile")
    except ImportError as exc:
        words = f"{path} cannot be read: sound files need SciPy, which is not installed. Type: {pip_line('train')}"
        raise RecordingError(words, "package_missing", path=path, package="scipy", extra="train") from exc


def _fraction_of_full_scale(pcm: NDArray[Any]) -> NDArray[np.float64]:
    """Map integers to [-1, 1). PCM of 8 bits has an offset of 128; SciPy left-aligns 24 bits in 32."""
    if pcm.dtype.kind == "f":
        return pcm.astype(np.float64)
    half_range = 2.0 ** (8 * pcm.dtype.itemsize - 1)
    return pcm / half_range - (1.0 if pcm.dtype.kind == "u" else 0.0)
