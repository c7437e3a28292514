"""The position of a device in its session: next sample, device time, and whether a jump ahead is plausible."""

from __future__ import annotations

from collections import Counter

from firmware_bridge.support.bounds import COUNTER_END
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.messages import Hello, SamplesPayload

_BEHIND_S = 1.0
"""A repeated HELLO is behind by less than this; a HELLO further behind may mean a restart."""

_AHEAD_S, _SOON_S, _ROOM = 3600.0, 60.0, 1 << 16
"""A position more than `_AHEAD_S` ahead is accepted only if the next one follows it within `_SOON_S`. Both limits are
extended by `_ROOM` samples, because a block of a slow sensor may take longer."""

_U32 = 0xFFFF_FFFF


def extend(low_bits: int, near: int, modulus: int = 1 << 32) -> int:
    """Return the number nearest to `near` that equals `low_bits` modulo `modulus`."""
    return near + (low_bits - near + modulus // 2) % modulus - modulus // 2


class Position:
    """The position in the current session. Each sample below `next_sample` was delivered or is counted as lost."""

    def __init__(self, tally: Counter[str]) -> None:
        """Start at 0 without a session; count into `tally`, under the names of `StreamCounters`."""
        self._tally = tally
        self.next_sample = 0
        self.last_end = 0
        """Index after the last sample delivered."""
        self._device_time_us = self._overruns = 0
        self._sample_rate_hz = 1.0
        self._doubted: tuple[int, int] | None = None  # sample and device time of the last message, if too far ahead

    def begin(self, hello: Hello) -> None:
        """Take the position from the first HELLO of a session."""
        self.next_sample = self.last_end = hello.samples_produced
        self._device_time_us, self._overruns = hello.device_time_us, 0
        self._sample_rate_hz = hello.sample_rate_hz
        self._doubted = None

    def go_to(self, samples_produced: int, device_time_us: int) -> bool:
        """Advance to a position if it is plausible; return whether it was accepted."""
        doubted, self._doubted = self._doubted, None
        if self._is_in_reach(samples_produced, device_time_us):
            self._tally["malformed"] += doubted is not None
        elif doubted is None or not self._follows(doubted, samples_produced, device_time_us):
            self._tally["malformed"] += doubted is not None
            self._doubted = samples_produced, device_time_us
            return False
        self.advance(samples_produced, device_time_us)
        return True

    def advance(self, samples_produced: int, device_time_us: int) -> None:
        """Count as lost the samples that the device produced and the host did not get; ignore an older position."""
        self._tally["samples_lost"] += max(0, samples_produced - self.next_sample)
        self.next_sample = max(self.next_sample, samples_produced)
        self._device_time_us = max(self._device_time_us, device_time_us)

    def count_overruns(self, in_session: int) -> None:
        """Count new overruns. The block that reports an overrun may be lost; then a later STATUS reports it."""
        self._tally["overruns"] += max(0, in_session - self._overruns)
        self._overruns = max(self._overruns, in_session)

    def find(self, block: SamplesPayload) -> tuple[int, bool]:
        """Return the full index of a block's first sample, and whether that is plausible.

        A block that is too far ahead is accepted if it follows the position that was doubted before.
        """
        if block.first_sample == self.next_sample & _U32:
            return self.next_sample, True
        first = extend(block.first_sample, self.next_sample)
        is_near = 0 <= first - self.next_sample <= self._samples_in(_AHEAD_S)
        if not is_near and self._bears_out(block):
            return extend(block.first_sample, self.next_sample), True
        return first, is_near

    def doubt(self, block: SamplesPayload, first: int) -> None:
        """Remember the end of a block that is too far ahead: the next message may follow it."""
        self._tally["malformed"] += self._doubted is not None
        self._doubted = first + len(block.samples), extend(block.device_time_us, self._device_time_us)

    def deliver(self, block: SamplesPayload, first: int) -> SampleBlock:
        """Return the samples of a block; samples before it that did not come are lost. Move to the end of the block."""
        tally, n_samples = self._tally, len(block.samples)
        if self._doubted is not None:
            tally["malformed"] += 1
            self._doubted = None
        if block.overrun:
            self.count_overruns(self._overruns + 1)
        time_us = extend(block.device_time_us, self._device_time_us)
        if not 0 <= time_us < COUNTER_END:
            time_us = min(max(time_us, 0), COUNTER_END - 1)
        self._device_time_us = time_us
        tally["samples_lost"] += first - self.next_sample
        tally["samples_received"] += n_samples
        lost_before = first - self.last_end
        self.next_sample = self.last_end = first + n_samples
        return SampleBlock(first, time_us / 1e6, block.samples, lost_before, block.overrun)

    def is_long_past(self, sample: int) -> bool:
        """Return whether a sample is too far behind to belong to a repeated message."""
        return self.next_sample - sample > _BEHIND_S * self._sample_rate_hz

    def has_begun_anew(self, hello: Hello) -> bool:
        """Return whether a HELLO of this session is so far behind, in samples and time, that the device restarted."""
        return self.is_long_past(hello.samples_produced) and hello.device_time_us < self._device_time_us

    def _samples_in(self, seconds: float) -> float:
        return _ROOM + seconds * self._sample_rate_hz

    def _is_in_reach(self, sample: int, device_time_us: int) -> bool:
        ahead = sample - self.next_sample
        reach_s = _AHEAD_S + 2 * max(ahead, _ROOM) / self._sample_rate_hz
        return ahead <= self._samples_in(_AHEAD_S) and device_time_us - self._device_time_us <= 1e6 * reach_s

    def _follows(self, doubted: tuple[int, int], sample: int, device_time_us: int) -> bool:
        is_soon = 0 <= device_time_us - doubted[1] <= 1e6 * self._samples_in(_SOON_S) / self._sample_rate_hz
        return is_soon and 0 <= sample - doubted[0] <= self._samples_in(_SOON_S)

    def _bears_out(self, block: SamplesPayload) -> bool:
        """Return whether a block that is not the next one follows the doubted position; if so, move there."""
        if self._doubted is None:
            return False
        doubted = self._doubted
        position = extend(block.first_sample, doubted[0]), extend(block.device_time_us, doubted[1])
        if not self._follows(doubted, *position):
            return False
        self._doubted = None
        self.advance(*doubted)
        return True
