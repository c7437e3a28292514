"""What no recording is, and what a file or a catalogue must not be able to do: refused at once, in few plain lines."""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_files import wav_bytes
from refusals import refused

from drsn_edge.cli.main import shown
from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recording, load_recordings, open_recordings
from drsn_edge.recordings.loading.report import Report
from drsn_edge.recordings.raw import Request
from drsn_edge.recordings.readers.registry import FORMATS

MB = 1 << 20
STRANGE = "a\x1b]0;owned\x07\n\n\u202e" + "b" * 300
"""A name that sets the title of a terminal, breaks the line and turns the direction of writing."""


def read_all(path: Path, **values: Any) -> list[np.ndarray[Any, Any]]:
    format = values.pop("format", "table")
    return [piece for raw in FORMATS[format].read(path, Request(values)) for piece in raw.samples.pieces(1 << 16)]


def message_of(read: Callable[[], Any]) -> str:
    """Return what a command prints of the RecordingError that the call must raise; fail if that is not plain."""
    with pytest.raises(RecordingError) as caught:
        read()
    text = shown(str(caught.value))
    lines = text.splitlines()
    assert caught.value.problem and len(lines) <= 3 and all(line.isprintable() for line in lines), lines
    assert len(text) < 1200, text
    return text


# --- 200 MB that are no table ------------------------------------------------------------------------------------


def bytes_read() -> int:
    with open("/proc/self/io") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("rchar:"))


