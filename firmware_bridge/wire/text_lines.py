"""Decoder of lines of numbers, as sketches print them for Edge Impulse's data forwarder. No I/O.

A line has no sample index and no checksum, so losses on such a link cannot be counted exactly;
`StreamCounters.losses_counted` is False. Instead, an invalid line interrupts the stream, the sampling rate is measured
against the host's clock before any sample is delivered, and each sample gets its index by that clock, so that missing
lines show as a gap of about their length.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import ProtocolError
from firmware_bridge.support.bounds import FULL_SCALES
from firmware_bridge.wire.clock import HostClock
from firmware_bridge.wire.events import DeviceRestarted, SampleBlock
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.stream import StreamCounters, counters_of

LINES_MODEL = "lines of numbers"
"""Sensor model in the Hello of such a link, also in its raw logs."""

SKIP = "-"
"""Name of a column that is not an axis."""

MEASURE_S = 3.0
"""Seconds for which the rate of lines is measured before samples are delivered."""
_CRUDE_S = 1.0
_MAX_LINE = 256
_MAX_NUMBER = 32
_NO_LINE = b"?"
_LATE_S = 0.1
"""If lines come this much later than the measured rate allows, and no more are waiting, lines are missing."""
_UNSTEADY = 3
_UNSTEADY_S = 10.0
"""`_UNSTEADY` gaps within `_UNSTEADY_S` mean that the sampling rate has changed."""
_COUNT_BITS = 22
"""Full scale is 2^22 counts, so that twice full scale still fits 24 bits and shows as clipped."""
_COUNT_LIMIT = 2**23 - 1


@dataclass(frozen=True)
class TextLayout:
    """The meaning of the numbers on a line, which the lines themselves do not tell.

    Attributes:
        unit: Unit of the axes, after `factor`.
        full_scale: Largest magnitude that the sensor measures, in `unit`, > 0.
        factor: Factor from printed numbers to `unit`: 1 if the sketch prints the unit, the sensor's scale if it prints
            counts.
        axes: Names of the columns, `-` for a column to skip; empty: x, y, z for up to three columns.
    """

    unit: str
    full_scale: float
    factor: float = 1.0
    axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ProtocolError: If full scale or factor is out of range, or the names of the axes are empty or repeated.
        """
        lowest, highest = FULL_SCALES
        if not lowest <= self.full_scale <= highest:
            raise ProtocolError(
                f"The full scale of lines of numbers must be {lowest:g} to {highest:g}, got {self.full_scale:g}.",
                "full_scale",
                got=self.full_scale,
            )
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise ProtocolError(
                f"The factor from printed numbers to {self.unit} must be > 0, got {self.factor}.",
                "factor",
                got=self.factor,
            )
        named = [axis for axis in self.axes if axis != SKIP]
        if self.axes and (not named or len(named) != len(set(named)) or "" in named):
            raise ProtocolError(
                f"The columns {','.join(self.axes)} need at least one axis, and each axis a name of its own.",
                "axes",
                got=self.axes,
            )

    @property
    def scale(self) -> float:
        """Unit per count."""
        return self.full_scale / (1 << _COUNT_BITS)

    def axes_of(self, n_columns: int) -> tuple[str, ...]:
        """Return the names of `n_columns` columns.

        Raises:
            ProtocolError: If the layout names another number of columns.
        """
        names = self.axes or ("x", "y", "z")[:n_columns]
        if len(names) != n_columns:
            raise ProtocolError(
                f"Expected lines of {len(names)} numbers ({','.join(names)}), got {n_columns}. "
                f"Name every column with --text-axes, such as x,y,z,{SKIP},{SKIP},{SKIP}.",
                "columns",
                axes=names,
                got=n_columns,
            )
        return names


Numbers = NDArray[np.float64]


def parse_lines(lines: Sequence[bytes]) -> list[Numbers | None]:
    """Return the numbers of each line, shape (columns,); None for an invalid line."""
    rows = [line.replace(b"\t", b",").replace(b";", b",").split(b",") for line in lines]
    widths = {len(row) for row in rows}
    if len(widths) == 1:  # the usual case: all lines are parsed at once
        numbers = _floats([cell for row in rows for cell in row])
        if numbers is not None and np.isfinite(numbers).all():
            return list(numbers.reshape(len(rows), -1))
    found = [_floats(row) for row in rows]
    return [None if row is None or not np.isfinite(row).all() else row for row in found]


