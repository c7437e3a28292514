"""Faults of a link and of a sensor, by a script and a seed, with a true account of what they cost.

A script is a list of faults, each a line such as

    flip 1e-5                   each byte gets a flipped bit with this probability
    drop-byte 1e-5              each byte is left out with this probability
    repeat-byte 1e-5            ... is sent twice
    drop-frame 0.01             each frame is left out
    repeat-frame 0.01           ... is sent twice
    garbage at 10 for 2         nothing but noise for 2 s from 10 s on: another baud rate, another device
    stall at 10 for 2           nothing comes for 2 s, and then all of it
    unplug at 10 for 2          the port is gone
    overrun 80 at 10            the sensor throws 80 samples away, and the device says so
    clip 0.5 at 10 for 2        counts stop at this share of their range
    stuck 0 at 10               axis 0 keeps its value
    swap 0 at 10                axis 0 and the next change places
    bit 5 at 10                 bit 5 of each count is stuck at 0
    wrap 12 at 10               counts are cut to 12 bits in two's complement
    freeze 1024 at 10           the last 1024 samples come again and again
    rate 0.01 at 10             the sensor is faster by this share and says nothing
    clock-drift 0.0001 at 10    the device's clock is fast by this share
    clock-step 0.5 at 10        the device's clock jumps ahead by so many seconds

Times are seconds of the device since it began to stream. What has no `at` holds from the start, what has no `for` to
the end. The same script and seed do the same to the same frames.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import FaultScriptError
from firmware_bridge.wire.messages import Counts

_BYTE_KINDS = ("flip", "drop-byte", "repeat-byte")
_FRAME_KINDS = ("drop-frame", "repeat-frame")
_SPAN_KINDS = ("garbage", "stall", "unplug")
KINDS = {
    **dict.fromkeys((*_BYTE_KINDS, *_FRAME_KINDS), "a probability, 0 to 1"),
    **dict.fromkeys(_SPAN_KINDS, None),
    "overrun": "a number of samples >= 1",
    "clip": "a share, 0 to 1",
    "stuck": "the number of an axis, from 0",
    "swap": "the number of an axis, from 0",
    "bit": "the number of a bit, 0 to 23",
    "wrap": "a number of bits, 2 to 24",
    "freeze": "a number of samples >= 1",
    "rate": "a share > -1",
    "clock-drift": "a share > -1",
    "clock-step": "seconds >= 0",
}
"""What each kind of fault takes as its value; None: nothing."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LINE = re.compile(rf"([a-z-]+)(?:\s+({_NUMBER}))?(?:\s+at\s+({_NUMBER}))?(?:\s+for\s+({_NUMBER}))?")

Truth = Callable[[dict[str, Any]], None]
"""Told of each fault that was done, as values for JSON."""


@dataclass(frozen=True)
class Fault:
    """One line of a script.

    Attributes:
        kind: One of `KINDS`.
        value: What it takes, 0 where it takes nothing.
        at_s: When it begins.
        for_s: How long it lasts.
    """

    kind: str
    value: float = 0.0
    at_s: float = 0.0
    for_s: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what cannot be, as `FaultScriptError`."""
        if self.kind not in KINDS:
            raise FaultScriptError(f"Expected a fault among {', '.join(KINDS)}, got {self.kind!r}.")
        if not _value_fits(self.kind, self.value):
            raise FaultScriptError(f"Expected {KINDS[self.kind]} for {self.kind}, got {self.value:g}.")
        if not (self.at_s >= 0 and self.for_s > 0):
            got = f"at {self.at_s:g} for {self.for_s:g}"
            raise FaultScriptError(f"Expected {self.kind} at 0 s or later for more than 0 s, got {got}.")
        if self.kind in _SPAN_KINDS and math.isinf(self.for_s):
            raise FaultScriptError(f"Expected {self.kind} with an end, got none. Write `{self.kind} at 10 for 2`.")

    def holds(self, time_s: float) -> bool:
        """Whether it holds at a time."""
        return self.at_s <= time_s < self.at_s + self.for_s


def _value_fits(kind: str, value: float) -> bool:
    takes = KINDS[kind]
    if takes is None:
        return value == 0
    if "bit" in takes:
        lowest, highest = (2, 24) if kind == "wrap" else (0, 23)
        return value == round(value) and lowest <= value <= highest
    if "axis" in takes or "samples" in takes:
        return value == round(value) and value >= (1 if "samples" in takes else 0)
    if "0 to 1" in takes:
        return 0 <= value <= 1
    return math.isfinite(value) and value > -1 and (value >= 0 or kind != "clock-step")


def parse_fault(line: str) -> Fault:
    """Return the fault of a line.

    Raises:
        FaultScriptError: If the line is none.
    """
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise FaultScriptError(f"Expected a fault such as `flip 1e-5` or `unplug at 10 for 2`, got {line.strip()!r}.")
    kind, value, at_s, for_s = match.groups()
    if kind in KINDS and (value is None) != (KINDS[kind] is None):
        raise FaultScriptError(f"Expected {KINDS[kind] or 'no value'} for {kind}, got {line.strip()!r}.")
    return Fault(kind, float(value or 0), float(at_s or 0), math.inf if for_s is None else float(for_s))


def parse_script(lines: Iterable[str]) -> tuple[Fault, ...]:
    """Return the faults of a script; empty lines and those that begin with # say nothing.

    Raises:
        FaultScriptError: If a line is none, with its number.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(parse_fault(line))
            except FaultScriptError as exc:
                raise FaultScriptError(f"Line {number} of the script: {exc}") from exc
    return tuple(found)


