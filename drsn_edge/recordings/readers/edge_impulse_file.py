"""Edge Impulse's data acquisition format (.json, .cbor): each sensor in a unit of acceleration is an axis.

A file holds `protected`, `signature` and `payload` with `interval_ms`, `sensors` (name, units) and `values`. The
signature is not checked.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.raw import RawRecording, Request, Whole, check_memory, file_bytes, file_size, opened, reading
from drsn_edge.recordings.readers.channels import Channel, choose_channels, named, unit_of, why_no_axis
from drsn_edge.recordings.readers.packages import package_for
from drsn_edge.support.wording import counted
from firmware_bridge.tables.names import Name

_KIND = "Edge Impulse's data acquisition format"
_SWELLING = 30
"""A digit and a comma become a pointer of 8 bytes and a number of up to 32."""
_MOST_SENSORS = 1000
_LOOKED_AT = 4096
_HEAD_BYTES = 4096
_LABEL = re.compile(r"(?P<label>[^.]{1,60})\..+\.(json|cbor)", re.IGNORECASE)


def read_edge_impulse(path: Path, request: Request) -> list[RawRecording]:
    """Read the one recording of a file in Edge Impulse's data acquisition format.

    Raises:
        RecordingError: If the file has another structure, takes too much memory, or needs cbor2, which is missing.
    """
    with opened(path) as file:
        check_memory(path, _SWELLING * file_size(file), request.memory_bytes)
    data = file_bytes(path)
    with reading(path, _KIND):
        content = _from_json(data) if data.lstrip()[:1] == b"{" else _from_cbor(data, path)
    payload = content.get("payload") if isinstance(content, dict) else None
    if not isinstance(payload, dict) or not {"interval_ms", "sensors", "values"} <= payload.keys():
        words = f"{path} is not in {_KIND}: it has no payload with interval_ms, sensors and values."
        raise RecordingError(words, "no_payload", path=path)
    with reading(path, _KIND):
        names, interval_ms = _sensors(payload)
        table = _table(payload["values"], len(names))
    rate = float(f"{1000 / interval_ms:.9g}")
    channels = [_channel(number, name, table[:, number], rate) for number, name in enumerate(names)]
    chosen = choose_channels(channels, request.values, path)
    columns = table[:, [each.number for each in chosen.channels]]
    return [RawRecording(Whole(columns), chosen.stated, remarks=(*chosen.remarks, *_label_remark(path)))]


def is_edge_impulse(path: Path) -> bool:
    """Tell whether a .json file begins as one in this format; other .json files lie beside recordings."""
    try:
        with opened(path) as file:
            head = file.read(_HEAD_BYTES)
    except RecordingError:
        return False
    return head.lstrip()[:1] == b"{" and b'"protected"' in head and b'"signature"' in head


def _from_json(data: bytes) -> Any:
    return json.loads(data.decode("utf-8-sig"))


# --- CBOR --------------------------------------------------------------------------------------------------------

_SELF_DESCRIBED = b"\xd9\xd9\xf7"
_PLAIN = re.compile(
    rb"(?:[\x00-\x17\x20-\x37\x80-\x97\x9f\xa0-\xb7\xbf\xf4-\xf7\xff]|[\x18\x38\x98\xb8\xf8].|[\x19\x39\xf9]..|"
    rb"[\x1a\x3a\xfa].{4}|[\x1b\x3b\xfb].{8}){1,4096}",
    re.DOTALL,
)
"""Numbers, and the heads of arrays and maps that state fewer than 256 entries."""


def _from_cbor(data: bytes, path: Path) -> Any:
    cbor2 = package_for(path, "CBOR files", "cbor2", "cbor2")
    plain = data.removeprefix(_SELF_DESCRIBED)
    _check_cbor(plain)
    return cbor2.load(io.BytesIO(plain))


def _check_cbor(data: bytes) -> None:
    """Refuse what a recording has no use for, before anything is built from it.

    A tag would make the decoder build dates, large numbers, regular expressions or values that contain themselves. A
    stated length beyond the file would make it ask for that much memory.

    Raises:
        ValueError: If there is a tag, or a length that is longer than the file.
    """
    at = 0
    while at < len(data):
        if found := _PLAIN.match(data, at):
            at = found.end()
            continue
        kind, more = divmod(data[at], 32)
        if kind == 6:
            raise ValueError(f"byte {at} begins a tag")
        if kind in (2, 3, 4, 5) and more < 28:
            size = 0 if more < 24 else 1 << (more - 24)
            length = more if not size else int.from_bytes(data[at + 1 : at + 1 + size], "big")
            if length > len(data):
                raise ValueError(f"byte {at} states a length of {length}, beyond the end")
            at += 1 + size + (length if kind in (2, 3) else 0)
        else:
            at += 1


# --- payload -----------------------------------------------------------------------------------------------------


def _sensors(payload: dict[str, Any]) -> tuple[list[Name], float]:
    """Return names and units of the sensors, and the interval of samples in ms."""
    sensors, interval_ms = payload["sensors"], payload["interval_ms"]
    if not isinstance(sensors, list) or not 0 < len(sensors) <= _MOST_SENSORS:
        raise ValueError("sensors is no list of sensors")
    if not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in sensors):
        raise ValueError("a sensor has no name")
    if isinstance(interval_ms, bool) or not isinstance(interval_ms, int | float) or not 0 < interval_ms < 1e12:
        raise ValueError("interval_ms is no number above 0")
    return [named(each["name"], each.get("units")) for each in sensors], float(interval_ms)


def _channel(number: int, name: Name, values: NDArray[np.float64], rate_hz: float) -> Channel:
    why_not = why_no_axis(name, values[:_LOOKED_AT])
    return Channel(number, name.text, name.text, unit_of(name.unit), len(values), rate_hz, why_not)


def _table(values: object, n_sensors: int) -> NDArray[np.float64]:
    """Return shape (n_samples, n_sensors), from rows of numbers, or from numbers alone where there is one sensor."""
    if not isinstance(values, list) or not values:
        raise ValueError("values is no list of samples")
    rows = values if isinstance(values[0], list) else [[value] for value in values]
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != n_sensors:
            got = counted(len(row), "number") if isinstance(row, list) else "no row"
            raise ValueError(f"sample {number} has {got}, {counted(n_sensors, 'sensor')} are stated")
    table = np.array(rows)
    if table.ndim != 2 or table.dtype.kind not in "iuf":
        raise ValueError("values holds something other than numbers")
    return table.astype(np.float64)


def _label_remark(path: Path) -> tuple[str, ...]:
    """Return a remark on the label in the file's name, by which Edge Impulse's own tools label files."""
    found = _LABEL.fullmatch(path.name)
    if not found:
        return ()
    return (f"The name says the label {found['label']!r} by Edge Impulse's convention; state it in the catalogue.",)
