"""Counts the frames of a device on a link: undamaged, damaged and missing ones."""

from __future__ import annotations

from collections import Counter

from firmware_bridge.wire.frames import SEQUENCE_MODULUS
from firmware_bridge.wire.position import extend


class FrameAccount:
    """Counts undamaged, damaged and missing frames into a tally, under the names of `StreamCounters`."""

    def __init__(self, tally: Counter[str]) -> None:
        """Begin at the start of a link; count into `tally`."""
        self._tally = tally
        self.reset_link()

    def reset_link(self) -> None:
        """Restart: the byte stream was interrupted, and the sequence may continue anywhere."""
        self.in_step = False
        """Whether a delimiter came; the bytes before the first one may be an incomplete frame."""
        self._damaged = False
        self._next_sequence: int | None = None
        self._session: int | None = None
        self._frames_without_session = 0

    def damaged(self, piece: bytes) -> None:
        """Count a piece between delimiters that is not a frame."""
        self._tally["garbage_bytes"] += len(piece)
        if self.in_step:
            self._tally["crc_errors"] += 1
            self._damaged = True

    def whole(self) -> None:
        """Count a frame with a correct CRC, whatever it contains."""
        self._tally["frames_ok"] += 1
        if self._damaged:
            self._tally["resyncs"] += 1
            self._damaged = False

    def malformed(self) -> None:
        """Count a frame with a correct CRC and impossible content."""
        self._tally["malformed"] += 1
        self._frames_without_session += 1

    def without_session(self) -> None:
        """Note a frame without a session: it takes one number in the sequence of the current session."""
        self._frames_without_session += 1

    def in_session(self, sequence: int, session: int) -> None:
        """Count the gap in the sequence since the last frame of this session, less the frames without a session."""
        if sequence != self._next_sequence and self._next_sequence is not None and session == self._session:
            gap = extend(sequence, self._next_sequence, SEQUENCE_MODULUS) - self._next_sequence
            if gap < 0:  # a repeated frame
                return
            self._tally["frames_lost"] += max(0, gap - self._frames_without_session)
        self._session = session
        self._next_sequence = (sequence + 1) % SEQUENCE_MODULUS
        self._frames_without_session = 0