@dataclass
class Totals:
    """What a device did and what became of it, exact as long as the host hears the first HELLO and the last STATUS.

    Attributes:
        samples_produced: By the device, thrown away or not.
        samples_lost: Of those, the ones in no frame that arrived whole, those thrown away by the sensor included.
        blocks_repeated: SAMPLES frames that arrived whole a second time.
        samples_repeated: Samples in them.
        frames_sent: By the device, before the faults.
        frames_damaged: Of those and their repetitions, the ones that did not arrive whole.
        overruns: How often the sensor threw samples away.
        bytes_sent: After the faults.
    """

    samples_produced: int = 0
    samples_lost: int = 0
    blocks_repeated: int = 0
    samples_repeated: int = 0
    frames_sent: int = 0
    frames_damaged: int = 0
    overruns: int = 0
    bytes_sent: int = 0


class FaultInjector:
    """Does to a device's samples, clock and frames what a script says."""

    def __init__(self, script: Sequence[Fault], seed: int, truth: Truth | None = None) -> None:
        """Begin; `truth` is told of each fault that is done."""
        self._script = tuple(script)
        self._random = np.random.default_rng(seed)
        self._truth = truth or (lambda _: None)
        self._told: set[Fault] = set()
        self._done: set[Fault] = set()
        self._kept: dict[int, int] = {}
        self._past: deque[NDArray[Any]] = deque()
        self._frozen: dict[Fault, tuple[NDArray[Any], int]] = {}
        self._last_byte = 0
        self._held: list[bytes] = []
        self.totals = Totals()

    # --- the sensor ----------------------------------------------------------------------------------------------

    def rate_factor(self, time_s: float) -> float:
        """Return by how much faster than it says the sensor is at a time."""
        return math.prod(1 + fault.value for fault in self._now("rate", time_s))

    def device_time_s(self, time_s: float) -> float:
        """Return what the device's clock shows at a time."""
        drifted = sum(
            fault.value * (min(time_s, fault.at_s + fault.for_s) - fault.at_s)
            for fault in self._script
            if fault.kind == "clock-drift" and time_s > fault.at_s
        )
        steps = sum(f.value for f in self._script if f.kind == "clock-step" and time_s >= f.at_s)
        self._tell("clock-drift", time_s)
        self._tell("clock-step", time_s)
        return time_s + drifted + steps

    def thrown_away(self, time_s: float) -> int:
        """Return how many samples the sensor throws away at a time; each fault once."""
        samples = 0
        for fault in self._script:
            if fault.kind == "overrun" and fault.at_s <= time_s and fault not in self._done:
                self._done.add(fault)
                samples += int(fault.value)
        if samples:
            self.totals.overruns += 1
            self.totals.samples_produced += samples
            self.totals.samples_lost += samples
            self._truth({"type": "fault", "kind": "overrun", "time_s": time_s, "samples": samples})
        return samples

    def counts(self, counts: Counts, time_s: float) -> Counts:
        """Return the counts of a block as the sensor gives them, shape (n, axes)."""
        changed: NDArray[Any] = counts
        for fault in self._now("clip", time_s):
            limit = round(fault.value * np.iinfo(counts.dtype).max)
            changed = np.clip(changed, -limit, limit)
        for fault in self._now("swap", time_s):
            order = list(range(changed.shape[1]))
            one, other = int(fault.value) % len(order), (int(fault.value) + 1) % len(order)
            order[one], order[other] = order[other], order[one]
            changed = changed[:, order]
        for fault in self._now("stuck", time_s):
            axis = int(fault.value) % changed.shape[1]
            changed = changed.copy()
            changed[:, axis] = self._kept.setdefault(axis, int(changed[0, axis]))
        return self._frozen_or_not(self._in_bits(changed, time_s).astype(counts.dtype), time_s)

    def _in_bits(self, counts: NDArray[Any], time_s: float) -> NDArray[Any]:
        for fault in self._now("bit", time_s):
            counts = counts.astype(np.int64) & ~(1 << int(fault.value))
        for fault in self._now("wrap", time_s):
            half = 1 << (int(fault.value) - 1)
            counts = (counts.astype(np.int64) + half) % (2 * half) - half
        return counts

    def _frozen_or_not(self, counts: NDArray[Any], time_s: float) -> NDArray[Any]:
        """Return the counts, or those from before the buffer froze: again and again, on through the blocks."""
        for fault in self._now("freeze", time_s):
            if fault not in self._frozen and self._past:
                self._frozen[fault] = np.concatenate(self._past)[-int(fault.value) :], 0
            if fault in self._frozen:
                kept, at = self._frozen[fault]
                self._frozen[fault] = kept, at + len(counts)
                return np.asarray(kept[(at + np.arange(len(counts))) % len(kept)])
        longest = max((int(fault.value) for fault in self._script if fault.kind == "freeze"), default=0)
        if longest:
            self._past.append(counts)
            while sum(map(len, self._past)) - len(self._past[0]) >= longest:
                self._past.popleft()
        return counts

    # --- the link ------------------------------------------------------------------------------------------------

    def unplugged(self, time_s: float) -> bool:
        """Whether the port is gone."""
        return bool(self._now("unplug", time_s))

    def lost(self, n_samples: int) -> None:
        """Count a block that never became bytes: nobody was there, or the plug was pulled."""
        self.totals.samples_produced += n_samples
        self.totals.samples_lost += n_samples

    def frame(self, encoded: bytes, time_s: float, n_samples: int = 0, *, spared: bool = False) -> bytes:
        """Return what becomes of a frame on the wire: nothing, something, or more than it was.

        Args:
            encoded: With its delimiter, and perhaps one before it.
            time_s: When it is sent.
            n_samples: In it, if it is SAMPLES.
            spared: Whether to leave it alone.
        """
        self.totals.frames_sent += 1
        self.totals.samples_produced += n_samples
        if spared or not self._script:
            self._held.append(self._emit(encoded, whole=True))
            arrived = 1
        else:
            arrived = sum(self._send_copy(encoded, time_s) for _ in range(self._copies(time_s)))
        if n_samples and arrived == 0:
            self.totals.samples_lost += n_samples
            self._truth({"type": "lost", "time_s": time_s, "samples": n_samples})
        if n_samples and arrived > 1:
            self.totals.blocks_repeated += arrived - 1
            self.totals.samples_repeated += (arrived - 1) * n_samples
        if self._now("stall", time_s) and not spared:
            return b""
        data = b"".join(self._held)
        self._held.clear()
        self.totals.bytes_sent += len(data)
        return data

    def account(self) -> dict[str, Any]:
        """Return the totals, as values for JSON."""
        return {"type": "totals", **asdict(self.totals)}

    def _copies(self, time_s: float) -> int:
        copies = 1
        if self._chance("drop-frame", time_s):
            copies = 0
            self.totals.frames_damaged += 1
        elif self._chance("repeat-frame", time_s):
            copies = 2
        return copies

    def _chance(self, kind: str, time_s: float) -> bool:
        return any(self._random.random() < fault.value for fault in self._now(kind, time_s))

    def _send_copy(self, encoded: bytes, time_s: float) -> bool:
        """Send one copy, and say whether it arrives whole."""
        if self._now("garbage", time_s):
            noise = self._random.integers(1, 256, len(encoded), dtype=np.uint8).tobytes()
            self._held.append(self._emit(noise, whole=False))
            return False
        damaged = self._damage(encoded, time_s)
        # A frame is what lies between two delimiters, however many they are.
        begins = self._last_byte == 0 or damaged.startswith(b"\0")
        whole = begins and damaged.endswith(b"\0") and damaged.strip(b"\0") == encoded.strip(b"\0")
        self._held.append(self._emit(damaged, whole=whole))
        return whole

    def _emit(self, data: bytes, *, whole: bool) -> bytes:
        self.totals.frames_damaged += not whole
        if data:
            self._last_byte = data[-1]
        return data

    def _damage(self, encoded: bytes, time_s: float) -> bytes:
        chances = {kind: 1 - math.prod(1 - f.value for f in self._now(kind, time_s)) for kind in _BYTE_KINDS}
        if not any(chances.values()):
            return encoded
        draw = self._random.random((3, len(encoded)))
        flip, drop, repeat = (draw[row] < chances[kind] for row, kind in enumerate(_BYTE_KINDS))
        if not (flip.any() or drop.any() or repeat.any()):
            return encoded
        data = np.frombuffer(encoded, np.uint8).copy()
        data[flip] ^= (1 << self._random.integers(0, 8, int(flip.sum()))).astype(np.uint8)
        times = np.where(drop, 0, np.where(repeat, 2, 1))
        return np.repeat(data, times).tobytes()

    def _now(self, kind: str, time_s: float) -> list[Fault]:
        self._tell(kind, time_s)
        return [fault for fault in self._script if fault.kind == kind and fault.holds(time_s)]

    def _tell(self, kind: str, time_s: float) -> None:
        for fault in self._script:
            if fault.kind == kind and fault.holds(time_s) and fault not in self._told:
                self._told.add(fault)
                values = {name: value for name, value in asdict(fault).items() if value != math.inf}
                self._truth({"type": "fault", "time_s": time_s, **values})
