"""The clock of a table: which columns it is, what it counts, and the sampling rate that it states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import numpy as np

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.metadata import LEFT_OUT, Metadata
from drsn_edge.support.wording import counted
from firmware_bridge.support.shown import printable
from firmware_bridge.tables.columns import MINUTE_S, Column, Kind, known_modulus_of, time_parts
from firmware_bridge.tables.names import LONG_TIME_UNITS, TIME_UNITS
from firmware_bridge.tables.numbers import Numbers
from firmware_bridge.tables.stamps import DAY_S, over_midnight, seconds_of, unwrapped
from firmware_bridge.tables.timing import Timing, TimingMeter

RATE_TOLERANCE = 1e-3
"""Difference, as a share, up to which two rates are the same."""
_NEAR = 0.04
_PLAUSIBLE_HZ = 10.0, 1e6
"""Sampling rates of vibration; a unit of time that gives another rate is doubted."""
_EPOCHS = {"s": (5e8, 5e9), "ms": (5e11, 5e12), "us": (5e14, 5e15), "ns": (5e17, 5e18)}
"""Numbers that count since 1970, from 1985 to 2128."""
_SHEET_DAYS = 2e4, 8e4
"""Days since 1900 as spreadsheets count them, from 1954 to 2119."""
_SECONDS = TIME_UNITS | LONG_TIME_UNITS
_SHARED = 1.5


class Unit(NamedTuple):
    """What a clock counts.

    Attributes:
        seconds: Seconds per count; 0 if unknown.
        is_certain: Whether a name, a catalogue or the number of digits says so.
        remark: What the user should know about it.
    """

    seconds: float
    is_certain: bool = True
    remark: str = ""


class Reading(NamedTuple):
    """What a clock says.

    Attributes:
        rate_hz: Sampling rate in Hz; None if unknown.
        spread: Standard deviation of the sampling interval as a share of its mean; None if unknown.
        remarks: Sentences for the user.
    """

    rate_hz: float | None
    spread: float | None
    remarks: tuple[str, ...]


NO_CLOCK = Reading(None, None, ())


class Rows(Protocol):
    """Rows of a table that are in memory."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def numbers(self, columns: Sequence[int]) -> Numbers:
        """Return the numbers of columns, shape (n_rows, len(columns))."""
        ...

    def texts(self, column: int) -> list[bytes]:
        """Return the cells of a column of text."""
        ...


