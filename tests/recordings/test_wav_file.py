"""Sound files: every sample format means the same acceleration."""

from __future__ import annotations

import struct
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recording_files import rf64_bytes, w64_bytes, wav_bytes
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recording
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.wav_file import read_wav
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
    assert ", full_scale = 0 " in str(caught.value)
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


def riff(layout: bytes, samples: bytes, size: int | None = None, behind: bytes = b"", order: str = "<") -> bytes:
    """Return a file with this chunk `fmt`, and a chunk `data` that states a size of its own if one is given."""
    stated = len(samples) if size is None else size
    body = b"WAVEfmt " + struct.pack(order + "I", len(layout)) + layout + b"data" + struct.pack(order + "I", stated)
    body += samples + behind
    return (b"RIFF" if order == "<" else b"RIFX") + struct.pack(order + "I", len(body) % (1 << 32)) + body


def layout(kind: int, width: int, bits: int | None = None, more: bytes = b"", order: str = "<") -> bytes:
    """Return what `fmt` states for two channels at 8000 Hz."""
    return struct.pack(order + "HHIIHH", kind, 2, 8000, 16000 * width, 2 * width, bits or 8 * width) + more


PCM_16 = layout(1, 2)
SAMPLES = (QUARTERS * 2**15).astype("<i2").tobytes()


def read(path: Path, data: bytes) -> RawRecording:
    """Write a file and read it alone."""
    path.write_bytes(data)
    (raw,) = read_wav(path, Request())
    return raw


@pytest.mark.parametrize("size", [0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF4, 0])
def test_reads_to_the_end_where_the_header_states_no_length(tmp_path: Path, size: int) -> None:
    raw = read(tmp_path / "a.wav", riff(PCM_16, SAMPLES, size))
    np.testing.assert_array_equal(whole(raw.samples), QUARTERS)
    assert raw.samples.n_samples == 3
    assert len(raw.remarks) == 1 and "the 3 samples up to the end" in raw.remarks[0]


