"""A virtual accelerometer: a device on a pseudo-terminal or TCP port that speaks the protocol of PROTOCOL.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import ProtocolError, UnknownCommandError, VirtualDeviceError
from firmware_bridge.virtual.device import VirtualDevice
from firmware_bridge.virtual.endpoints import Endpoint, PtyEndpoint, TcpEndpoint
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.virtual.sample_feed import SampleFeed, Samples
from firmware_bridge.virtual.wire_end import WireEnd
from firmware_bridge.wire.frames import Frame
from firmware_bridge.wire.messages import (
    Command,
    DeviceState,
    Hello,
    MessageType,
    Opcode,
    ReplyPayload,
    Result,
    decode_command,
    encode_hello,
    encode_reply,
    encode_samples,
    encode_status,
    max_block_samples,
)

_TICK_S = 0.02  # longest wait before `stop` is called again, and before a new reader is noticed
_STATUS_EVERY_S = 1.0
_ENDED_EVERY_S = 0.1


@dataclass(frozen=True)
class VirtualSummary:
    """Totals of one run of a virtual accelerometer.

    Attributes:
        samples_produced: All samples, sent or not.
        samples_sent: Samples in frames that were written completely. A reader that left may not have read the last.
        samples_dropped: Samples produced while nobody had the port open.
        values_clipped: Values (one axis of one sample) that did not fit int16.
        ended: Whether the samples ran out; False if the device was stopped.
    """

    samples_produced: int
    samples_sent: int
    samples_dropped: int
    values_clipped: int
    ended: bool


class VirtualAccelerometer:
    """A device on a pseudo-terminal that streams given samples in real time, or faster. Linux and macOS.

    The device produces nothing before the first START. From then on time runs: while nobody has the port open, samples
    are produced and dropped, as on a real device, and the host counts them as lost. A slow reader makes the device
    wait instead. When the samples have run out, the device repeats STATUS ended until the reader closes the port,
    because closing a pseudo-terminal discards unread bytes. A device that was killed leaves its link behind, which may
    later lead to an unrelated terminal with the same number; so end it with `stop` or `close`.

    Construct it (which creates the port), pass `port` to the reader, then call `run` in its own thread or process.
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
        """Open a pseudo-terminal and create the link to it, or listen on a TCP port.

        Args:
            hello: Description to send to the host; the device fills in session and position.
            samples: Samples to send. They are taken one item at a time, so the iterable may be endless.
            link: Path of a symbolic link to create; it replaces a link to a port that no longer exists.
            listen: Host and TCP port to listen on instead of a pseudo-terminal; port 0 takes a free one.
            speed: Playback speed, 1 for real time; None: as fast as the reader takes the samples, and only while there
                is a reader. Device time is always that of real time.
            block_samples: Samples in one frame.
            true_sample_rate_hz: Sampling rate by the device's own clock, if it differs from the nominal one.
            linger_s: Seconds to wait at the end for the reader to close the port.
            faults: Faults of samples, clock and link; None: no faults.

        Raises:
            VirtualDeviceError: If this system has no pseudo-terminals, the link cannot be created, the TCP port cannot
                be opened, or an argument is out of range.
        """
        _check_arguments(hello, speed, block_samples)
        self._faults = faults or FaultInjector((), 0)
        self._feed = SampleFeed(samples, len(hello.axes), hello.scale, block_samples)
        self._device = VirtualDevice(hello, true_sample_rate_hz or hello.sample_rate_hz, self._faults.sensor)
        self._speed, self._linger_s = speed, linger_s
        self._started_s = self._status_due_s = 0.0
        self._samples_sent = 0
        self._stop: Callable[[], bool] = _never
        endpoint: Endpoint = PtyEndpoint(link) if listen is None else TcpEndpoint(*listen)
        self._wire = WireEnd(endpoint, self._faults.link, lambda: self._stop())

    @property
    def port(self) -> str:
        """The port for the reader to open: the link, the pseudo-terminal, or a pyserial URL."""
        return self._wire.address

    def run(self, stop: Callable[[], bool] | None = None) -> VirtualSummary:
        """Serve the port until the samples have run out and the reader has closed it, or `stop` returns True.

        Raises:
            VirtualDeviceError: If the samples have a wrong shape or type, or contain NaN.
        """
        self._stop, device = stop or _never, self._device
        try:
            while device.state is not DeviceState.ENDED and not self._stop():
                self._wire.listen(self._wait_s(), self._on_frame)
                self._produce()
            self._linger()
        finally:
            self.close()
        produced, sent = device.samples_produced, self._samples_sent
        ended = device.state is DeviceState.ENDED
        return VirtualSummary(produced, sent, produced - sent, self._feed.values_clipped, ended)

    def close(self) -> None:
        """Remove the link and close the port; harmless when repeated."""
        self._wire.close()

    # --- samples and time ----------------------------------------------------------------------------------------

    def _wait_s(self) -> float:
        """Return the seconds until the next block is due, at most one tick."""
        device, pending = self._device, self._feed.pending
        if device.state is not DeviceState.STREAMING:
            return _TICK_S
        if pending is None:
            return 0.0
        if self._speed is None:
            passes = self._wire.is_unplugged or self._faults.link.unplugged(device.time_s)
            return 0.0 if passes or self._wire.is_read() else _TICK_S
        end_s = device.time_s + device.duration_s(len(pending))
        due_s = self._started_s + end_s / self._speed
        return min(max(due_s - time.monotonic(), 0.0), _TICK_S)

    def _produce(self) -> None:
        """Send or drop the next block if it is due: one per call, so that commands are read in between."""
        device = self._device
        if device.state is not DeviceState.STREAMING or self._wait_s() > 0.0:
            return
        _throw_away(self._faults.sensor.thrown_away(device.time_s), self._feed, device)
        if self._feed.pending is None:
            device.state = DeviceState.ENDED
            return
        self._wire.plug(self._faults.link.unplugged(device.time_s))
        n_samples = len(self._feed.pending)
        block = device.block(self._faults.sensor.counts(self._feed.pending, device.time_s))
        if self._send(MessageType.SAMPLES, encode_samples(block), n_samples):
            self._samples_sent += n_samples
        else:
            self._faults.link.lost(n_samples)
        device.pass_by(n_samples)
        self._feed.go_on()
        if time.monotonic() >= self._status_due_s:
            self._send_status()

    def _linger(self) -> None:
        deadline_s = time.monotonic() + self._linger_s
        while self._device.state is DeviceState.ENDED and self._wire.is_read() and not self._stop():
            if time.monotonic() >= deadline_s:
                return
            self._send_status()
            self._wire.listen(_ENDED_EVERY_S, self._on_frame)

    # --- messages ------------------------------------------------------------------------------------------------

    def _on_frame(self, frame: Frame) -> None:
        if frame.type != MessageType.COMMAND:
            return
        try:
            self._obey(decode_command(frame.payload), frame.sequence)
        except UnknownCommandError:
            self._reply(frame.payload[0], frame.sequence, Result.UNKNOWN_COMMAND, "")
        except ProtocolError:
            return  # incomplete; the host repeats its commands

    def _obey(self, command: Command, sequence: int) -> None:
        if command.opcode is Opcode.IDENTIFY:
            self._send_hello()
        elif command.opcode is Opcode.START:
            self._start()
        elif command.opcode is Opcode.STOP:
            self._end_stream()
        else:
            result, text = self._device.change(command)
            if result is Result.DONE and command.opcode is not Opcode.SELF_TEST:
                self._send_hello()
            self._reply(command.opcode, sequence, result, text)

    def _start(self) -> None:
        if self._device.state is DeviceState.IDLE:
            if self._feed.pending is None:
                self._feed.go_on()
            self._device.state = DeviceState.STREAMING
            self._started_s = time.monotonic()
            self._send_hello()
        self._send_status()

    def _end_stream(self) -> None:
        streaming = self._device.state is DeviceState.STREAMING
        if streaming:
            self._device.state = DeviceState.IDLE
        self._send_status()
        if streaming:
            self._device.begin_session()

    def _reply(self, opcode: int, sequence: int, result: Result, text: str) -> None:
        answer = ReplyPayload(self._device.session, sequence, opcode, result, text)
        self._send(MessageType.REPLY, encode_reply(answer))

    def _send_hello(self) -> None:
        self._send(MessageType.HELLO, encode_hello(self._device.hello()))

    def _send_status(self) -> None:
        self._status_due_s = time.monotonic() + _STATUS_EVERY_S
        self._send(MessageType.STATUS, encode_status(self._device.status()))

    def _send(self, kind: MessageType, payload: bytes, n_samples: int = 0) -> bool:
        # Faults spare the last messages, so that the host can complete its count of lost samples.
        spared = self._device.state is not DeviceState.STREAMING
        return self._wire.send(kind, payload, self._device.time_s, n_samples, spared=spared)


def _throw_away(n_samples: int, feed: SampleFeed, device: VirtualDevice) -> None:
    """Skip samples, like a sensor whose buffer overran."""
    device.has_overrun |= n_samples > 0
    while n_samples > 0 and feed.pending is not None:
        gone = feed.skip(n_samples)
        device.pass_by(gone)
        n_samples -= gone


def _never() -> bool:
    return False


def _check_arguments(hello: Hello, speed: float | None, block_samples: int) -> None:
    most = max_block_samples(len(hello.axes))
    if not 1 <= block_samples <= most:
        raise VirtualDeviceError(
            f"A block holds 1 to {most} samples, got {block_samples}.", "block_samples", limit=most, got=block_samples
        )
    if speed is not None and not speed > 0:
        raise VirtualDeviceError(f"The playback speed must be > 0, got {speed}.", "speed", got=speed)
