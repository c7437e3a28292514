"""The device's end of a wire: frames in both directions, for as long as somebody is at the other end."""

from __future__ import annotations

from collections.abc import Callable

from firmware_bridge.errors import ProtocolError
from firmware_bridge.virtual.endpoints import Endpoint
from firmware_bridge.virtual.link_faults import LinkFaults
from firmware_bridge.wire.frames import DELIMITER, Frame, FrameSplitter, FrameWriter, decode_frame


class WireEnd:
    """Writes frames in whole, with what faults do to them, and takes those that come."""

    def __init__(self, endpoint: Endpoint, faults: LinkFaults, stop: Callable[[], bool]) -> None:
        """Take an endpoint over; `stop` is asked while a reader is slow."""
        self._endpoint, self._faults, self._stop = endpoint, faults, stop
        self._writer, self._splitter = FrameWriter(), FrameSplitter()
        self._was_present = self._is_unplugged = False

    @property
    def address(self) -> str:
        """What a reader opens."""
        return self._endpoint.address

    def is_read(self) -> bool:
        """Tell whether somebody is at the other end."""
        return self._endpoint.present()

    def listen(self, timeout_s: float, take: Callable[[Frame], None]) -> None:
        """Hand on the frames that came; return at once after some, else after `timeout_s`."""
        for piece in self._splitter.feed(self._endpoint.read(timeout_s)):
            try:
                frame = decode_frame(piece)
            except ProtocolError:  # damaged on the way; the host repeats what it needs
                continue
            take(frame)
        self._was_present = self._was_present and self._endpoint.present()

    def send(self, kind: int, payload: bytes, time_s: float, n_samples: int = 0, *, spared: bool) -> bool:
        """Write one frame in whole; False if nobody is there to read it, or leaves before it is written.

        Args:
            kind: Type of the message.
            payload: Of the message.
            time_s: Of the device, for the faults.
            n_samples: In it, if it is SAMPLES.
            spared: Whether faults leave it alone.
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
        """Pull the plug, or plug it in again."""
        if is_unplugged != self._is_unplugged:
            self._is_unplugged = is_unplugged
            (self._endpoint.unplug if is_unplugged else self._endpoint.replug)()

    def close(self) -> None:
        """Take everything away; harmless when repeated."""
        self._endpoint.close()