NO_TABLES = {
    "zeros": b"",
    "random bytes": random.Random(1).randbytes(2 * MB),
    "one line of digits": b"7" * (2 * MB),
    "one line of numbers": b"0.25," * (MB // 2),
    "a log": b"".join(
        b"2026-01-01 12:00:00,123 INFO %s\n" % words
        for words in (b"pump 3 started", b"4 workers; bearing ok", b"stopped", b"load 0.3, 0.2, 0.1", b"pump 1 started")
    )
    * 12_000,
    "a log of one kind of line": b"2026-01-01 12:00:00,123 INFO pump 3 started with 4 workers; bearing ok\n" * 30_000,
    "a system's log": b"".join(
        b"Jan  1 12:00:%02d host kernel[%d]: usb %d-1: new device number %d\n" % (k % 60, k, k % 7, k % 100)
        for k in range(30_000)
    ),
    "a program": b"def read(path):\n    return open(path).read()\n\n" * 50_000,
    "quotes that never end": b'"x,y\n' * (MB // 2),
}


@pytest.mark.parametrize("head", NO_TABLES.values(), ids=NO_TABLES)
def test_a_large_file_that_is_no_table_is_refused_by_its_first_bytes(head: bytes, tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(head)
        file.truncate(200 * MB)
    before = bytes_read()
    message_of(lambda: read_all(tmp_path / "a.csv"))
    assert bytes_read() - before < 4 * MB


# --- names in files ----------------------------------------------------------------------------------------------


def written(save: Callable[..., None], *positional: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *positional, **named)
    return file.getvalue()


def named_table() -> bytes:
    name = STRANGE.replace("\n", " ")
    return f"{name},{name}\n".encode() + b"1,2\n3,4\n5,six\n" * 20


def named_mat() -> bytes:
    return written(pytest.importorskip("scipy.io").savemat, {"q\x1b[31m\u00ad": np.ones((3, 3))})


def named_npz() -> bytes:
    return written(np.savez, **{STRANGE: np.ones((3, 3, 3, 3)), f"{STRANGE}2": np.ones((3, 3))})


def named_hdf5() -> bytes:
    file = io.BytesIO()
    with pytest.importorskip("h5py").File(file, "w") as opened:
        for number in range(30):
            opened[f"{STRANGE}{number}"] = np.ones((30, 30))
    return file.getvalue()


def named_parquet() -> bytes:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    return written(lambda file: parquet.write_table(pyarrow.table({STRANGE: ["a"], STRANGE + "2": ["b"]}), file))


def named_tdms() -> bytes:
    nptdms, file = pytest.importorskip("nptdms"), io.BytesIO()
    with nptdms.TdmsWriter(file) as writer:
        writer.write_segment([nptdms.ChannelObject(STRANGE, f"{STRANGE}{n}", np.ones(n + 2)) for n in range(9)])
    return file.getvalue()


NAMED = {
    "table": named_table,
    "mat": named_mat,
    "npz": named_npz,
    "hdf5": named_hdf5,
    "parquet": named_parquet,
    "tdms": named_tdms,
}


@pytest.mark.parametrize("format", NAMED)
@pytest.mark.parametrize("variable", [None, STRANGE + "?"])
def test_names_in_a_file_are_shortened_and_escaped(format: str, variable: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(NAMED[format]())
    message_of(lambda: read_all(path, format=format, **({} if variable is None else {"variable": variable})))


def test_names_of_files_are_shortened_and_escaped(tmp_path: Path) -> None:
    name = STRANGE[:200]
    (tmp_path / f"{name}.wav").write_bytes(wav_bytes()[:30])
    (tmp_path / f"{name}.xyz").write_bytes(b"1")
    message_of(lambda: load_recordings(tmp_path))
    (tmp_path / f"{name}.wav").unlink()
    with pytest.raises(RecordingError) as caught:
        load_recordings(tmp_path)
    assert all(line.isprintable() for line in shown(str(caught.value)).splitlines())


def test_what_is_told_of_a_recording_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"a\u202eb\u200b{'c' * 200},y\n" + "".join(f"{k % 7},{k % 5}\n" for k in range(99)))
    (tmp_path / "catalogue.toml").write_text('[defaults]\nsample_rate_hz = 100\nunit = "g"\n')
    report = Report()
    load_recordings(tmp_path, report=report)
    assert report.lines() and all(line.isprintable() for line in report.lines())


# --- files that are no files, and files that change -------------------------------------------------------------


@pytest.mark.parametrize("suffix", sorted({each for found in FORMATS.values() for each in found.suffixes}))
def test_what_is_no_regular_file_is_refused_and_never_waited_for(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"fifo{suffix}")
    (tmp_path / f"device{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"folder{suffix}").mkdir()
    for name in ("fifo", "device", "folder"):
        message_of(partial(load_recording, tmp_path / f"{name}{suffix}"))
    with pytest.raises(RecordingError):
        load_recordings(tmp_path)


def changing(format: str) -> tuple[str, bytes, str]:
    """Return a name, a content that is too large to be kept in memory, and what a catalogue states of it."""
    axes = 'unit = "g"\naxes = ["x", "y"]\n'
    if format == "wav":
        return "a.wav", wav_bytes(20_000), f"{axes}full_scale = 2\n"
    if format == "npy":
        return "a.npy", written(np.save, np.ones((20_000, 2))), f"{axes}sample_rate_hz = 100\n"
    return "a.csv", b"x,y\n" + b"0.123456789012,-0.123456789012\n" * 300_000, f"{axes}sample_rate_hz = 100\n"


@pytest.mark.parametrize("format", ["wav", "npy", "table"])
def test_a_file_that_shrinks_or_vanishes_while_it_is_read(format: str, tmp_path: Path) -> None:
    name, content, values = changing(format)
    (tmp_path / "catalogue.toml").write_text(f"[defaults]\n{values}")
    path = tmp_path / name
    path.write_bytes(content)
    (recording,) = open_recordings([path])
    pieces = recording.pieces(1000)
    next(pieces)
    os.truncate(path, len(content) // 2 + 3)
    if format != "table":  # half a table is a table
        message_of(lambda: [len(piece) for piece in (*pieces, *recording.pieces())])
    path.unlink()
    with refused(RecordingError, "missing", path=path):
        next(iter(recording.pieces()))


# --- catalogues and sidecars ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        'dtype = "O"',
        'dtype = "V1000000000"',
        f'dtype = "{"9" * 300}"',
        'dtype = "int16"\nskip_bytes = -1',
        'dtype = "int16"\nskip_bytes = 9223372036854775807',
        'dtype = "int16"\nskip_bytes = 1e30',
        'dtype = "int16"\naxes = []',
        'dtype = "int16"\nscale = 0',
        'dtype = "int16"\nscale = inf',
        'dtype = "float64"\nscale = 1e308',
        'dtype = ["int16"]',
        "[" * 5000,
    ],
)
@pytest.mark.parametrize("where", ["a.toml", "catalogue.toml"])
def test_an_absurd_form_of_numbers_is_refused(where: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(np.full(1000, 1e300).tobytes())
    known = 'format = "binary"\nsample_rate_hz = 100\nunit = "g"\n' + ("" if "axes" in line else 'axes = ["x"]\n')
    (tmp_path / "catalogue.toml").write_text(f"[defaults]\n{known}{line if where.startswith('cat') else ''}\n")
    if where == "a.toml":
        (tmp_path / where).write_text(line + "\n")
    message_of(lambda: load_recording(tmp_path / "a.bin"))


def test_a_pattern_of_folders_that_never_ends_is_given_up(tmp_path: Path) -> None:
    folder = tmp_path / "d" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / f"{'a' * 40}!.wav").write_bytes(wav_bytes())
    for file, pattern in (("**/*.wav", "(?P<label>(a+)+)/(a|aa)+b"), ("*.wav", "(?P<label>(a+)+)b")):
        lines = (
            f'[[recordings]]\nfile = "{file}"\npattern = "{pattern}"\nfull_scale = 1\nunit = "g"\naxes = ["x", "y"]\n'
        )
        (tmp_path / "d" / "catalogue.toml").write_text(lines)
        with refused(RecordingError, "pattern_too_slow"):
            load_recordings(tmp_path / "d")


def test_a_glob_of_stars_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / f"{'a' * 200}.wav").write_bytes(wav_bytes())
    glob = "*a" * 100 + "b"
    (tmp_path / "catalogue.toml").write_text(f'[[recordings]]\nfile = ["{glob}", "**/{glob}"]\nunit = "g"\n')
    with refused(RecordingError, "incomplete"):
        load_recordings(tmp_path)


# --- many files --------------------------------------------------------------------------------------------------


def calls_for(n_files: int, folder: Path) -> int:
    """Load a folder of files with a catalogue that names each, and return the number of calls that it took."""
    folder.mkdir()
    lines = ["file,label,unit,full_scale,axes\n"]
    for number in range(n_files):
        (folder / f"{number:05}.wav").write_bytes(wav_bytes(4))
        lines.append(f"{number:05}.wav,ok,g,1,x y\n")
    (folder / "catalogue.csv").write_text("".join(lines))
    told: list[tuple[int, int]] = []
    profile = cProfile.Profile()
    profile.runcall(load_recordings, folder, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, n_files) for done in range(1, n_files + 1)]
    calls: int = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return calls


def test_the_work_grows_with_the_number_of_files_and_no_faster(tmp_path: Path) -> None:
    calls_for(10, tmp_path / "warm")
    few, many = calls_for(200, tmp_path / "few"), calls_for(800, tmp_path / "many")
    assert many < 4.5 * few


# --- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e39", "1e999"])
def test_a_number_that_is_none_is_counted_and_refused(value: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x_g\n" + "0.5\n0.25\n" * 50 + f"{value}\n" * 3)
    (tmp_path / "catalogue.toml").write_text("[defaults]\nsample_rate_hz = 100\n")
    with refused(RecordingError, "not_finite", count=3, sample=100):
        load_recording(tmp_path / "a.csv")
