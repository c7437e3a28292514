"""Faults of a link: takes the frames that are sent, returns the bytes that arrive."""

from __future__ import annotations

import math

import numpy as np

from firmware_bridge.virtual.fault_plan import FaultPlan, Totals
from firmware_bridge.virtual.fault_script import BYTE_KINDS


class LinkFaults:
    """Applies the link faults of a plan to frames."""

    def __init__(self, plan: FaultPlan, totals: Totals, seed: int) -> None:
        """Use a plan and a seed; frames and samples are counted in `totals`."""
        self._plan, self._totals = plan, totals
        self._random = np.random.default_rng(seed)
        self._last_byte = 0
        self._held: list[bytes] = []

    def unplugged(self, time_s: float) -> bool:
        """Return whether the port is unplugged at a time."""
        return bool(self._plan.now("unplug", time_s))

    def lost(self, n_samples: int) -> None:
        """Count a block that was never sent: there was no reader, or the port was unplugged."""
        self._totals.samples_produced += n_samples
        self._totals.samples_lost += n_samples

    def frame(self, encoded: bytes, time_s: float, n_samples: int = 0, *, spared: bool = False) -> bytes:
        """Return the bytes that arrive of a frame: none, a damaged copy, one copy, or two.

        Args:
            encoded: The frame with its delimiter, and possibly a delimiter in front.
            time_s: Time at which the frame is sent.
            n_samples: Samples in the frame, 0 for other messages than SAMPLES.
            spared: Whether to apply no faults to this frame.
        """
        self._totals.frames_sent += 1
        self._totals.samples_produced += n_samples
        if spared or not self._plan:
            self._held.append(self._emit(encoded, whole=True))
            arrived = 1
        else:
            arrived = sum(self._send_copy(encoded, time_s) for _ in range(self._copies(time_s)))
        if n_samples and arrived == 0:
            self._totals.samples_lost += n_samples
            self._plan.truth({"type": "lost", "time_s": time_s, "samples": n_samples})
        if n_samples and arrived > 1:
            self._totals.blocks_repeated += arrived - 1
            self._totals.samples_repeated += (arrived - 1) * n_samples
        if self._plan.now("stall", time_s) and not spared:
            return b""
        data = b"".join(self._held)
        self._held.clear()
        self._totals.bytes_sent += len(data)
        return data

    def _copies(self, time_s: float) -> int:
        copies = 1
        if self._chance("drop-frame", time_s):
            copies = 0
            self._totals.frames_damaged += 1
        elif self._chance("repeat-frame", time_s):
            copies = 2
        return copies

    def _chance(self, kind: str, time_s: float) -> bool:
        return any(self._random.random() < fault.value for fault in self._plan.now(kind, time_s))

    def _send_copy(self, encoded: bytes, time_s: float) -> bool:
        """Send one copy, and return whether it arrives undamaged."""
        if self._plan.now("garbage", time_s):
            noise = self._random.integers(1, 256, len(encoded), dtype=np.uint8).tobytes()
            self._held.append(self._emit(noise, whole=False))
            return False
        damaged = self._damage(encoded, time_s)
        # A frame begins and ends at a delimiter; extra delimiters around it do no harm.
        begins = self._last_byte == 0 or damaged.startswith(b"\0")
        whole = begins and damaged.endswith(b"\0") and damaged.strip(b"\0") == encoded.strip(b"\0")
        self._held.append(self._emit(damaged, whole=whole))
        return whole

    def _emit(self, data: bytes, *, whole: bool) -> bytes:
        self._totals.frames_damaged += not whole
        if data:
            self._last_byte = data[-1]
        return data

    def _damage(self, encoded: bytes, time_s: float) -> bytes:
        chances = {kind: 1 - math.prod(1 - f.value for f in self._plan.now(kind, time_s)) for kind in BYTE_KINDS}
        if not any(chances.values()):
            return encoded
        draw = self._random.random((3, len(encoded)))
        flip, drop, repeat = (draw[row] < chances[kind] for row, kind in enumerate(BYTE_KINDS))
        if not (flip.any() or drop.any() or repeat.any()):
            return encoded
        data = np.frombuffer(encoded, np.uint8).copy()
        data[flip] ^= (1 << self._random.integers(0, 8, int(flip.sum()))).astype(np.uint8)
        times = np.where(drop, 0, np.where(repeat, 2, 1))
        return np.repeat(data, times).tobytes()
