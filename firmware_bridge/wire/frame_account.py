"""What a link did to the frames of a device: which pieces were damaged, and how many frames never came."""

from __future__ import annotations

from collections import Counter

from firmware_bridge.wire.frames import SEQUENCE_MODULUS
from firmware_bridge.wire.position import extend


class FrameAccount:
    """Counts frames, whole, damaged and missing, into a tally by the names of `StreamCounters`."""

    def __init__(self, tally: Counter[str]) -> None:
        """Begin on a link of which nothing came yet."""
        self._tally = tally
        self.reset_link()

    def reset_link(self) -> None:
        """Begin anew: the bytes were cut here, and the sequence may go on anywhere."""
        self.in_step = False
        """Whether a delimiter was seen: what comes before the first may be half a frame."""
        self._damaged = False
        self._next_sequence: int | None = None
        self._session: int | None = None
        self._frames_without_session = 0

    def damaged(self, piece: bytes) -> None:
        """Count a piece between delimiters that is no frame."""
        self._tally["garbage_bytes"] += len(piece)
        if self.in_step:
            self._tally["crc_errors"] += 1
            self._damaged = True

    def whole(self) -> None:
        """Count a frame with a right CRC, whatever is inside."""
        self._tally["frames_ok"] += 1
        if self._damaged:
            self._tally["resyncs"] += 1
            self._damaged = False

    def malformed(self) -> None:
        """Count a whole frame whose contents cannot be."""
        self._tally["malformed"] += 1
        self._frames_without_session += 1

    def without_session(self) -> None:
        """Note a whole frame that names no session: it fills one place in the sequence of whichever goes on."""
        self._frames_without_session += 1

    def in_session(self, sequence: int, session: int) -> None:
        """Count the gap to the last frame of this session; frames that named no session fill it as well."""
        if self._next_sequence is not None and session == self._session:
            gap = extend(sequence, self._next_sequence, SEQUENCE_MODULUS) - self._next_sequence
            if gap < 0:  # a repeated frame
                return
            self._tally["frames_lost"] += max(0, gap - self._frames_without_session)
        self._session = session
        self._next_sequence = (sequence + 1) % SEQUENCE_MODULUS
        self._frames_without_session = 0
