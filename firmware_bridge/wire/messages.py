"""Messages: the payloads of frames as values. Values to bytes, and back; no state."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import DescriptionError, ProtocolError, UnknownCommandError
from firmware_bridge.support.bounds import FULL_SCALES, SAMPLE_RATES_HZ, STEPS, check_between, check_counter
from firmware_bridge.wire.frames import MAX_PAYLOAD, Frame

PROTOCOL_VERSION = 1

_U32 = 0xFFFF_FFFF


class MessageType(IntEnum):
    """Frame types. Those of the host have the high bit set, so that an echo is never taken for an answer."""

    HELLO = 0x01
    SAMPLES = 0x02
    STATUS = 0x03
    REPLY = 0x04
    LOG = 0x05
    COMMAND = 0x81


class Opcode(IntEnum):
    """Operations that a COMMAND requests of the device; each may be repeated without harm."""

    IDENTIFY = 0x01
    START = 0x02
    STOP = 0x03
    SET_RATE = 0x04
    SET_RANGE = 0x05
    SELF_TEST = 0x06
    RESET = 0x07


class DeviceState(IntEnum):
    """State of a device. ENDED: it has sent all its data, as a replay or simulation does at its end."""

    IDLE = 0
    STREAMING = 1
    ENDED = 2


class Encoding(IntEnum):
    """Encoding of the counts in SAMPLES; all axes of a sample are next to each other."""

    INT16 = 0
    INT20 = 1
    INT24 = 2


class Result(IntEnum):
    """Result of a command."""

    DONE = 0
    UNKNOWN_COMMAND = 1
    IMPOSSIBLE_VALUE = 2
    STREAMING = 3
    FAILED = 4


class LogLevel(IntEnum):
    """Level of a LOG."""

    DEBUG = 0
    INFORMATION = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True)
class Hello:
    """A device's description of itself.

    Attributes:
        session: Random number, drawn at power-up and again at each STOP. Within a session the samples follow
            each other without a pause, and `samples_produced` and `device_time_us` count from 0.
        device_id: Identifier of the device.
        firmware_version: Version of the firmware.
        sensor_model: Model of the sensor.
        axes: Names of the axes, in the order of the samples, without their signs.
        unit: Unit of `counts * scale`.
        scale: Unit per count, > 0; `full_scale` is a number of counts within `bounds.STEPS`.
        full_scale: Largest magnitude that the sensor measures, in `unit`, within `bounds.FULL_SCALES`.
        sample_rate_hz: Nominal sampling rate, within `bounds.SAMPLE_RATES_HZ`; a sensor is off by up to a few percent,
            see `clock.ClockFit`.
        samples_produced: Samples that the device had produced when it sent this; the index of the next sample. Below
            `bounds.COUNTER_END`.
        device_time_us: Device time when it sent this, in microseconds. Below `bounds.COUNTER_END`.
        protocol_version: Version of the protocol.
        signs: 1 for each axis, -1 for an axis that is mounted the other way round; empty: all 1.
        sample_rates_hz: Sampling rates that `Opcode.SET_RATE` takes, ascending; empty if the device does not list them.
        full_scales: Full scales that `Opcode.SET_RANGE` takes, in `unit`, ascending; empty if the device does not list
            them.

    Two values are equal if they describe the same device in the same session, whenever they were sent.

    Raises:
        DescriptionError: If a value is impossible: an empty or unprintable text, a number out of bounds, a repeated
            axis, a sign that is neither 1 nor -1, a list that does not ascend.
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
    signs: tuple[int, ...] = ()
    sample_rates_hz: tuple[float, ...] = ()
    full_scales: tuple[float, ...] = ()

    @property
    def scales(self) -> NDArray[np.float64]:
        """Unit per count of each axis, shape (axes,), negative where the sensor is mounted the other way round."""
        return self.scale * np.array(self.signs, np.float64)

    def __post_init__(self) -> None:
        """Check the values, and fill in missing signs."""
        if not self.signs:
            object.__setattr__(self, "signs", (1,) * len(self.axes))
        for name in ("device_id", "firmware_version", "sensor_model", "unit"):
            _check_text(name, getattr(self, name))
        _check_axes(self.axes, self.signs)
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise DescriptionError(
                f"HELLO expects scale > 0, got {self.scale}.", "out_of_bounds", field="scale", got=self.scale
            )
        check_between("full_scale", self.full_scale, FULL_SCALES)
        check_between("full_scale / scale", self.full_scale / self.scale, STEPS)
        check_between("sample_rate_hz", self.sample_rate_hz, SAMPLE_RATES_HZ)
        for name in ("samples_produced", "device_time_us"):
            check_counter(name, getattr(self, name))
        for name in ("sample_rates_hz", "full_scales"):
            _check_ascending(name, getattr(self, name))