def _floats(cells: list[bytes]) -> Numbers | None:
    if max(map(len, cells)) > _MAX_NUMBER:  # NumPy would cut the text, which changes the number
        return None
    try:
        return np.array(cells, dtype=f"S{_MAX_NUMBER}").astype(np.float64)
    except ValueError:
        return None


class LineReader:
    """Cuts bytes into lines of numbers, in bounded memory; other bytes are counted as garbage."""

    def __init__(self, tally: Counter[str]) -> None:
        """Begin at the start of a link; count into `tally`, under the names of `StreamCounters`."""
        self._tally = tally
        self._rest = b""
        self._in_step = False  # whether an end of line came; the bytes before the first one may be an incomplete line

    def reset_link(self) -> None:
        """Restart: the byte stream was interrupted here."""
        self._tally["garbage_bytes"] += len(self._rest)
        self._rest, self._in_step = b"", False

    def read(self, data: bytes) -> list[Numbers | None]:
        """Take in bytes; return the numbers of each line that they complete, None for an invalid line."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not self._in_step and lines:
            self._tally["garbage_bytes"] += len(lines[0])  # may be the end of a line
            lines, self._in_step = lines[1:], True
        if len(self._rest) > _MAX_LINE:  # too long for a line of numbers; the rest of it is discarded as well
            lines += [_NO_LINE] if self._in_step else []
            self._tally["garbage_bytes"] += len(self._rest) - len(_NO_LINE) * self._in_step
            self._rest, self._in_step = b"", False
        lines = [line for line in (line.strip() for line in lines) if line]
        rows = parse_lines(lines)
        self._tally["garbage_bytes"] += sum(len(line) for line, row in zip(lines, rows, strict=True) if row is None)
        return rows


class TextDecoder:
    """Decodes the lines of one sketch; samples are delivered once the rate is measured, after three seconds."""

    def __init__(self, layout: TextLayout, device_id: str) -> None:
        """Start with the layout of the lines, and the name of the device for its Hello."""
        self._layout = layout
        self._device_id = device_id
        self._tally: Counter[str] = Counter()
        self._lines = LineReader(self._tally)
        self._damaged = False
        self._hello: Hello | None = None
        self._session = 0
        self._begin_session()

    def _begin_session(self) -> None:
        self._session += 1
        self._clock = HostClock()
        self._seed_hz = 0.0
        self._began_s: float | None = None
        self._held: list[tuple[float, list[Numbers | None]]] = []  # of the measurement
        self._next = 0  # index of the next sample
        self._lost = 0  # right before it
        self._origin_s = 0.0
        self._gaps: deque[float] = deque(maxlen=_UNSTEADY)
        self._measured = False

    @property
    def hello(self) -> Hello | None:
        """The description of the device; None until its rate is measured."""
        return self._hello

    @property
    def counters(self) -> StreamCounters:
        """The counters so far."""
        return counters_of(self._tally, losses_counted=False)

    def reset_link(self) -> None:
        """Note that the byte stream was interrupted here."""
        self._lines.reset_link()

    def introduce_again(self) -> None:
        """Measure the rate again and yield a new Hello, for a new iteration."""
        self._begin_session()

    def feed(
        self, data: bytes, host_time_s: float, has_more: bool = False
    ) -> list[SampleBlock | Hello | DeviceRestarted]:
        """Take in bytes, and return the events that they complete, in order.

        Args:
            data: Any number of bytes.
            host_time_s: Arrival time by a monotonic clock, in seconds.
            has_more: Whether more bytes wait to be read, which explains why these are late.

        Raises:
            ProtocolError: If the lines do not fit the layout.
        """
        self._tally["bytes_received"] += len(data)
        rows = self._lines.read(data)
        if not rows:
            return []
        if not self._measured:
            return self._measure(rows, host_time_s)
        return self._deliver(rows, host_time_s, has_more)

    # --- the rate ------------------------------------------------------------------------------------------------

    def _measure(self, rows: list[Numbers | None], host_time_s: float) -> list[SampleBlock | Hello | DeviceRestarted]:
        if self._began_s is None:
            if all(row is None for row in rows):  # messages of a board that starts
                return []
            self._began_s = host_time_s  # the first line is left out: how long it waited is not known
            return []
        self._held.append((host_time_s, rows))
        n_samples = sum(len(rows) for _, rows in self._held)
        elapsed_s = host_time_s - self._began_s
        if not self._seed_hz and elapsed_s >= _CRUDE_S:
            self._seed_hz = n_samples / elapsed_s
            index = 0
            for time_s, held in self._held:
                index += len(held)
                self._clock.add((index - 1) / self._seed_hz, time_s)
        elif self._seed_hz:
            self._clock.add((n_samples - 1) / self._seed_hz, host_time_s)
        ratio = self._clock.seconds_per_second
        if elapsed_s < MEASURE_S or ratio is None:
            return []
        return self._introduce(self._seed_hz * ratio.value)

    def _introduce(self, sample_rate_hz: float) -> list[SampleBlock | Hello | DeviceRestarted]:
        held, self._held = self._held, []
        rows = [row for _, some in held for row in some]
        widths = Counter(len(row) for row in rows if row is not None)
        if 2 * widths.total() < len(rows):  # mostly other text
            self._session -= 1
            self._begin_session()
            return []
        columns = self._layout.axes_of(widths.most_common(1)[0][0])
        self._columns = np.array([axis != SKIP for axis in columns])
        known = self._hello
        layout = self._layout
        self._hello = Hello(
            self._session,
            self._device_id,
            "none",
            LINES_MODEL,
            tuple(axis for axis in columns if axis != SKIP),
            layout.unit,
            layout.scale,
            layout.full_scale,
            float(f"{sample_rate_hz:.5g}"),
        )
        self._measured = True
        self._origin_s = self._clock.stamp(0.0) or 0.0
        begin: list[SampleBlock | Hello | DeviceRestarted] = [self._hello]
        if known is not None:
            self._tally["restarts"] += 1
            begin.insert(0, DeviceRestarted(known.session, self._hello.session))
        return [*begin, *self._blocks(rows)]

    # --- samples -------------------------------------------------------------------------------------------------

    def _deliver(
        self, rows: list[Numbers | None], host_time_s: float, has_more: bool
    ) -> list[SampleBlock | Hello | DeviceRestarted]:
        due_s = self._clock.at((self._next + len(rows) - 1) / self._seed_hz) or host_time_s
        late_s = host_time_s - due_s
        if late_s > _LATE_S and not has_more:
            missing = round(late_s * self._rate_hz())
            self._tally["samples_lost"] += missing
            self._next += missing
            self._lost += missing
            self._gaps.append(host_time_s)
        unsteady = len(self._gaps) == _UNSTEADY and host_time_s - self._gaps[0] < _UNSTEADY_S
        if unsteady or late_s < -_LATE_S:  # the rate has changed
            self._begin_session()
            return self._measure(rows, host_time_s)
        self._clock.add((self._next + len(rows) - 1) / self._seed_hz, host_time_s)
        return [*self._blocks(rows)]

    def _rate_hz(self) -> float:
        ratio = self._clock.seconds_per_second
        return self._seed_hz * (1.0 if ratio is None else ratio.value)

    def _blocks(self, rows: list[Numbers | None]) -> list[SampleBlock]:
        """Return a block for each run of valid lines; an invalid line counts as a lost sample."""
        blocks = []
        for good, group in groupby(rows, self._is_good):
            stretch = list(group)
            if good:
                blocks.append(self._block(np.array(stretch)))
            else:
                self._skip(len(stretch))
        return blocks

    def _is_good(self, row: Numbers | None) -> bool:
        return row is not None and len(row) == len(self._columns)

    def _skip(self, n_lines: int) -> None:
        self._tally.update(crc_errors=n_lines, samples_lost=n_lines)
        self._damaged = True
        self._next += n_lines
        self._lost += n_lines

    def _block(self, numbers: Numbers) -> SampleBlock:
        self._tally.update(frames_ok=len(numbers), samples_received=len(numbers), resyncs=int(self._damaged))
        self._damaged = False
        with np.errstate(over="ignore"):  # huge numbers overflow to infinity, which clips
            counts = np.rint(numbers[:, self._columns] * (self._layout.factor / self._layout.scale))
        samples = np.clip(counts, -_COUNT_LIMIT, _COUNT_LIMIT).astype(np.int32)
        samples.flags.writeable = False
        stamp_s = self._clock.stamp(self._next / self._seed_hz)
        time_s = 0.0 if stamp_s is None else max(0.0, stamp_s - self._origin_s)
        block = SampleBlock(self._next, time_s, samples, self._lost)
        self._next += len(numbers)
        self._lost = 0
        return block
