"""Edge Impulse's data acquisition format in JSON and CBOR."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording_files import AXES, SAMPLES, cbor_bytes, edge_impulse
from refusals import refused

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.raw import RawRecording, Request, whole
from drsn_edge.recordings.readers.edge_impulse_file import read_edge_impulse


def encoded(content: object, form: str) -> bytes:
    """Return a value in JSON or CBOR."""
    return json.dumps(content).encode() if form == "json" else cbor_bytes(content)


def read(path: Path, data: bytes, **values: Any) -> RawRecording:
    """Write a file and read it."""
    path.write_bytes(data)
    (raw,) = read_edge_impulse(path, Request(values))
    return raw


forms = pytest.mark.parametrize("form", ["json", "cbor"])


@forms
def test_equals_what_was_written(tmp_path: Path, form: str) -> None:
    raw = read(tmp_path / f"a.{form}", encoded(edge_impulse(interval_ms=0.3125), form))
    np.testing.assert_array_equal(whole(raw.samples), SAMPLES)
    assert raw.stated == {"axes": AXES, "sample_rate_hz": 3200.0, "unit": "g"}
    assert raw.remarks == ()


@forms
def test_one_sensor_may_have_numbers_instead_of_rows(tmp_path: Path, form: str) -> None:
    one = [{"name": "accX", "units": "m/s2"}]
    raw = read(tmp_path / f"a.{form}", encoded(edge_impulse(sensors=one, values=[1, 2.5, -3]), form))
    np.testing.assert_array_equal(whole(raw.samples), [[1], [2.5], [-3]])
    assert raw.stated["unit"] == "m/s2"


def test_other_sensors_are_left_out_and_named(tmp_path: Path) -> None:
    sensors = [{"name": "accX", "units": "m/s2"}, {"name": "gyrX", "units": "dps"}, {"name": "temp"}]
    raw = read(tmp_path / "a.json", encoded(edge_impulse(sensors=sensors, values=[[1, 2, 3], [4, 5, 6]]), "json"))
    np.testing.assert_array_equal(whole(raw.samples), [[1], [4]])
    assert "gyrX" in raw.remarks[0] and "dps" in raw.remarks[0] and "temp" in raw.remarks[1]
    raw = read(tmp_path / "a.json", (tmp_path / "a.json").read_bytes(), axes=("gyrX",))
    assert raw.stated["axes"] == ("gyrX",) and raw.stated["unit"] == "dps"


def test_the_label_in_the_name_is_a_proposal(tmp_path: Path) -> None:
    raw = read(tmp_path / "idle.3f2a.json", encoded(edge_impulse(), "json"))
    assert "label" not in raw.stated and "'idle'" in raw.remarks[0]


def test_a_stream_of_a_device_may_be_indefinite_marked_and_padded(tmp_path: Path) -> None:
    rows = b"".join(b"\x82" + b"".join(b"\xfa" + struct.pack(">f", each) for each in row) for row in SAMPLES)
    whole_list = cbor_bytes(SAMPLES.tolist())
    data = b"\xd9\xd9\xf7" + cbor_bytes(edge_impulse()).replace(whole_list, b"\x9f" + rows + b"\xff") + b"\xff" * 9
    np.testing.assert_array_equal(whole(read(tmp_path / "a.cbor", data).samples), SAMPLES)


@pytest.mark.parametrize(
    "content",
    [[], {}, {"payload": 3}, {"payload": {"values": [1]}}, {"rows": [[1, 2]]}, "text"],
)
@forms
def test_refuses_what_has_another_structure(tmp_path: Path, form: str, content: object) -> None:
    path = tmp_path / f"a.{form}"
    path.write_bytes(encoded(content, form))
    with pytest.raises(RecordingError) as caught:
        read_edge_impulse(path, Request())
    assert caught.value.problem in ("no_payload", "damaged")
    assert str(path) in str(caught.value) and str(caught.value).count("\n") < 3


@pytest.mark.parametrize(
    "changed",
    [
        {"interval_ms": 0},
        {"interval_ms": "10"},
        {"interval_ms": True},
        {"sensors": []},
        {"sensors": [{"units": "g"}]},
        {"sensors": "xyz"},
        {"values": []},
        {"values": "Ref-BINARY-i16"},
        {"values": [[1, 2], [3]]},
        {"values": [[1, 2], 3]},
        {"values": [[1, 2], [3, "4"]]},
        {"values": [[1, 2], [3, None]]},
        {"values": [[1, 2], [3, [4]]]},
        {"values": [[True, False]]},
        {"values": [[1, 2], [3, 1 << 80]]},
    ],
    ids=str,
)
@forms
def test_refuses_a_wrong_payload(tmp_path: Path, form: str, changed: dict[str, Any]) -> None:
    if form == "cbor" and "1208925819614629174706176" in str(changed):
        pytest.skip("a large number is a tag")
    path = tmp_path / f"a.{form}"
    path.write_bytes(encoded(edge_impulse(**changed), form))
    with refused(RecordingError, "damaged", path=path):
        read_edge_impulse(path, Request())


@pytest.mark.parametrize(
    "data",
    [
        b"\xa1" + cbor_bytes("payload") + b"\xd8\x1c\x81\xd8\x1d\x00" if "cbor2" in sys.modules else b"\xc1",
        b"\xc5\x82\x1a\x3b\x9a\xca\x00\x01",  # 1 * 2 ** 1000000000
        b"\xd8\x23\x6a(a+)+b(a+)",  # a regular expression
        b"\x9b\x00\x00\x00\x10\x00\x00\x00\x00",  # an array of 68 billion entries
        b"\x5b\x00\x00\x00\x10\x00\x00\x00\x00",
        b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * 100_000,
        b"{" + b'"a":{' * 100_000,
        b'{"a":' + b"1" * 10_000 + b"}",
        b"{" + bytes([0xFF]) * 100,
    ],
    ids=["itself", "power", "expression", "array", "bytes", "map", "deep", "deep json", "long number", "not text"],
)
def test_hostile_files_are_refused_at_once(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.cbor"
    path.write_bytes(data)
    with pytest.raises(RecordingError) as caught:
        read_edge_impulse(path, Request())
    assert caught.value.problem in ("damaged", "no_payload")


def test_says_how_much_memory_it_takes(tmp_path: Path) -> None:
    with refused(RecordingError, "needs_memory", limit_bytes=1000):
        (tmp_path / "a.json").write_bytes(encoded(edge_impulse(), "json"))
        read_edge_impulse(tmp_path / "a.json", Request(memory_bytes=1000))


def test_json_needs_no_package_and_cbor_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cbor_bytes(edge_impulse())
    monkeypatch.setitem(sys.modules, "cbor2", None)
    assert read(tmp_path / "a.json", encoded(edge_impulse(), "json")).samples.n_channels == 2
    with refused(RecordingError, "package_missing", package="cbor2", extra="formats"):
        read(tmp_path / "a.cbor", data)


def test_a_folder_is_searched_for_json_files_of_this_format_alone(tmp_path: Path) -> None:
    (tmp_path / "idle.1.json").write_bytes(encoded(edge_impulse(), "json"))
    (tmp_path / "notes.json").write_text('{"dtype": "int16"}')
    (tmp_path / "empty.json").touch()
    (recording,) = load_recordings(tmp_path)
    assert recording.name == "idle.1" and recording.axes == AXES