Counts = NDArray[np.int16] | NDArray[np.int32]
"""Counts of a sensor, shape (n, axes): int16 for the encoding INT16, int32 for the wider ones."""


class SamplesPayload(NamedTuple):
    """SAMPLES as on the wire: both counters are the low 32 bits of longer ones.

    `samples` are read-only. `overrun`: the sensor discarded samples right before; their number is an estimate.
    """

    session: int
    first_sample: int
    device_time_us: int
    samples: Counts
    encoding: Encoding = Encoding.INT16
    overrun: bool = False


class StatusPayload(NamedTuple):
    """STATUS: every sample below `samples_produced` was sent before this message, or will never be sent.

    `overruns`: number of times that the sensor discarded samples in this session. `samples_dropped`: samples that the
    device dropped in this session. `buffered`, `buffer_size`: bytes. `temperature_c`: None without a thermometer.
    """

    session: int
    samples_produced: int
    device_time_us: int
    state: DeviceState
    overruns: int = 0
    samples_dropped: int = 0
    buffered: int = 0
    buffer_size: int = 0
    temperature_c: float | None = None


class ReplyPayload(NamedTuple):
    """REPLY: the result of the command in the host's frame `sequence`. `opcode` may be one that is not in `Opcode`."""

    session: int
    sequence: int
    opcode: int
    result: Result
    text: str


class LogPayload(NamedTuple):
    """LOG: a message of the device for people."""

    level: LogLevel
    text: str


class Command(NamedTuple):
    """COMMAND: `value` is the protocol version for IDENTIFY, thousandths of hertz or of the unit for SET_*, else 0."""

    opcode: Opcode
    value: int = 0


DeviceMessage = Hello | SamplesPayload | StatusPayload | ReplyPayload | LogPayload


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


def _thousandths(tag: int, name: str) -> _Field:
    """Return the field of a list of numbers, sent as u32 in thousandths; an empty list is not sent."""
    return _Field(
        tag,
        name,
        lambda values: struct.pack(f"<{len(values)}I", *(round(1000 * value) for value in values)),
        lambda data: tuple(value / 1000 for (value,) in struct.iter_unpack("<I", data)),
    )


_VERSION = _number(1, "protocol_version", "B")
_FIELDS = (
    _VERSION,
    _number(2, "session", "I"),
    _text(3, "device_id"),
    _text(4, "firmware_version"),
    _text(5, "sensor_model"),
    _text(6, "axes"),
    _text(7, "unit"),
    _number(8, "scale", "d"),
    _number(9, "full_scale", "d"),
    _number(10, "sample_rate_hz", "d"),
    _number(11, "samples_produced", "Q"),
    _number(12, "device_time_us", "Q"),
)
_LISTS = (_thousandths(13, "sample_rates_hz"), _thousandths(14, "full_scales"))
_TAGS = {entry.tag: entry for entry in (*_FIELDS, *_LISTS)}
assert {entry.name for entry in _TAGS.values()} == {entry.name for entry in fields(Hello)} - {"signs"}


def encode_hello(hello: Hello) -> bytes:
    """Return the payload of a HELLO.

    Raises:
        ProtocolError: If a text is longer than 255 bytes, or a number does not fit its field.
    """
    values = {entry.name: getattr(hello, entry.name) for entry in _TAGS.values()}
    values["axes"] = ",".join("-" * (sign < 0) + axis for axis, sign in zip(hello.axes, hello.signs, strict=True))
    entries = (*_FIELDS, *(entry for entry in _LISTS if values[entry.name]))
    return b"".join(_pack_field(entry, values[entry.name]) for entry in entries)


