"""Sensors of a measurement: one process plays the same stream, made beforehand, to any number of pseudo-terminals.

The stream is that of a 2 Mbaud line (200 bytes per ms). A sensor begins as soon as its reader asks for it. A reader
that is too slow makes a sensor wait, where a serial port would drop bytes: `held_s` states for how long.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import tty
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from decode import BLOCK, RATE_HZ, frames

from firmware_bridge.wire.frames import DELIMITER

BYTES_PER_S = 200_000
PIECE_S = 0.001
"""Time in seconds on the line of the bytes that are written at once, if a sensor is played alone."""
_LOOK_S = 0.01


@dataclass(frozen=True)
class Wire:
    """The stream of a sensor as pieces of bytes with their times.

    Attributes:
        rate_hz: Sampling rate in Hz.
        axes: Number of axes.
        data: The bytes, HELLO first.
        at_s: Time in seconds at which each piece has been on the line.
        ends: Place in the data behind each piece.
        block_of: Number of the block that each piece ends; -1: it ends none.
    """

    rate_hz: float
    axes: int
    data: bytes
    at_s: list[float] = field(repr=False)
    ends: list[int] = field(repr=False)
    block_of: list[int] = field(repr=False)


@dataclass(frozen=True)
class Played:
    """What was played to one reader.

    Attributes:
        out_s: Time by `time.monotonic` at which the last byte of each block was written.
        held_s: Longest time in seconds for which bytes waited for the reader.
    """

    out_s: array[float]
    held_s: float


def wire_of(seconds: float, rate_hz: float = RATE_HZ, axes: int = 3) -> Wire:
    """Return the stream of a sensor for a number of seconds."""
    hello, *blocks = frames(seconds, rate_hz, axes)
    data = DELIMITER + hello  # the delimiter ends what the line may have held before
    parts, at_s, ends, block_of = [data], [0.0], [len(data)], [-1]
    line_free_s, end, most = 0.0, len(data), round(BYTES_PER_S * PIECE_S)
    for number, frame in enumerate(blocks):
        line_free_s = max(line_free_s, (number + 1) * BLOCK / rate_hz)  # a block is sent once its last sample is there
        for start in range(0, len(frame), most):
            length = min(most, len(frame) - start)
            line_free_s, end = line_free_s + length / BYTES_PER_S, end + length
            at_s.append(line_free_s)
            ends.append(end)
            block_of.append(number if start + length == len(frame) else -1)
        parts.append(frame)
    return Wire(rate_hz, axes, b"".join(parts), at_s, ends, block_of)


class _Player:
    """One sensor on a pseudo-terminal."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(slave)
        self.began_s: float | None = None
        self._sent = self._piece = 0
        self._out = array("d")
        self._held_s = 0.0

    def step(self, now_s: float) -> float:
        """Write what is due; return the time at which the next piece is."""
        if self.began_s is None:
            with suppress(BlockingIOError):
                os.read(self._master, 100)
                self.began_s = now_s
            return now_s + _LOOK_S
        wire = self._wire
        due = bisect_right(wire.at_s, now_s - self.began_s, self._piece)
        if due > self._piece:
            self._write(due)
        if self._piece < due:
            self._held_s = max(self._held_s, now_s - self.began_s - wire.at_s[self._piece])
        if self._piece == len(wire.ends):
            return now_s + 3600.0
        return self.began_s + wire.at_s[self._piece]

    def _write(self, due: int) -> None:
        wire = self._wire
        with suppress(BlockingIOError):
            self._sent += os.write(self._master, memoryview(wire.data)[self._sent : wire.ends[due - 1]])
        written_s = time.monotonic()
        while self._piece < due and wire.ends[self._piece] <= self._sent:
            if wire.block_of[self._piece] >= 0:
                self._out.append(written_s)
            self._piece += 1

    def played(self) -> Played:
        """Return what was played."""
        return Played(self._out, self._held_s)


def _play(pipe: Connection, wire: Wire, sensors: int, every_s: float) -> None:
    players = [_Player(wire) for _ in range(sensors)]
    pipe.send([each.path for each in players])
    next_s = time.monotonic()
    while not pipe.poll():
        next_s = max(min(each.step(time.monotonic()) for each in players), next_s + every_s)
        time.sleep(min(max(0.0, next_s - time.monotonic()), 0.1))
    pipe.recv()
    pipe.send([each.played() for each in players])
    pipe.recv()  # a closed pseudo-terminal would discard what was not read


class Players:
    """The process of the sensors."""

    def __init__(self, wire: Wire, sensors: int, every_s: float) -> None:
        """Start it; see `playing`."""
        context = multiprocessing.get_context("fork")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_play, args=(there, wire, sensors, every_s), daemon=True)
        self._process.start()
        self.ports: list[str] = self._pipe.recv()

    def stop(self) -> list[Played]:
        """Stop playing, and return what was played; the ports stay open."""
        self._pipe.send("stop")
        played: list[Played] = self._pipe.recv()
        return played

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


@contextmanager
def playing(wire: Wire, sensors: int = 1, every_s: float = 0.0) -> Iterator[Players]:
    """Yield sensors that play a stream, and end them.

    Args:
        wire: The stream.
        sensors: Number of sensors.
        every_s: Shortest time in seconds between two writes; 0: each piece is written when it is due.
    """
    players = Players(wire, sensors, every_s)
    try:
        yield players
    finally:
        players.close()