class Clock:
    """The columns of a clock, and the measurement of its rate."""

    def __init__(self, chosen: Sequence[Column], weights: Sequence[float], unit: Unit, is_trusted: bool) -> None:
        """Keep the columns, their seconds per unit, the unit of the sum, and whether a wrong stamp is an error."""
        self._chosen = tuple(chosen)
        self._weights = np.array(weights)
        self.unit = unit
        self._is_trusted = is_trusted
        self._meter = TimingMeter(unit.seconds or 1.0)
        self._last: float | None = None
        values = chosen[0].values if len(chosen) == 1 else None
        self._modulus = None if values is None or _has_takes(chosen[0], values) else known_modulus_of(values)
        self._wrapped: tuple[float, float] | None = None
        self.n_samples = 0

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns that `add` needs."""
        return tuple(column.index for column in self._chosen)

    @property
    def label(self) -> str:
        """What messages call it."""
        names = [printable(column.label, 40) for column in self._chosen]
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

    def add(self, grid: Rows) -> None:
        """Take in the next rows.

        Raises:
            TableError: If a cell is no number.
        """
        self.add_times(self._times(grid))

    def add_times(self, times: Numbers) -> None:
        """Take in the next stamps as numbers, shape (n,)."""
        self.n_samples += len(times)
        self._meter.add(times)

    def _times(self, grid: Rows) -> Numbers:
        if self._chosen[0].is_text:
            (column,) = self.columns
            return self._rising(seconds_of(grid.texts(column)))
        values = grid.numbers(self.columns)
        if len(self._chosen) > 1:
            return self._rising(np.sum(values * self._weights, axis=1))
        if self._modulus is None or not np.isfinite(values).all():
            return values[:, 0]
        risen = unwrapped(values[:, 0], self._modulus, self._wrapped)
        self._wrapped = float(values[-1, 0]), float(risen[-1])
        return risen

    def _rising(self, times: Numbers) -> Numbers:
        if np.nanmax(times, initial=0.0) < DAY_S:
            times = over_midnight(times, self._last)
            self._last = float(times[-1])
        return times

    def reading(self, path: Path, known_hz: float | None) -> Reading:
        """Return the sampling rate, its spread, and remarks for the user.

        Args:
            path: The file, for errors.
            known_hz: What a catalogue states.

        Raises:
            RecordingError: If samples are missing, or the stamps of a clock that names its unit do not rise.
        """
        timing = self._meter.timing()
        trouble = _trouble(timing, self.label, path)
        if trouble is not None and (self._is_trusted or timing.rate > 0):
            raise trouble
        if trouble is not None:
            return Reading(None, None, (f"Column {self.label} is a clock, but does not rise, and is no axis.",))
        if timing.holes:
            raise _uneven(timing, self.label, self.unit.seconds or 1.0, path)
        if not self.unit.seconds:
            return Reading(None, timing.spread, (self.unit.remark,))
        rate_hz = float(f"{timing.rate / self.unit.seconds:.9g}")
        return self._agreed(rate_hz, known_hz, timing)

    def _agreed(self, rate_hz: float, known_hz: float | None, timing: Timing) -> Reading:
        shared = f" {timing.per_stamp:.3g} samples share a time stamp." if timing.per_stamp >= _SHARED else ""
        verb = "are a clock" if len(self._chosen) > 1 else "is a clock"
        noun = "Columns" if len(self._chosen) > 1 else "Column"
        said = f"{noun} {self.label} {verb} ({rate_hz:.6g} Hz, spread {timing.spread:.2%}) and not an axis.{shared}"
        remarks = tuple(remark for remark in (said, self.unit.remark) if remark)
        if known_hz and not self._is_trusted and abs(rate_hz - known_hz) > RATE_TOLERANCE * known_hz:
            doubt = (
                f"Column {self.label} gives {rate_hz:.6g} Hz, but the catalogue states {known_hz:g} Hz, which counts."
            )
            return Reading(None, timing.spread, (*remarks, doubt))
        return Reading(rate_hz, timing.spread, remarks)


def clock_of(columns: Sequence[Column], values: Metadata, path: Path) -> Clock | None:
    """Return the clock among columns that are no axes; None if there is none.

    Args:
        columns: Columns that are no axes.
        values: What catalogues state: `time_column`, `time_unit`, `sample_rate_hz`.
        path: The file, for errors.

    Raises:
        RecordingError: If a catalogue names a time column that is not there or holds no times.
    """
    wanted = cast("str | None", values.get("time_column"))
    if wanted == LEFT_OUT:
        return None
    known_hz = cast("float | None", values.get("sample_rate_hz"))
    stated = cast("str | None", values.get("time_unit"))
    if wanted is not None:
        columns = [_wanted(columns, wanted, path)]
    clocks = [column for column in columns if column.kind is Kind.CLOCK or wanted is not None]
    parts = {} if wanted is not None else time_parts(columns)
    if parts:
        chosen = [column for column in columns if column.index in parts]
        return Clock(chosen, [parts[column.index] for column in chosen], Unit(1.0), is_trusted=False)
    found = [_single(column, stated, known_hz, wanted is not None) for column in clocks]
    return max(found, key=_worth, default=None)


def _worth(clock: Clock) -> tuple[bool, bool, int]:
    """Rank clocks: a known unit, a certain one, and the finer steps."""
    values = clock._chosen[0].values
    return clock.unit.seconds > 0, clock.unit.is_certain, 0 if values is None else len(np.unique(values))


def _wanted(columns: Sequence[Column], wanted: str, path: Path) -> Column:
    named = [column for column in columns if wanted.casefold() in (column.name.text.casefold(), str(column.index + 1))]
    if len(named) != 1 or named[0].kind in (Kind.EMPTY, Kind.DATE, Kind.TEXT):
        has = ", ".join(printable(column.label, 24) for column in columns[:12])
        words = (
            f"{path} has no time stamps in a column {wanted!r}; beside the axes it has: {has or 'nothing'}. Correct "
        )
        raise RecordingError(f"{words}time_column.", "time_column", path=path, wanted=wanted)
    return named[0]


def _has_takes(column: Column, values: Numbers) -> bool:
    """Tell whether a clock that began at 0 begins again after a minute and is no second of the day: a new take."""
    is_second = column.name.words in (("s",), ("sec",), ("second",), ("seconds",))
    return values[0] == 0 and not is_second and known_modulus_of(values) == MINUTE_S


def _single(column: Column, stated: str | None, known_hz: float | None, is_wanted: bool) -> Clock:
    if column.is_text:
        return Clock([column], [1.0], Unit(1.0), is_trusted=is_wanted)
    unit = Unit(TIME_UNITS[stated]) if stated else _unit_of(column, known_hz)
    is_trusted = is_wanted or bool(column.name.time_unit)
    return Clock([column], [1.0], unit, is_trusted)


def _unit_of(column: Column, known_hz: float | None) -> Unit:
    """Return what a clock counts, by its name, its digits, or the rate that comes out."""
    values = column.values
    named = column.name.time_unit
    if values is None or len(values) < 2 or not np.isfinite(values).all():
        return Unit(_SECONDS[named] if named else 0.0)
    per_count = _crude_rate(values)
    rates = {unit: per_count / _SECONDS[unit] for unit in dict.fromkeys((*TIME_UNITS, *([named] if named else [])))}
    label = printable(column.label, 40)
    likely = [unit for unit, rate in rates.items() if is_likely(rate)]
    epoch = next((unit for unit, (low, high) in _EPOCHS.items() if low <= values[0] < high), "")
    if named and (named in likely or not per_count):
        return Unit(_SECONDS[named])
    if epoch in likely:
        remark = f"Column {label} counts {epoch} since 1970, not {named}, as its size shows." if named else ""
        return Unit(TIME_UNITS[epoch], True, remark)
    if not named and _SHEET_DAYS[0] <= values[0] < _SHEET_DAYS[1] and is_likely(per_count / DAY_S):
        return Unit(DAY_S, True, f"Column {label} counts days, as spreadsheets do.")
    if named:
        return Unit(_SECONDS[named], True, _doubt(label, named, rates, likely))
    return _guessed(values, label, rates, likely, known_hz)


def is_likely(rate_hz: float) -> bool:
    """Tell whether a sampling rate in Hz is one of vibration."""
    return _PLAUSIBLE_HZ[0] <= rate_hz <= _PLAUSIBLE_HZ[1]


def _crude_rate(values: Numbers) -> float:
    modulus = known_modulus_of(values)
    meter = TimingMeter()
    meter.add(values if modulus is None else unwrapped(values, modulus, None))
    timing = meter.timing()
    return timing.rate


def _doubt(label: str, named: str, rates: dict[str, float], likely: Sequence[str]) -> str:
    if not rates[named]:
        return ""
    other = "".join(f" In {unit} it would be {rates[unit]:.6g} Hz." for unit in likely[:2])
    return (
        f"Column {label} in {named} gives {rates[named]:.6g} Hz, which is unusual for vibration.{other} If the unit is "
        "another one, state time_unit in a catalogue."
    )


def _guessed(
    values: Numbers, label: str, rates: dict[str, float], likely: Sequence[str], known_hz: float | None
) -> Unit:
    """Return the unit of a clock whose name and size do not tell it."""
    if known_hz:
        near = [unit for unit, rate in rates.items() if abs(rate - known_hz) <= _NEAR * known_hz]
        if near:
            return Unit(TIME_UNITS[near[0]], False)
    is_whole = bool((values == np.rint(values)).all())
    if "s" in likely and not is_whole:
        return Unit(1.0)
    if "ms" in likely and is_whole and np.median(np.diff(values)) >= 2:
        return Unit(1e-3, False, f"Column {label} was taken to be in ms; if it is not, state time_unit in a catalogue.")
    if len(likely) == 1:
        remark = f"Column {label} was taken to be in {likely[0]}; if it is not, state time_unit in a catalogue."
        return Unit(TIME_UNITS[likely[0]], False, remark)
    options = " or ".join(f"{rates[unit]:.6g} Hz if it is in {unit}" for unit in likely) or "no rate of vibration"
    return Unit(0.0, False, f"Column {label} is a clock and no axis: {options}. State time_unit in a catalogue.")


# --- what is wrong with the stamps --------------------------------------------------------------------------------

WAY_OUT = 'state sample_rate_hz and time_column = "-" in a catalogue, which leaves the column out'


def _trouble(timing: Timing, label: str, path: Path) -> RecordingError | None:
    """Return why stamps give no rate; None if they do."""
    n_bad = timing.n_samples - timing.n_finite
    if timing.n_samples < 2 or n_bad:
        bad = f"has {n_bad} values that are not finite" if timing.n_samples > 1 else "has a single value"
        return RecordingError(
            f"{path}: {label} {bad}, so the sampling rate is unknown. Correct the column, or {WAY_OUT}.",
            "too_few_times",
            path=path,
            finite=timing.n_finite,
            lines=timing.n_samples,
        )
    if timing.step <= 0 or timing.rate <= 0:
        return RecordingError(
            f"{path}: {label} must rise from line to line, but its steps are {timing.step:.6g}. Correct the column, or "
            f"{WAY_OUT}.",
            "times_do_not_rise",
            path=path,
            step_s=timing.step,
        )
    return None


def _uneven(timing: Timing, label: str, unit_s: float, path: Path) -> RecordingError:
    assert timing.first is not None
    step_s, got_s, time_s = timing.step * unit_s, timing.first.step * unit_s, timing.first.time * unit_s
    where = f"after sample {timing.first.sample} ({label} = {timing.first.time:.10g})"
    words = (
        f"{path} has a sample every {step_s:.6g} s by {label}, except for {counted(timing.holes, 'interval')}, the "
        f"first of {got_s:.6g} s {where}. Samples may be missing there. Cut the file, or {WAY_OUT}."
    )
    if got_s < 0:
        words = f"{path}: {label} begins again {where}, as where takes were appended. Cut the file there, or {WAY_OUT}."
    return RecordingError(
        words,
        "uneven_times",
        path=path,
        step_s=round(step_s, 9),
        count=timing.holes,
        got_s=round(got_s, 9),
        sample=timing.first.sample,
        time_s=round(time_s, 9),
    )
