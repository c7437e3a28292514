"""Sound files: every sample format means the same acceleration."""

from __future__ import annotations

import re
import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recording
from drsn_edge.recordings.recording import Recording

CATALOGUE = '[defaults]\nunit = "g"\naxes = ["X", "Y"]\nfull_scale = 16.0\n'
QUARTERS = np.array([[-1.0, 0.5], [0.25, -0.75], [0.0, 0.75]])


def write_pcm(path: Path, fractions: np.ndarray, width: int, rate: int = 8000) -> Path:
    """Write fractions of full scale, shape (n, channels), as PCM of `width` bytes."""
    offset = 128 if width == 1 else 0
    integers = (fractions * 2 ** (8 * width - 1)).astype(np.int64).ravel() + offset
    with wave.open(str(path), "wb") as file:
        file.setparams((fractions.shape[1], width, rate, 0, "NONE", ""))
        file.writeframes(b"".join(int(value).to_bytes(width, "little", signed=width > 1) for value in integers))
    return path


def write_float(path: Path, fractions: np.ndarray, dtype: str) -> Path:
    """Write fractions of full scale in format 3 (IEEE floating point)."""
    data = fractions.astype(dtype).tobytes()
    width = np.dtype(dtype).itemsize
    channels = fractions.shape[1]
    layout = struct.pack("<HHIIHH", 3, channels, 8000, 8000 * channels * width, channels * width, 8 * width)
    body = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def load(path: Path, catalogue: str = CATALOGUE) -> Recording:
    """Load a file with this catalogue beside it."""
    (path.parent / "catalogue.toml").write_text(catalogue)
    return load_recording(path)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_pcm(tmp_path: Path, width: int) -> None:
    recording = load(write_pcm(tmp_path / "a.wav", QUARTERS, width))
    np.testing.assert_array_equal(recording.samples, 16 * QUARTERS)
    assert (recording.sample_rate_hz, recording.axes, recording.unit) == (8000.0, ("X", "Y"), "g")


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_floating_point(tmp_path: Path, dtype: str) -> None:
    np.testing.assert_array_equal(load(write_float(tmp_path / "a.wav", QUARTERS, dtype)).samples, 16 * QUARTERS)


def test_one_channel(tmp_path: Path) -> None:
    path = write_pcm(tmp_path / "a.wav", QUARTERS[:, :1], 2)
    recording = load(path, CATALOGUE.replace('"X", "Y"', '"X"'))
    np.testing.assert_array_equal(recording.samples, 16 * QUARTERS[:, :1])


def test_remarks_of_other_software_do_no_harm(tmp_path: Path) -> None:
    path = write_pcm(tmp_path / "a.wav", QUARTERS, 2)
    data = path.read_bytes() + b"note" + struct.pack("<I", 4) + b"hum!"
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    assert load(path).samples.shape == (3, 2)


def test_full_scale_is_never_guessed(tmp_path: Path) -> None:
    path = write_pcm(tmp_path / "a.wav", QUARTERS, 2)
    with refused(RecordingError, "incomplete", path=path, missing=("axes", "unit", "full_scale")) as caught:
        load(path, "")
    assert "\nfull_scale = 0" in str(caught.value)
    for wrong, got in (("0", "0"), ("-1", "-1"), ("nan", "nan"), ('"16"', "'16'")):
        with refused(RecordingError, "wrong_value", key="full_scale", got=got):
            load(path, CATALOGUE.replace("16.0", wrong))


def test_rate_of_the_catalogue_must_agree(tmp_path: Path) -> None:
    path = write_pcm(tmp_path / "a.wav", QUARTERS, 2)
    with refused(RecordingError, "contradiction", path=path, key="sample_rate_hz", file=8000.0, catalogue=44100.0):
        load(path, CATALOGUE + "sample_rate_hz = 44100\n")


def test_refuses_no_samples_and_no_rate(tmp_path: Path) -> None:
    with refused(RecordingError, "no_samples", path=tmp_path / "a.wav"):
        load(write_pcm(tmp_path / "a.wav", QUARTERS[:0], 2))
    path = write_pcm(tmp_path / "b.wav", QUARTERS, 2)
    path.write_bytes(path.read_bytes()[:24] + bytes(8) + path.read_bytes()[32:])
    with refused(RecordingError, "wrong_value", place=path, key="sample_rate_hz", got="0"):
        load(path)


def test_refuses_a_truncated_file(tmp_path: Path) -> None:
    path = write_pcm(tmp_path / "a.wav", np.zeros((100, 2)), 2)
    path.write_bytes(path.read_bytes()[:-8])
    with refused(RecordingError, "damaged", path=path, expected="a complete WAV file (PCM or floating point)"):
        load(path)


def test_says_how_to_get_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io.wavfile", None)
    path = write_pcm(tmp_path / "a.wav", QUARTERS, 2)
    with refused(RecordingError, "package_missing", path=path, package="scipy", extra="train") as caught:
        load(path)
    assert re.search(r"pip install .*\[train\]'", str(caught.value))
