"""A virtual accelerometer: a device on a pseudo-terminal or TCP that speaks PROTOCOL.md and loses no byte by itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import ProtocolError, UnknownCommandError, VirtualDeviceError
from firmware_bridge.virtual.endpoints import Endpoint, PtyEndpoint, TcpEndpoint
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.wire.frames import DELIMITER, FrameSplitter, FrameWriter, decode_frame
from firmware_bridge.wire.messages import (
    Command,
    DeviceState,
    Hello,
    MessageType,
    Opcode,
    ReplyPayload,
    Result,
    SamplesPayload,
    StatusPayload,
    decode_command,
    encode_hello,
    encode_reply,
    encode_samples,
    encode_status,
    max_block_samples,
)

Samples = NDArray[np.floating | np.int16]
"""Float values in the unit of the Hello, or int16 counts; shape (n, axes), any n."""

_COUNTS = np.iinfo(np.int16)
_TICK_S = 0.02  # how long to wait at most before asking `stop` again, or whether a reader has come
_STATUS_EVERY_S = 1.0
_ENDED_EVERY_S = 0.1


@dataclass(frozen=True)
class VirtualSummary:
    """What a virtual accelerometer did.

    Attributes:
        samples_produced: All samples, sent or not.
        samples_sent: Samples in frames that were written in whole. A reader that left may not have read the last.
        samples_dropped: Samples produced while nobody had the port open.
        values_clipped: Values (one axis of one sample) that did not fit int16.
        ended: Whether the samples ran out, rather than that it was stopped.
    """

    samples_produced: int
    samples_sent: int
    samples_dropped: int
    values_clipped: int
    ended: bool


def quantise(values: NDArray[np.float64], scale: float) -> tuple[NDArray[np.int16], int]:
    """Round to int16 counts and saturate, as a sensor does.

    Args:
        values: In the unit of `scale`, any shape.
        scale: Unit per count, > 0.

    Returns:
        The counts, same shape, and how many values were clipped.

    Raises:
        VirtualDeviceError: If a value is NaN.
    """
    counts = np.rint(values / scale)
    if np.isnan(counts).any():
        raise VirtualDeviceError("Expected samples to send, got NaN among them.")
    clipped = np.clip(counts, _COUNTS.min, _COUNTS.max)
    return clipped.astype(np.int16), int(np.count_nonzero(clipped != counts))


class VirtualAccelerometer:
    """A device on a pseudo-terminal that streams given samples in real time, or faster. Linux and macOS.

    Nothing is produced before the first START. From then on time runs: while nobody has the port open, samples are
    produced and dropped, as on a real device, and the host's account shows them. A reader that is slow but there
    makes the device wait instead. When the samples have run out, STATUS ended is repeated until the reader has
    closed the port, because closing a pseudo-terminal discards what was not read yet. A device that was killed leaves
    its link behind, which may lead to any other terminal that gets the number; so end it with `stop` or `close`.

    Construct (which makes the port), hand `port` to the reader, then call `run` in a thread or process of its own.
    """

    def __init__(
        self,
        hello: Hello,
        samples: Iterable[Samples],
        *,
        link: Path | None = None,
        listen: tuple[str, int] | None = None,
        speed: float | None = 1.0,
        block_samples: int = 80,
        true_sample_rate_hz: float | None = None,
        linger_s: float = 10.0,
        faults: FaultInjector | None = None,
    ) -> None:
        """Open a pseudo-terminal and link it.

        Args:
            hello: What to tell the host; session and position are filled in by the device.
            samples: What to send. Taken one item at a time, so it may be endless.
            link: Where to put a symbolic link to the port; a link to a port that is gone is replaced.
            listen: Host and port to listen on instead; port 0 takes a free one.
            speed: How much faster than real time; None: as fast as the reader takes them (and waiting for one).
                Device time is that of a device which plays at real speed.
            block_samples: Samples in one frame.
            true_sample_rate_hz: Rate of the device by its own clock, if it is off from the nominal one.
            faults: What to do to samples, clock and link; none: nothing.
            linger_s: How long to wait at the end for the reader to close the port.

        Raises:
            VirtualDeviceError: If there are no pseudo-terminals here, the link is something else, in use or cannot
                be made, or an argument cannot be.
        """
        _check_arguments(hello, speed, block_samples)
        self._hello = replace(hello, session=_new_session())
        self._rate_hz = true_sample_rate_hz or hello.sample_rate_hz
        self._speed = speed
        self._linger_s = linger_s
        self._faults = faults or FaultInjector((), 0)
        self._blocks = self._cut(samples, block_samples)
        self._pending: NDArray[np.int16] | None = None
        self._state = DeviceState.IDLE
        self._position = 0  # samples produced in this session
        self._session_s = 0.0  # time in it, of a clock that is right
        self._overrun = False  # to be told with the next block
        self._overruns = 0  # told in this session
        self._unplugged = False
        self._started_at = self._status_due = 0.0
        self._produced = self._sent = self._clipped = 0
        self._writer = FrameWriter()
        self._splitter = FrameSplitter()
        self._stop: Callable[[], bool] = _never
        self._endpoint: Endpoint = PtyEndpoint(link) if listen is None else TcpEndpoint(*listen)
        self._was_present = False

    @property
    def port(self) -> str:
        """What to open: the link if there is one, the pseudo-terminal, or a URL of pyserial's."""
        return self._endpoint.address

    def run(self, stop: Callable[[], bool] | None = None) -> VirtualSummary:
        """Serve the port until the samples have run out and the reader has gone, or `stop` returns True.

        Raises:
            VirtualDeviceError: If the samples cannot be sent: a wrong shape or type, or NaN.
        """
        self._stop = stop or _never
        try:
            while self._state is not DeviceState.ENDED and not self._stop():
                self._listen(self._wait_s())
                self._produce()
            self._linger()
        finally:
            self.close()
        dropped = self._produced - self._sent
        ended = self._state is DeviceState.ENDED
        return VirtualSummary(self._produced, self._sent, dropped, self._clipped, ended)

    def close(self) -> None:
        """Remove the link and close the port; harmless when repeated."""
        self._endpoint.close()

    # --- samples and time ----------------------------------------------------------------------------------------

    def _cut(self, samples: Iterable[Samples], size: int) -> Iterator[NDArray[np.int16]]:
        """Yield counts, shape (size, axes); the last block may be shorter."""
        rest = np.empty((0, len(self._hello.axes)), np.int16)
        for chunk in samples:
            rest = np.concatenate([rest, self._counts(chunk)])
            whole = len(rest) - len(rest) % size
            yield from rest[:whole].reshape(-1, size, rest.shape[1])
            rest = rest[whole:]
        if len(rest):
            yield rest

    def _counts(self, chunk: Samples) -> NDArray[np.int16]:
        n_axes = len(self._hello.axes)
        if chunk.ndim != 2 or chunk.shape[1] != n_axes:
            raise VirtualDeviceError(f"Expected samples of shape (n, {n_axes}), got {chunk.shape}.")
        if np.issubdtype(chunk.dtype, np.floating):
            counts, clipped = quantise(chunk.astype(np.float64), self._hello.scale)
            self._clipped += clipped
            return counts
        if chunk.dtype != np.int16:
            raise VirtualDeviceError(f"Expected floating-point values or int16 counts, got {chunk.dtype}.")
        return chunk.astype(np.int16, copy=False)

    def _device_time_us(self) -> int:
        return round(self._faults.device_time_s(self._session_s) * 1e6)

    def _duration_s(self, n_samples: int) -> float:
        return n_samples / (self._rate_hz * self._faults.rate_factor(self._session_s))

    def _wait_s(self) -> float:
        """How long there is nothing to produce, at most one tick."""
        if self._state is not DeviceState.STREAMING:
            return _TICK_S
        if self._pending is None:
            return 0.0
        if self._speed is None:
            return 0.0 if self._endpoint.present() or self._faults.unplugged(self._session_s) else _TICK_S
        end_s = self._session_s + self._duration_s(len(self._pending))
        due = self._started_at + end_s / self._speed
        return min(max(due - time.monotonic(), 0.0), _TICK_S)

    def _produce(self) -> None:
        """Send, or drop, the next block if it is due: one at a time, so that commands are heard in between."""
        if self._state is not DeviceState.STREAMING or self._wait_s() > 0.0:
            return
        self._throw_away(self._faults.thrown_away(self._session_s))
        if self._pending is None:
            self._state = DeviceState.ENDED
            return
        self._plug(self._faults.unplugged(self._session_s))
        n_samples = len(self._pending)
        counts = self._faults.counts(self._pending, self._session_s)
        message = SamplesPayload(
            self._hello.session, self._position, self._device_time_us(), counts, overrun=self._overrun
        )
        if self._send(MessageType.SAMPLES, encode_samples(message), n_samples):
            self._sent += n_samples
        else:
            self._faults.lost(n_samples)
        self._overruns += self._overrun
        self._overrun = False
        self._pass(n_samples)
        self._pending = next(self._blocks, None)
        if time.monotonic() >= self._status_due:
            self._send_status()

    def _pass(self, n_samples: int) -> None:
        """Let time pass, and with it samples."""
        self._session_s += self._duration_s(n_samples)
        self._produced += n_samples
        self._position += n_samples

    def _throw_away(self, n_samples: int) -> None:
        """Lose samples as a sensor does that nobody asks."""
        self._overrun |= n_samples > 0
        while n_samples > 0 and self._pending is not None:
            gone = min(n_samples, len(self._pending))
            self._pass(gone)
            n_samples -= gone
            rest = self._pending[gone:]
            self._pending = rest if len(rest) else next(self._blocks, None)

    def _plug(self, unplugged: bool) -> None:
        if unplugged != self._unplugged:
            self._unplugged = unplugged
            (self._endpoint.unplug if unplugged else self._endpoint.replug)()

    def _linger(self) -> None:
        deadline = time.monotonic() + self._linger_s
        while self._state is DeviceState.ENDED and self._endpoint.present() and not self._stop():
            if time.monotonic() >= deadline:
                return
            self._send_status()
            self._listen(_ENDED_EVERY_S)

    # --- messages ------------------------------------------------------------------------------------------------

    def _obey(self, command: Command, sequence: int) -> None:
        if command.opcode is Opcode.IDENTIFY:
            self._send_hello()
        elif command.opcode is Opcode.START:
            if self._state is DeviceState.IDLE:
                self._start()
            self._send_status()
        elif command.opcode is Opcode.STOP:
            self._send_stop()
        else:
            self._reply(command.opcode, sequence, *self._change(command))

    def _send_stop(self) -> None:
        streaming = self._state is DeviceState.STREAMING
        if streaming:
            self._state = DeviceState.IDLE
        self._send_status()
        if streaming:
            self._begin_session()

    def _begin_session(self) -> None:
        self._hello = replace(self._hello, session=_new_session())
        self._position = self._overruns = 0
        self._session_s = 0.0

    def _change(self, command: Command) -> tuple[Result, str]:
        """Do what a command asks besides streaming, and say how it went."""
        if command.opcode is Opcode.RESET:
            self._state = DeviceState.IDLE if self._state is DeviceState.STREAMING else self._state
            self._begin_session()
            self._send_hello()
            return Result.DONE, ""
        if self._state is DeviceState.STREAMING:
            return Result.STREAMING, "STOP first"
        if command.opcode is Opcode.SELF_TEST:
            return Result.DONE, "a virtual sensor has no mass to push"
        rate = command.opcode is Opcode.SET_RATE
        asked = command.value / 1000
        if asked not in (self._hello.sample_rates_hz if rate else self._hello.full_scales):
            return Result.IMPOSSIBLE_VALUE, "not among those in HELLO"
        if rate:
            self._rate_hz *= asked / self._hello.sample_rate_hz
            self._hello = replace(self._hello, sample_rate_hz=asked)
        else:
            self._hello = replace(self._hello, full_scale=asked)
        self._begin_session()
        self._send_hello()
        return Result.DONE, ""

    def _reply(self, opcode: int, sequence: int, result: Result, text: str) -> None:
        self._send(MessageType.REPLY, encode_reply(ReplyPayload(self._hello.session, sequence, opcode, result, text)))

    def _start(self) -> None:
        if self._pending is None:
            self._pending = next(self._blocks, None)
        self._state = DeviceState.STREAMING
        self._started_at = time.monotonic()
        self._send_hello()

    def _send_hello(self) -> None:
        self._send(
            MessageType.HELLO,
            encode_hello(replace(self._hello, samples_produced=self._position, device_time_us=self._device_time_us())),
        )

    def _send_status(self) -> None:
        self._status_due = time.monotonic() + _STATUS_EVERY_S
        message = StatusPayload(
            self._hello.session, self._position, self._device_time_us(), self._state, overruns=self._overruns
        )
        self._send(MessageType.STATUS, encode_status(message))

    # --- the port ------------------------------------------------------------------------------------------------

    def _listen(self, timeout_s: float) -> None:
        """Obey commands; return at once after one, else after `timeout_s`."""
        for piece in self._splitter.feed(self._endpoint.read(timeout_s)):
            self._on_piece(piece)
        self._was_present = self._was_present and self._endpoint.present()

    def _on_piece(self, piece: bytes) -> None:
        try:
            frame = decode_frame(piece)
            if frame.type == MessageType.COMMAND:
                self._obey(decode_command(frame.payload), frame.sequence)
        except UnknownCommandError:
            self._reply(frame.payload[0], frame.sequence, Result.UNKNOWN_COMMAND, "")
        except ProtocolError:
            return  # damaged on the way; the host repeats what it needs

    def _send(self, kind: MessageType, payload: bytes, n_samples: int = 0) -> bool:
        """Write one frame in whole; False if nobody is there to read it, or leaves before it is written."""
        present = self._endpoint.present()
        first = present and not self._was_present
        self._was_present = present
        if not present:
            return False
        frame = self._writer.encode(kind, payload)
        # The last words are spared, so that the account can be closed.
        data = self._faults.frame(
            DELIMITER + frame if first else frame,
            self._session_s,
            n_samples,
            spared=self._state is not DeviceState.STREAMING,
        )
        if not self._endpoint.write(data, self._stop):
            self._was_present = False
            return False
        return True


def _never() -> bool:
    return False


def _new_session() -> int:
    return secrets.randbits(32)


def _check_arguments(hello: Hello, speed: float | None, block_samples: int) -> None:
    most = max_block_samples(len(hello.axes))
    if not 1 <= block_samples <= most:
        raise VirtualDeviceError(f"Expected 1 to {most} samples in a block, got {block_samples}.")
    if speed is not None and not speed > 0:
        raise VirtualDeviceError(f"Expected a speed > 0, got {speed}.")