def decode_hello(payload: bytes) -> Hello:
    """Read the payload of a HELLO; tags that this host does not know are skipped.

    Raises:
        DescriptionError: If a value is impossible.
        ProtocolError: If the payload is cut short, a field is repeated, missing or unreadable, or the protocol version
            is another one.
    """
    values = _read_fields(payload)
    _check_version(values)
    missing = [entry.name for entry in _FIELDS if entry.tag not in values]
    if missing:
        raise _lacks(missing)
    found = {_TAGS[tag].name: _unpack_field(_TAGS[tag], data) for tag, data in values.items() if tag in _TAGS}
    names = found.pop("axes").split(",")
    signs = tuple(-1 if name.startswith("-") else 1 for name in names)
    return Hello(axes=tuple(name.removeprefix("-") for name in names), signs=signs, **found)


def _pack_field(entry: _Field, value: Any) -> bytes:
    try:
        data = entry.pack(value)
    except struct.error as exc:
        raise ProtocolError(
            f"HELLO cannot hold {entry.name} = {value}: {exc}.", "does_not_fit", field=entry.name, got=value
        ) from exc
    if len(data) > 255:
        raise ProtocolError(
            f"HELLO holds at most 255 bytes of {entry.name}, got {len(data)}.",
            "field_too_long",
            field=entry.name,
            limit=255,
            got=len(data),
        )
    return bytes([entry.tag, len(data)]) + data


def _unpack_field(entry: _Field, data: bytes) -> Any:
    try:
        return entry.unpack(data)
    except (struct.error, UnicodeDecodeError) as exc:
        raise ProtocolError(
            f"HELLO has an unreadable {entry.name} ({data.hex(' ')}): {exc}.", "unreadable", field=entry.name, got=data
        ) from exc


def _read_fields(payload: bytes) -> dict[int, bytes]:
    """Split fields of tag, length and value into a dictionary; of a repeated unknown tag the last value is kept."""
    values: dict[int, bytes] = {}
    position = 0
    while position < len(payload):
        tag, length = payload[position], payload[position + 1 : position + 2]
        start = position + 2
        position = start + (length[0] if length else 0)
        if not length or position > len(payload):
            raise ProtocolError(f"HELLO ends inside the field with tag {tag}.", "cut_short", message="HELLO", tag=tag)
        if tag in values and tag in _TAGS:
            name = _TAGS[tag].name
            raise ProtocolError(f"HELLO repeats {name}.", "repeated_field", field=name)
        values[tag] = payload[start:position]
    return values


def _check_version(values: dict[int, bytes]) -> None:
    """Check the protocol version before all other fields, because another version may lack or change any of them."""
    if _VERSION.tag not in values:
        raise _lacks([_VERSION.name])
    version = _unpack_field(_VERSION, values[_VERSION.tag])
    if version != PROTOCOL_VERSION:
        older, what = ("host", "drsn-edge on this host") if version > PROTOCOL_VERSION else ("device", "its firmware")
        raise ProtocolError(
            f"The device speaks protocol {version}, this host speaks {PROTOCOL_VERSION}. Update {what}.",
            "protocol_version",
            expected=PROTOCOL_VERSION,
            got=version,
            older=older,
        )


def _lacks(names: list[str]) -> ProtocolError:
    return ProtocolError(f"HELLO lacks {', '.join(names)}.", "missing_fields", fields=names)


