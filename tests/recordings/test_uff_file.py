"""Universal files: time histories as pyuff wrote them; everything else is refused by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_files import SAMPLES, uff_bytes
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.uff_file import read_uff, roundest_rate_hz

pytest.importorskip("pyuff")


def read(path: Path, data: bytes, **values: Any) -> list[RawRecording]:
    """Write a file and read it."""
    path.write_bytes(data)
    return read_uff(path, Request(values))


@pytest.mark.parametrize("is_binary", [False, True])
def test_equals_what_was_written(tmp_path: Path, is_binary: bool) -> None:
    (raw,) = read(tmp_path / "a.uff", uff_bytes(is_binary))
    np.testing.assert_array_equal(whole(raw.samples), SAMPLES)
    assert raw.stated == {"axes": ("1X+", "1Y+"), "sample_rate_hz": 100.0, "unit": "g"}
    assert (raw.capture, raw.remarks) == (None, ())


@pytest.mark.parametrize("rate_hz", [12000, 25600, 51200, 48000, 44100, 6400, 97656.25, 1000 / 3, 12000.3])
def test_the_rate_is_the_roundest_that_the_digits_allow(rate_hz: float) -> None:
    assert roundest_rate_hz(float(f"{1 / rate_hz:.5e}")) == pytest.approx(rate_hz, rel=3e-5)
    if float(f"{rate_hz:.5g}") == rate_hz:
        assert roundest_rate_hz(float(f"{1 / rate_hz:.5e}")) == rate_hz


def test_the_same_degree_of_freedom_again_is_another_recording(tmp_path: Path) -> None:
    raws = read(tmp_path / "a.uff", uff_bytes(False) + uff_bytes(True))
    assert [(raw.capture, raw.stated["axes"]) for raw in raws] == [(0, ("1X+", "1Y+")), (1, ("1X+", "1Y+"))]
    (raw,) = read(tmp_path / "a.uff", uff_bytes(False) + uff_bytes(True), variable=["1/1X+", "4/1Y+"])
    np.testing.assert_array_equal(whole(raw.samples), SAMPLES)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"func_type": 4, "data": SAMPLES[:, 0] + 1j}, "a frequency response"),
        ({"func_type": 2}, "an auto spectrum"),
        ({"func_type": 0, "abscissa_spec_data_type": 18}, "a function of frequency"),
    ],
)
def test_spectra_are_refused_by_name(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    with refused(RecordingError, "no_axis", path=tmp_path / "a.uff") as caught:
        read(tmp_path / "a.uff", uff_bytes(False, **changed))
    assert named in str(caught.value)
    (raw,) = read(tmp_path / "a.uff", uff_bytes(False) + uff_bytes(False, **changed))
    assert named in raw.remarks[0]


def test_uneven_spacing_states_no_rate(tmp_path: Path) -> None:
    (raw,) = read(tmp_path / "a.uff", uff_bytes(False, abscissa_spacing=0))
    np.testing.assert_array_equal(whole(raw.samples), SAMPLES)
    assert "sample_rate_hz" not in raw.stated


def test_refuses_what_has_no_time_history(tmp_path: Path) -> None:
    with refused(RecordingError, "no_time_history", path=tmp_path / "a.uff"):
        read(tmp_path / "a.uff", b"    -1\n   151\nmodel\n    -1\n")
    with refused(RecordingError, "no_time_history"):
        read(tmp_path / "a.uff", b"x" * 1000)


def test_a_record_that_is_cut_off_is_left_out_and_said(tmp_path: Path) -> None:
    (raw,) = read(tmp_path / "a.uff", uff_bytes(False)[:-50])
    assert raw.stated["axes"] == ("1X+",) and "ends inside a data set" in raw.remarks[0]


def test_says_how_much_memory_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "a.uff"
    path.write_bytes(uff_bytes(False))
    needed = 20 * path.stat().st_size
    with refused(RecordingError, "needs_memory", path=path, needed_bytes=needed, limit_bytes=10_000):
        read_uff(path, Request(memory_bytes=10_000))


def test_says_how_to_get_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = uff_bytes(False)
    monkeypatch.setitem(sys.modules, "pyuff", None)
    with refused(RecordingError, "package_missing", package="pyuff", extra="formats"):
        read(tmp_path / "a.uff", data)
