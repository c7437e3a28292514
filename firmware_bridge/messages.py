"""Messages: what the payload of each frame means. Values in, payload bytes out, and back; no state."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import ProtocolError
from firmware_bridge.frames import MAX_PAYLOAD, Frame

PROTOCOL_VERSION = 1

_U32 = 0xFFFF_FFFF


class MessageType(IntEnum):
    """Frame types. Those of the host have the high bit set, so that an echo is never taken for an answer."""

    HELLO = 0x01
    SAMPLES = 0x02
    STATUS = 0x03
    COMMAND = 0x81


class Opcode(IntEnum):
    """What a COMMAND asks of the device; each may be repeated without harm."""

    IDENTIFY = 0x01
    START = 0x02
    STOP = 0x03


class DeviceState(IntEnum):
    """What a device does. ENDED: it has sent everything that it will ever have (a replay, a simulation)."""

    IDLE = 0
    STREAMING = 1
    ENDED = 2


class Encoding(IntEnum):
    """How SAMPLES packs its samples. INT16: little-endian, all axes of a sample side by side."""

    INT16 = 0


@dataclass(frozen=True)
class Hello:
    """What a device says about itself.

    Attributes:
        session: Random number, drawn at power-up and again at each STOP. Within a session the samples follow
            each other without a pause, and `samples_produced` and `device_time_us` count from 0.
        axes: Names of the axes, in the order in which they come.
        unit: Unit of `counts * scale`.
        scale: Unit per count, > 0.
        full_scale: Largest magnitude that the sensor measures, in `unit`, > 0.
        sample_rate_hz: Nominal; the true rate is off by up to a few percent, see `clock.ClockFit`.
        samples_produced: Samples that the device had produced when it said this; the next one has this index.
        device_time_us: Device time when it said this, in microseconds.

    Two are equal if they describe the same device in the same session, whenever they were said.

    Raises:
        ProtocolError: If a value cannot be: an empty or unprintable text, a number that is not > 0, a repeated axis.
    """

    session: int
    device_id: str
    firmware_version: str
    sensor_model: str
    axes: tuple[str, ...]
    unit: str
    scale: float
    full_scale: float
    sample_rate_hz: float
    samples_produced: int = field(default=0, compare=False)
    device_time_us: int = field(default=0, compare=False)
    protocol_version: int = PROTOCOL_VERSION

    def __post_init__(self) -> None:
        """Refuse values that cannot be."""
        for name in ("device_id", "firmware_version", "sensor_model", "unit"):
            _check_text(name, getattr(self, name))
        for axis in self.axes:
            _check_text("axes", axis)
        if not self.axes or len(set(self.axes)) != len(self.axes):
            raise ProtocolError(f"HELLO expects axes with names of their own, got {','.join(self.axes)!r}.")
        for name in ("scale", "full_scale", "sample_rate_hz"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ProtocolError(f"HELLO expects {name} > 0, got {value}.")


class SamplesPayload(NamedTuple):
    """SAMPLES as it is on the wire: both counters are the low 32 bits of longer ones.

    `samples` are counts, int16, shape (n, axes), read-only.
    """

    session: int
    first_sample: int
    device_time_us: int
    samples: NDArray[np.int16]


class StatusPayload(NamedTuple):
    """STATUS: every sample below `samples_produced` was sent before it, or never will be."""

    session: int
    samples_produced: int
    device_time_us: int
    state: DeviceState


DeviceMessage = Hello | SamplesPayload | StatusPayload


# --- HELLO -------------------------------------------------------------------------------------------------------


class _Field(NamedTuple):
    tag: int
    name: str
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]


def _number(tag: int, name: str, code: str) -> _Field:
    packer = struct.Struct("<" + code)
    return _Field(tag, name, packer.pack, lambda data: packer.unpack(data)[0])


def _text(tag: int, name: str) -> _Field:
    return _Field(tag, name, str.encode, bytes.decode)


_VERSION = _number(1, "protocol_version", "B")
_FIELDS = (
    _VERSION,
    _number(2, "session", "I"),
    _text(3, "device_id"),
    _text(4, "firmware_version"),
    _text(5, "sensor_model"),
    _Field(6, "axes", lambda axes: ",".join(axes).encode(), lambda data: tuple(data.decode().split(","))),
    _text(7, "unit"),
    _number(8, "scale", "d"),
    _number(9, "full_scale", "d"),
    _number(10, "sample_rate_hz", "d"),
    _number(11, "samples_produced", "Q"),
    _number(12, "device_time_us", "Q"),
)
_TAGS = {entry.tag: entry for entry in _FIELDS}
assert {entry.name for entry in _FIELDS} == {entry.name for entry in fields(Hello)}


def encode_hello(hello: Hello) -> bytes:
    """Return the payload of a HELLO.

    Raises:
        ProtocolError: If a text is longer than 255 bytes, or a number does not fit its field.
    """
    return b"".join(_pack_field(entry, getattr(hello, entry.name)) for entry in _FIELDS)


def decode_hello(payload: bytes) -> Hello:
    """Read the payload of a HELLO; tags that this host does not know are skipped.

    Raises:
        ProtocolError: If it is cut short, a field is repeated, missing or impossible, or the version is not ours.
    """
    values = _read_fields(payload)
    _check_version(values)
    missing = [entry.name for entry in _FIELDS if entry.tag not in values]
    if missing:
        raise ProtocolError(f"HELLO lacks {', '.join(missing)}.")
    return Hello(**{entry.name: _unpack_field(entry, values[entry.tag]) for entry in _FIELDS})


def _pack_field(entry: _Field, value: Any) -> bytes:
    try:
        data = entry.pack(value)
    except struct.error as exc:
        raise ProtocolError(f"HELLO cannot hold {entry.name} = {value}: {exc}.") from exc
    if len(data) > 255:
        raise ProtocolError(f"HELLO expects at most 255 bytes of {entry.name}, got {len(data)}.")
    return bytes([entry.tag, len(data)]) + data


def _unpack_field(entry: _Field, data: bytes) -> Any:
    try:
        return entry.unpack(data)
    except (struct.error, UnicodeDecodeError) as exc:
        raise ProtocolError(f"HELLO has an unreadable {entry.name} ({data.hex(' ')}): {exc}.") from exc


def _read_fields(payload: bytes) -> dict[int, bytes]:
    """Split tag, length, value into a dictionary; of unknown tags only the last one is kept."""
    values: dict[int, bytes] = {}
    position = 0
    while position < len(payload):
        tag, length = payload[position], payload[position + 1 : position + 2]
        start = position + 2
        position = start + (length[0] if length else 0)
        if not length or position > len(payload):
            raise ProtocolError(f"HELLO ends inside the field with tag {tag}.")
        if tag in values and tag in _TAGS:
            raise ProtocolError(f"HELLO repeats {_TAGS[tag].name}.")
        values[tag] = payload[start:position]
    return values


def _check_version(values: dict[int, bytes]) -> None:
    """Speak up about the version before anything else, since another version may lack or change any field."""
    if _VERSION.tag not in values:
        raise ProtocolError("HELLO lacks protocol_version.")
    version = _unpack_field(_VERSION, values[_VERSION.tag])
    if version != PROTOCOL_VERSION:
        update = "drsn-edge on this host" if version > PROTOCOL_VERSION else "the firmware of the device"
        raise ProtocolError(f"Device speaks protocol {version}, this host speaks {PROTOCOL_VERSION}. Update {update}.")


def _check_text(name: str, text: str) -> None:
    if not text or not text.isprintable():
        raise ProtocolError(f"HELLO expects {name} as printable text, got {text!r}.")


# --- SAMPLES -----------------------------------------------------------------------------------------------------

_SAMPLES = struct.Struct("<IIIHBB")  # session, first_sample, device_time_us, n_samples, n_axes, encoding
assert _SAMPLES.size == 16


def max_block_samples(n_axes: int) -> int:
    """Return how many int16 samples of `n_axes` axes fit in one SAMPLES."""
    return (MAX_PAYLOAD - _SAMPLES.size) // (2 * n_axes)


def encode_samples(message: SamplesPayload) -> bytes:
    """Return the payload of a SAMPLES; both counters may be longer than 32 bits, the high bits are left out."""
    n_samples, n_axes = message.samples.shape
    head = (message.session, message.first_sample & _U32, message.device_time_us & _U32)
    return _SAMPLES.pack(*head, n_samples, n_axes, Encoding.INT16) + message.samples.astype("<i2").tobytes()


def decode_samples(payload: bytes) -> SamplesPayload:
    """Read the payload of a SAMPLES.

    Raises:
        ProtocolError: If the size does not fit the counts, nothing is inside, or the encoding is unknown.
    """
    if len(payload) < _SAMPLES.size:
        raise ProtocolError(f"SAMPLES expects at least {_SAMPLES.size} bytes, got {len(payload)}.")
    session, first, time_us, n_samples, n_axes, encoding = _SAMPLES.unpack_from(payload)
    if encoding != Encoding.INT16:
        raise ProtocolError(f"SAMPLES expects encoding {Encoding.INT16:d} (int16), got {encoding}.")
    expected = _SAMPLES.size + 2 * n_samples * n_axes
    if len(payload) != expected or expected == _SAMPLES.size:
        raise ProtocolError(f"SAMPLES says {n_samples} samples of {n_axes} axes, but has {len(payload)} bytes.")
    samples = np.frombuffer(payload, "<i2", offset=_SAMPLES.size).reshape(n_samples, n_axes)
    return SamplesPayload(session, first, time_us, samples)


# --- STATUS and COMMAND ------------------------------------------------------------------------------------------

_STATUS = struct.Struct("<IQQB")  # session, samples_produced, device_time_us, state
assert _STATUS.size == 21


def encode_status(message: StatusPayload) -> bytes:
    """Return the payload of a STATUS."""
    return _STATUS.pack(*message)


def decode_status(payload: bytes) -> StatusPayload:
    """Read the payload of a STATUS.

    Raises:
        ProtocolError: If the size or the state is wrong.
    """
    if len(payload) != _STATUS.size:
        raise ProtocolError(f"STATUS expects {_STATUS.size} bytes, got {len(payload)}.")
    session, produced, time_us, state = _STATUS.unpack(payload)
    if state not in list(DeviceState):
        raise ProtocolError(f"STATUS expects a state from 0 to {max(DeviceState):d}, got {state}.")
    return StatusPayload(session, produced, time_us, DeviceState(state))


def encode_command(opcode: Opcode) -> bytes:
    """Return the payload of a COMMAND."""
    return bytes([opcode])


def decode_command(payload: bytes) -> Opcode:
    """Read the payload of a COMMAND; bytes after the opcode belong to later versions and are left alone.

    Raises:
        ProtocolError: If it is empty or the opcode is unknown.
    """
    if not payload or payload[0] not in list(Opcode):
        raise ProtocolError(f"COMMAND expects an opcode from 1 to {max(Opcode):d}, got {payload[:1].hex() or 'none'}.")
    return Opcode(payload[0])


_DECODERS: dict[int, Callable[[bytes], DeviceMessage]] = {
    MessageType.HELLO: decode_hello,
    MessageType.SAMPLES: decode_samples,
    MessageType.STATUS: decode_status,
}


def decode_device_message(frame: Frame) -> DeviceMessage | None:
    """Return what a device says in this frame, or None if the type is unknown: a later version may have more.

    Raises:
        ProtocolError: If the type is known and the payload is not what it should be.
    """
    decode = _DECODERS.get(frame.type)
    return decode(frame.payload) if decode else None