def _check_axes(axes: tuple[str, ...], signs: tuple[int, ...]) -> None:
    for axis in axes:
        _check_text("axes", axis)
    if not axes or len(set(axes)) != len(axes):
        raise DescriptionError(
            f"HELLO expects at least one axis, and a different name for each, got {','.join(axes)!r}.",
            "axis_names",
            got=axes,
        )
    if any(axis.startswith("-") or "," in axis for axis in axes):
        raise DescriptionError(
            f"HELLO expects names of axes without a comma and without a leading minus, got {axes}.",
            "axis_characters",
            got=axes,
        )
    if len(signs) != len(axes) or not set(signs) <= {1, -1}:
        raise DescriptionError(
            f"HELLO expects a sign of 1 or -1 for each of {len(axes)} axes, got {signs}.", "axis_signs", got=signs
        )


def _check_ascending(name: str, values: tuple[float, ...]) -> None:
    if any(not later > earlier for earlier, later in pairwise((0.0, *values))):
        raise DescriptionError(
            f"HELLO expects {name} > 0 and ascending, got {values}.", "not_ascending", field=name, got=values
        )


def _check_text(name: str, text: str) -> None:
    if not text or not text.isprintable():
        raise DescriptionError(
            f"HELLO expects {name} as printable text, got {text!r}.", "not_printable", field=name, got=text
        )


# --- SAMPLES -----------------------------------------------------------------------------------------------------

_SAMPLES = struct.Struct("<IIIHBB")  # session, first_sample, device_time_us, n_samples, n_axes, encoding
assert _SAMPLES.size == 16

_BITS = {Encoding.INT16: 16, Encoding.INT20: 20, Encoding.INT24: 24}
_ENCODINGS = {int(encoding): encoding for encoding in Encoding}
_OVERRUN = 0x80
_LITTLE_INT16 = np.dtype("<i2")


def max_block_samples(n_axes: int, encoding: Encoding = Encoding.INT16) -> int:
    """Return how many samples of `n_axes` axes fit in one SAMPLES."""
    return (MAX_PAYLOAD - _SAMPLES.size) * 8 // (_BITS[encoding] * n_axes)


def encode_samples(message: SamplesPayload) -> bytes:
    """Return the payload of a SAMPLES; of counters longer than 32 bits only the low 32 bits are sent.

    Raises:
        ProtocolError: If a count does not fit the encoding.
    """
    n_samples, n_axes = message.samples.shape
    head = (message.session, message.first_sample & _U32, message.device_time_us & _U32)
    code = message.encoding | (_OVERRUN if message.overrun else 0)
    return _SAMPLES.pack(*head, n_samples, n_axes, code) + _pack_counts(message.samples, message.encoding)


