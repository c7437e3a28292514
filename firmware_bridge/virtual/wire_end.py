"""The device's end of a wire: frames in both directions while a reader is present."""

from __future__ import annotations

from collections.abc import Callable

from firmware_bridge.errors import ProtocolError
from firmware_bridge.virtual.endpoints import Endpoint
from firmware_bridge.virtual.link_faults import LinkFaults
from firmware_bridge.wire.frames import DELIMITER, Frame, FrameSplitter, FrameWriter, decode_frame


class WireEnd:
    """Writes frames with faults applied, and reads frames."""

    def __init__(self, endpoint: Endpoint, faults: LinkFaults, stop: Callable[[], bool]) -> None:
        """Take over an endpoint; `stop` is called while a slow reader blocks a write."""
        self._endpoint, self._faults, self._stop = endpoint, faults, stop
        self._writer, self._splitter = FrameWriter(), FrameSplitter()
        self._was_present = self._is_unplugged = False

    @property
    def address(self) -> str:
        """The port for the reader to open."""
        return self._endpoint.address

    def is_read(self) -> bool:
        """Return whether a reader has the port open."""
        return self._endpoint.present()

    @property
    def is_unplugged(self) -> bool:
        """Whether the port is unplugged."""
        return self._is_unplugged

    def listen(self, timeout_s: float, take: Callable[[Frame], None]) -> None:
        """Pass received frames to `take`; return as soon as some came, otherwise after `timeout_s`."""
        for piece in self._splitter.feed(self._endpoint.read(timeout_s)):
            try:
                frame = decode_frame(piece)
            except ProtocolError:  # damaged on the way; the host repeats its commands
                continue
            take(frame)
        self._was_present = self._was_present and self._endpoint.present()

    def send(self, kind: int, payload: bytes, time_s: float, n_samples: int = 0, *, spared: bool) -> bool:
        """Write one frame; return False if no reader is present, or it leaves before the frame is written.

        Args:
            kind: Type of the message.
            payload: Payload of the message.
            time_s: Time of the device, for the faults.
            n_samples: Samples in the message, 0 for other messages than SAMPLES.
            spared: Whether to apply no faults to this frame.
        """
        present = self._endpoint.present()
        first = present and not self._was_present
        self._was_present = present
        if not present:
            return False
        frame = self._writer.encode(kind, payload)
        data = self._faults.frame(DELIMITER + frame if first else frame, time_s, n_samples, spared=spared)
        if not self._endpoint.write(data, self._stop):
            self._was_present = False
            return False
        return True

    def plug(self, is_unplugged: bool) -> None:
        """Unplug the port, or plug it in again."""
        if is_unplugged != self._is_unplugged:
            self._is_unplugged = is_unplugged
            (self._endpoint.unplug if is_unplugged else self._endpoint.replug)()

    def close(self) -> None:
        """Remove the port; harmless when repeated."""
        self._endpoint.close()