def test_reads_what_is_left_of_a_file_that_was_cut_off_and_says_so(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.wav", riff(PCM_16, SAMPLES)[:-5])
    np.testing.assert_array_equal(whole(raw.samples), QUARTERS[:1])
    assert "12 bytes" in raw.remarks[0] and "the 1 sample up to the end" in raw.remarks[0]


def test_a_length_of_0_is_believed_where_other_chunks_follow(tmp_path: Path) -> None:
    note = b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert read(tmp_path / "a.wav", riff(PCM_16, b"", 0, note)).samples.n_samples == 0
    with refused(RecordingError, "no_samples", path=tmp_path / "b.wav"):
        (tmp_path / "b.wav").write_bytes(riff(PCM_16, b""))
        load(tmp_path / "b.wav")


@pytest.mark.parametrize("pad", [b"", b"\0", b"x"])
def test_chunks_of_odd_size_in_front_with_and_without_padding(tmp_path: Path, pad: bytes) -> None:
    data = riff(PCM_16, SAMPLES)
    note = b"LIST" + struct.pack("<I", 5) + b"INFO!" + pad
    raw = read(tmp_path / "a.wav", data[:12] + note + data[12:])
    np.testing.assert_array_equal(whole(raw.samples), QUARTERS)
    assert raw.remarks == ()


def test_chunks_behind_the_samples_are_not_samples(tmp_path: Path) -> None:
    for name in (b"LIST", b"bext", b"cue ", b"JUNK", b"id3 "):
        raw = read(tmp_path / "a.wav", riff(PCM_16, SAMPLES, behind=name + struct.pack("<I", 8) + bytes(8)))
        assert (raw.samples.n_samples, raw.remarks) == (3, ())


def test_half_a_sample_at_the_end_is_left_out_and_said(tmp_path: Path) -> None:
    raw = read(tmp_path / "a.wav", riff(PCM_16, SAMPLES + b"\1"))
    np.testing.assert_array_equal(whole(raw.samples), QUARTERS)
    assert "1 byte " in raw.remarks[0]


@pytest.mark.parametrize("make", [rf64_bytes, w64_bytes])
def test_the_forms_for_large_files_hold_the_same_samples(tmp_path: Path, make: Callable[[], bytes]) -> None:
    expected = whole(read(tmp_path / "a.wav", wav_bytes()).samples)
    raw = read(tmp_path / "b.wav", make())
    np.testing.assert_array_equal(whole(raw.samples), expected)
    assert raw.remarks == () and raw.stated["sample_rate_hz"] == 8000


def test_big_endian(tmp_path: Path) -> None:
    samples = (QUARTERS * 2**15).astype(">i2").tobytes()
    raw = read(tmp_path / "a.wav", riff(layout(1, 2, order=">"), samples, order=">"))
    np.testing.assert_array_equal(whole(raw.samples), QUARTERS)
    three = b"".join(struct.pack(">i", int(each * 2**31))[:3] for each in QUARTERS.ravel())
    raw = read(tmp_path / "c.wav", riff(layout(1, 3, order=">"), three, order=">"))
    np.testing.assert_array_equal(whole(raw.samples), QUARTERS)


@pytest.mark.parametrize(("kind", "width", "valid"), [(1, 3, 24), (1, 3, 20), (1, 4, 24), (1, 2, 12), (3, 4, 32)])
def test_extensible_with_fewer_valid_bits_than_stored_ones(tmp_path: Path, kind: int, width: int, valid: int) -> None:
    guid = struct.pack("<H", kind) + bytes.fromhex("000000001000800000aa00389b71")
    more = struct.pack("<HHI", 22, valid, 3) + guid
    path = (
        write_float(tmp_path / "f.wav", QUARTERS, "<f4")
        if kind == 3
        else write_pcm(tmp_path / "f.wav", QUARTERS, width)
    )
    data = riff(layout(0xFFFE, width, 8 * width, more), path.read_bytes()[44:])
    np.testing.assert_array_equal(whole(read(tmp_path / "a.wav", data).samples), QUARTERS)


@pytest.mark.parametrize("number", [2, 6, 7, 0x11, 0x55, 0x1234])
def test_compressed_sound_is_refused_by_name_with_what_to_type(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a b.wav"
    path.write_bytes(riff(layout(number, 1), SAMPLES))
    with refused(RecordingError, "compressed_sound", path=path, number=number) as caught:
        load(path)
    assert f"ffmpeg -i '{path}' -c:a pcm_s16le '{tmp_path}/a b_pcm.wav'" in str(caught.value)
    assert str(caught.value).count("\n") < 3


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF\0\0\0\0AVI LIST",
        riff(PCM_16[:14], SAMPLES),
        riff(layout(1, 5), SAMPLES),
        riff(layout(3, 2), SAMPLES),
        riff(layout(0xFFFE, 2), SAMPLES),
        riff(struct.pack("<HHIIHH", 1, 0, 8000, 0, 0, 16), SAMPLES),
        riff(struct.pack("<HHIIHH", 1, 2, 8000, 0, 7, 16), SAMPLES),
        riff(PCM_16, SAMPLES)[:36],
        b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 11000 + riff(PCM_16, SAMPLES)[12:],
    ],
    ids=[
        "other",
        "short",
        "40 bits",
        "half float",
        "short extensible",
        "no channel",
        "block",
        "no data",
        "many chunks",
    ],
)
def test_refuses_what_is_no_plain_sound(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with refused(RecordingError, "damaged", path=path):
        read_wav(path, Request())


def test_reads_in_pieces_and_from_the_start_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    raw = read(path, wav_bytes(100))
    pieces = list(raw.samples.pieces(30))
    assert [len(piece) for piece in pieces] == [30, 30, 30, 10]
    np.testing.assert_array_equal(np.concatenate(pieces), whole(raw.samples))
    path.write_bytes(path.read_bytes()[:-8])
    with refused(RecordingError, "became_shorter", path=path):
        list(raw.samples.pieces(30))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "float32", "float64"])
def test_equals_scipy_in_every_sample(tmp_path: Path, dtype: str) -> None:
    wavfile = pytest.importorskip("scipy.io.wavfile")
    rng = np.random.default_rng(3)
    values = rng.integers(-100, 100, (500, 2)) if dtype != "uint8" else rng.integers(0, 256, (500, 2))
    wavfile.write(tmp_path / "a.wav", 12800, values.astype(dtype))
    rate, expected = wavfile.read(tmp_path / "a.wav")
    raw = read(tmp_path / "a.wav", (tmp_path / "a.wav").read_bytes())
    half_range = {"u": 128, "i": 2.0 ** (8 * expected.dtype.itemsize - 1), "f": 1}[expected.dtype.kind]
    np.testing.assert_array_equal(whole(raw.samples), expected / half_range - (expected.dtype.kind == "u"))
    assert raw.stated["sample_rate_hz"] == rate


def test_needs_numpy_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io.wavfile", None)
    assert load(write_pcm(tmp_path / "a.wav", QUARTERS, 3)).samples.shape == (3, 2)