def decode_samples(payload: bytes) -> SamplesPayload:
    """Read the payload of a SAMPLES.

    Raises:
        ProtocolError: If the size does not match the number of counts, there are none, or the encoding is unknown.
    """
    if len(payload) < _SAMPLES.size:
        raise _cut_short("SAMPLES", _SAMPLES.size, len(payload))
    session, first, time_us, n_samples, n_axes, code = _SAMPLES.unpack_from(payload)
    encoding = _ENCODINGS.get(code & ~_OVERRUN)
    if encoding is None:
        raise _unknown("SAMPLES", "encoding", max(Encoding), code & ~_OVERRUN)
    n_counts = n_samples * n_axes
    if len(payload) != _SAMPLES.size + -(-n_counts * _BITS[encoding] // 8) or n_counts == 0:
        raise ProtocolError(
            f"SAMPLES announces {n_samples} samples of {n_axes} axes, but has {len(payload)} bytes.",
            "wrong_size",
            message="SAMPLES",
            samples=n_samples,
            axes=n_axes,
            got=len(payload),
        )
    counts = _unpack_counts(payload, n_counts, encoding).reshape(n_samples, n_axes)
    return SamplesPayload(session, first, time_us, counts, encoding, bool(code & _OVERRUN))


def _pack_counts(counts: Counts, encoding: Encoding) -> bytes:
    limit = 1 << (_BITS[encoding] - 1)
    if counts.dtype != np.int16 and counts.size and not (-limit <= counts.min() and counts.max() < limit):
        raise ProtocolError(
            f"SAMPLES expects counts of {_BITS[encoding]} bits, got {counts.min()} to {counts.max()}.",
            "counts_too_large",
            bits=_BITS[encoding],
            lowest=int(counts.min()),
            highest=int(counts.max()),
        )
    if encoding is Encoding.INT16:
        return counts.astype("<i2").tobytes()
    flat = counts.astype("<i4").ravel()
    if encoding is Encoding.INT24:
        return flat.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    pairs = np.append(flat, np.zeros(len(flat) % 2, "<i4")).astype("<u8").reshape(-1, 2) & 0xFFFFF
    packed = (pairs[:, 0] | pairs[:, 1] << np.uint64(20)).astype("<u8")
    return packed.view(np.uint8).reshape(-1, 8)[:, :5].tobytes()[: -(-len(flat) * 20 // 8)]


def _unpack_counts(payload: bytes, n_counts: int, encoding: Encoding) -> Counts:
    """Return the counts behind the header, read-only, shape (n_counts,)."""
    if encoding is Encoding.INT16:
        return np.frombuffer(payload, _LITTLE_INT16, offset=_SAMPLES.size)
    data = np.frombuffer(payload, np.uint8, offset=_SAMPLES.size)
    if encoding is Encoding.INT24:
        words = np.zeros((n_counts, 4), np.uint8)
        words[:, 1:] = data.reshape(-1, 3)
        counts = words.view("<i4").ravel() >> 8
    else:
        groups = np.zeros((-(-n_counts // 2), 8), np.uint8)
        groups[:, :5] = np.append(data, np.zeros(5 * len(groups) - len(data), np.uint8)).reshape(-1, 5)
        packed = groups.view("<u8").ravel()
        pairs = np.stack([packed & np.uint64(0xFFFFF), packed >> np.uint64(20)], axis=1).astype(np.int32)
        counts = (pairs.ravel()[:n_counts] << 12) >> 12
    counts.flags.writeable = False
    return counts


# --- STATUS, REPLY, LOG and COMMAND ------------------------------------------------------------------------------

_STATUS = struct.Struct("<IQQBIIHHh")  # the fields of StatusPayload, in their order
assert _STATUS.size == 35
_NO_THERMOMETER = -0x8000

_REPLY = struct.Struct("<IHBB")  # session, sequence, opcode, result
assert _REPLY.size == 8


def encode_status(message: StatusPayload) -> bytes:
    """Return the payload of a STATUS."""
    *values, celsius = message
    hundredths = _NO_THERMOMETER if celsius is None else round(100 * celsius)
    return _STATUS.pack(*values, hundredths)


def decode_status(payload: bytes) -> StatusPayload:
    """Read the payload of a STATUS; bytes after it belong to later versions and are ignored.

    Raises:
        ProtocolError: If the payload is cut short, the state is unknown, or a counter is impossible.
    """
    if len(payload) < _STATUS.size:
        raise _cut_short("STATUS", _STATUS.size, len(payload))
    status = StatusPayload._make(_STATUS.unpack_from(payload))
    if status.state not in list(DeviceState):
        raise _unknown("STATUS", "state", max(DeviceState), status.state)
    check_counter("samples_produced of STATUS", status.samples_produced)
    check_counter("device_time_us of STATUS", status.device_time_us)
    hundredths = status.temperature_c
    celsius = None if hundredths is None or hundredths == _NO_THERMOMETER else hundredths / 100
    return status._replace(state=DeviceState(status.state), temperature_c=celsius)


def encode_reply(message: ReplyPayload) -> bytes:
    """Return the payload of a REPLY."""
    session, sequence, opcode, result, text = message
    return _REPLY.pack(session, sequence, opcode, result) + text.encode()


def decode_reply(payload: bytes) -> ReplyPayload:
    """Read the payload of a REPLY.

    Raises:
        ProtocolError: If the payload is cut short, the result is unknown, or the text is unreadable.
    """
    if len(payload) < _REPLY.size:
        raise _cut_short("REPLY", _REPLY.size, len(payload))
    session, sequence, opcode, result = _REPLY.unpack_from(payload)
    if result not in list(Result):
        raise _unknown("REPLY", "result", max(Result), result)
    text = _decode_text("REPLY", payload[_REPLY.size :])
    return ReplyPayload(session, sequence, opcode, Result(result), text)


def encode_log(message: LogPayload) -> bytes:
    """Return the payload of a LOG."""
    return bytes([message.level]) + message.text.encode()


def decode_log(payload: bytes) -> LogPayload:
    """Read the payload of a LOG.

    Raises:
        ProtocolError: If the payload has no text, the level is unknown, or the text is unreadable.
    """
    if len(payload) < 2:
        raise _cut_short("LOG", 2, len(payload))
    if payload[0] not in list(LogLevel):
        raise _unknown("LOG", "level", max(LogLevel), payload[0])
    return LogPayload(LogLevel(payload[0]), _decode_text("LOG", payload[1:]))


def _decode_text(name: str, data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise ProtocolError(
            f"{name} has an unreadable text ({data[:32].hex(' ')}): {exc}.", "not_utf8", message=name, got=data[:32]
        ) from exc
    if text and not text.isprintable():
        raise ProtocolError(f"{name} expects a printable text, got {text!r}.", "not_printable", message=name, got=text)
    return text


def _cut_short(name: str, limit: int, got: int) -> ProtocolError:
    return ProtocolError(
        f"{name} has at least {limit} bytes, got {got}.", "cut_short", message=name, limit=limit, got=got
    )


def _unknown(name: str, field_name: str, most: int, got: int) -> ProtocolError:
    return ProtocolError(
        f"{name} expects {field_name} from 0 to {most:d}, got {got}.",
        "unknown_value",
        message=name,
        field=field_name,
        got=got,
    )


_VALUES = {
    Opcode.IDENTIFY: struct.Struct("<B"),
    Opcode.SET_RATE: struct.Struct("<I"),
    Opcode.SET_RANGE: struct.Struct("<I"),
}
"""The value after the opcode, for commands that have one."""


def encode_command(command: Command) -> bytes:
    """Return the payload of a COMMAND.

    Raises:
        ProtocolError: If the value does not fit its field.
    """
    value = _VALUES.get(command.opcode)
    try:
        return bytes([command.opcode]) + (value.pack(command.value) if value else b"")
    except struct.error as exc:
        raise ProtocolError(
            f"COMMAND {command.opcode.name} cannot hold {command.value}: {exc}.",
            "does_not_fit",
            field=command.opcode.name,
            got=command.value,
        ) from exc


def decode_command(payload: bytes) -> Command:
    """Read the payload of a COMMAND; bytes after it belong to later versions and are ignored.

    Raises:
        UnknownCommandError: If the opcode is unknown.
        ProtocolError: If the payload is empty, or its value is cut short.
    """
    if not payload:
        raise ProtocolError("COMMAND has no opcode.", "cut_short", message="COMMAND", limit=1, got=0)
    if payload[0] not in list(Opcode):
        raise UnknownCommandError(
            f"COMMAND expects an opcode from 1 to {max(Opcode):d}, got {payload[0]}.", got=payload[0]
        )
    opcode = Opcode(payload[0])
    value = _VALUES.get(opcode)
    if value is None:
        return Command(opcode)
    if len(payload) < 1 + value.size:
        raise ProtocolError(
            f"COMMAND {opcode.name} expects {value.size} bytes of value, got {len(payload) - 1}.",
            "cut_short",
            message=opcode.name,
            limit=value.size,
            got=len(payload) - 1,
        )
    return Command(opcode, value.unpack_from(payload, 1)[0])


_DECODERS: dict[int, Callable[[bytes], DeviceMessage]] = {
    MessageType.HELLO: decode_hello,
    MessageType.SAMPLES: decode_samples,
    MessageType.STATUS: decode_status,
    MessageType.REPLY: decode_reply,
    MessageType.LOG: decode_log,
}


def decode_device_message(frame: Frame) -> DeviceMessage | None:
    """Return the message in a frame of a device, or None if its type is unknown: a later version may have more types.

    Raises:
        ProtocolError: If the payload does not fit the type.
    """
    decode = _DECODERS.get(frame.type)
    return decode(frame.payload) if decode else None
