"""What each column of a table is, by its name and its first values: numbers, a clock, a counter, text or nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from firmware_bridge.errors import TableError
from firmware_bridge.tables.cells import is_number
from firmware_bridge.tables.counting import is_count
from firmware_bridge.tables.grid import Grid
from firmware_bridge.tables.names import CLOCKS, COUNTERS, PERHAPS, Name, is_acceleration, is_of_others, name_of
from firmware_bridge.tables.numbers import Numbers
from firmware_bridge.tables.stamps import is_date, is_time, unwrapped

MOST_COLUMNS = 4096
_LOOKED_AT = 64
_EVEN_ROWS = 16
"""Fewest rows by which a column without a telling name is a clock: it rises by equal steps."""
_RISING_ROWS = 1000
"""Fewest rows by which a column without a telling name is a clock if it rises by unequal steps."""
_PARTS = {
    **dict.fromkeys(("hour", "hours", "h", "hr", "stunde"), 3600.0),
    **dict.fromkeys(("minute", "minutes", "min", "m"), 60.0),
    **dict.fromkeys(("second", "seconds", "sec", "s"), 1.0),
    **dict.fromkeys(("millisecond", "milliseconds", "ms", "msec"), 1e-3),
    **dict.fromkeys(("microsecond", "microseconds", "us", "usec", "micros"), 1e-6),
}
"""Seconds per unit of the parts of a time of day."""
MINUTE_S = 60.0
_RARE = 0.002
"""Largest share of steps back in a column that otherwise rises by even steps."""
_MODULI = (2.0**8, 2.0**16, 2.0**32, 60.0, 1e3, 1e6, 1e9)
"""Numbers after which counters begin again; without a telling name only such a column is one."""
_FEWEST_COUNTS, _FEWEST_STAMPS, _MOST_TAKES = 16, 8, 8
_EPOCHS = (5e8, 5e11, 5e14, 5e17)
"""Seconds, ms, us and ns since 1970 in the year 1985; ten times as many are 2128."""
_LARGEST_LABEL, _MOST_LABELS, _RARE_CHANGES = 1000, 16, 0.02
_OTHERS = re.compile(
    r"(temp|hum|press|rpm|speed|force|load|torque|angle|volt|current|batt|displacement|label|class|target|y_true|y_pred|fault).{0,40}",
    re.IGNORECASE,
)
"""Names of quantities and labels that may rise by even steps and are no clock."""
_NEVER_CONSTANT_CLOCKS = frozenset(["x", "m", "h", "k", "i", "n", "t"])


class Kind(Enum):
    """What a column holds."""

    NUMBERS = "numbers"
    CLOCK = "a clock"
    COUNTER = "a counter"
    DATE = "a date"
    TEXT = "text"
    EMPTY = "empty"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        index: Its position, from 0.
        name: Its name and unit; the text is empty if the file has no names.
        kind: What it holds.
        is_text: Whether its cells are no plain numbers, such as the times of a clock.
        constant: The value that all rows looked at have; None if they differ.
        values: Numbers of the rows looked at, shape (n,); None if they are no numbers.
        sample: One of its cells if it is text.
    """

    index: int
    name: Name
    kind: Kind
    is_text: bool = False
    constant: str | None = None
    values: Numbers | None = None
    sample: str = ""

    @property
    def label(self) -> str:
        """What messages call it: its name, or `number 3`."""
        return self.name.text or f"number {self.index + 1}"


def columns_of(grid: Grid, n_columns: int) -> list[Column]:
    """Return what each column is.

    Args:
        grid: The first rows.
        n_columns: Number of columns.

    Raises:
        TableError: If there are more columns than `MOST_COLUMNS`.
    """
    if n_columns > MOST_COLUMNS:
        raise TableError(
            f"It has {n_columns} columns, at most {MOST_COLUMNS} are read. If each line is one channel, transpose the "
            "table: write one sample on each line.",
            "too_many_columns",
            columns=n_columns,
            limit=MOST_COLUMNS,
        )
    header = grid.dialect.header
    names = [
        name_of(written, unit)
        for written, unit in zip(header.names or [""] * n_columns, header.units or [""] * n_columns, strict=True)
    ]
    columns = [_column(grid, index, name) for index, name in enumerate(names)]
    return _with_named_parts(columns) if header.names else _with_time_parts(columns)


def column_of(index: int, name: Name, values: Numbers, quantum: float) -> Column:
    """Return what a column of numbers is, by its name and its first values.

    Args:
        index: Its position, from 0.
        name: Its name and unit.
        values: Its first numbers, shape (n,).
        quantum: Smallest difference of two values that can be told.
    """
    constant = f"{values[0]:g}" if len(values) > 1 and (values == values[0]).all() else None
    return Column(index, name, role_of(name, values, quantum, constant is not None), False, constant, values)


def _column(grid: Grid, index: int, name: Name) -> Column:
    cells = [cell.decode("utf-8", "replace") for cell in grid.texts(index)]
    some = cells[: _LOOKED_AT // 2] + cells[_LOOKED_AT // 2 :][-_LOOKED_AT // 2 :]
    constant = cells[0] if len(cells) > 1 and len(set(cells)) == 1 else None
    if not any(some):
        return Column(index, name, Kind.EMPTY)
    kinds = Counter(_kind_of(cell, grid.dialect.decimal) for cell in some)
    kind = kinds.most_common(1)[0][0]
    if kind is Kind.TEXT and not (kinds[Kind.NUMBERS] and is_acceleration(name.unit)):
        return Column(index, name, kind, True, constant, sample=some[0])
    if kind in (Kind.CLOCK, Kind.DATE):
        return Column(index, name, kind, True, constant)
    try:
        values = grid.numbers([index])[:, 0]
    except TableError:
        return Column(index, name, Kind.NUMBERS)
    if constant is None and len(values) > 1 and (values == values[0]).all():
        constant = cells[0]
    role = role_of(name, values, _quantum(some, grid.dialect.decimal), constant is not None)
    return Column(index, name, role, False, constant, values)


def _kind_of(cell: str, decimal: str) -> Kind:
    if is_number(cell, decimal):
        return Kind.NUMBERS
    if is_time(cell):
        return Kind.CLOCK
    return Kind.DATE if is_date(cell) else Kind.TEXT


def _quantum(cells: Sequence[str], decimal: str) -> float:
    """Return the value of the last digit that is not 0 in all cells; 0 for numbers with exponents."""
    if any("e" in cell.lower() for cell in cells):
        return 0.0
    return 10.0 ** -max((len(cell.partition(decimal)[2].rstrip("0")) for cell in cells), default=0)


def role_of(name: Name, values: Numbers, quantum: float, is_constant: bool) -> Kind:
    """Return what numbers are, by the name of their column and by its first values.

    Args:
        name: The name.
        values: The first values, shape (n,).
        quantum: Value of the last digit; 0 if unknown.
        is_constant: Whether all of these values are the same.
    """
    if is_acceleration(name.unit):
        return Kind.NUMBERS
    if name.text and name.is_only(CLOCKS):
        return Kind.CLOCK
    if name.text and name.is_only(COUNTERS):
        return Kind.COUNTER
    if name.text and name.is_only(PERHAPS) and _is_as_named(name, values, is_constant):
        return Kind.CLOCK if name.time_unit or name.is_only(frozenset(("t", "ts"))) else Kind.COUNTER
    if is_of_others(name.unit) or _OTHERS.fullmatch(name.text):
        return Kind.NUMBERS
    if len(values) >= _EVEN_ROWS and (is_even(values, quantum) or is_even(-values, quantum)):
        by_one = bool((np.abs(np.diff(values)) == 1).mean() > 0.5 and quantum == 1)
        return Kind.COUNTER if by_one else Kind.CLOCK
    if is_count(values) or _counts_few_bits(values):
        return Kind.COUNTER
    if _is_epoch(values):
        return Kind.CLOCK
    is_rising = len(values) >= _RISING_ROWS and not may_be_labels(values) and bool((np.diff(_risen(values)) >= 0).all())
    return Kind.CLOCK if is_rising and rises(values) else Kind.NUMBERS


def _is_as_named(name: Name, values: Numbers, is_constant: bool) -> bool:
    """Tell whether values are those of a clock or a counter, as a name that may mean one says."""
    is_still = is_constant and len(values) > 1 and not name.is_only(_NEVER_CONSTANT_CLOCKS)
    return is_still or rises(values) or is_count(values)


def _counts_few_bits(values: Numbers) -> bool:
    """Tell whether values count up by 1 and begin again at 0 after a power of two."""
    if len(values) < _EVEN_ROWS or not np.isfinite(values).all():
        return False
    modulus = values.max() + 1
    is_power = modulus >= _FEWEST_COUNTS and float(np.log2(modulus)).is_integer()
    return is_power and bool((values == (values[0] + np.arange(len(values))) % modulus).all())


def _is_epoch(values: Numbers) -> bool:
    """Tell whether values have the size of a time since 1970 and do not fall."""
    is_such = len(values) >= _FEWEST_STAMPS and any(low <= values[0] <= values[-1] < 10 * low for low in _EPOCHS)
    return is_such and bool((np.diff(values) >= 0).all() and values[-1] > values[0])


def may_be_labels(values: Numbers) -> bool:
    """Tell whether values are few whole numbers that change rarely, as labels of samples are."""
    if not len(values) or not np.isfinite(values).all() or (values != np.rint(values)).any():
        return False
    is_small = bool(values.min() >= -1 and values.max() < _LARGEST_LABEL)
    return is_small and len(np.unique(values)) <= _MOST_LABELS and bool((np.diff(values) != 0).mean() <= _RARE_CHANGES)


def rises(values: Numbers) -> bool:
    """Tell whether values never fall, except to begin again at the same low value, and take at least two values."""
    steps = np.diff(values)
    falls = steps < 0
    if not len(steps) or not (steps > 0).any() or not np.isfinite(values).all():
        return False
    return bool(not falls.any() or modulus_of(values) is not None)


def is_even(values: Numbers, quantum: float) -> bool:
    """Tell whether values rise by equal steps, to their last digit, except where a counter begins again.

    Args:
        values: Values in order.
        quantum: Value of the last digit; 0 if it is not known.
    """
    values = _risen(values)
    steps = np.diff(values)
    usual = float(np.median(steps))
    if not usual > 0:
        return False
    exact = 1e-9 * usual + 1e-6 * np.abs(values[1:]) * (quantum == 0)
    for tolerance in (exact, exact + 2.01 * quantum):
        odd = np.abs(steps - usual) > tolerance
        is_coarse = bool(np.min(tolerance) >= usual)  # several values are equal, so that equal steps say little
        if not odd.any():
            return not is_coarse or (not (steps < 0).any() and len(np.unique(values)) >= _EVEN_ROWS)
        if len(values) >= _RISING_ROWS and odd.mean() <= _RARE and bool((steps[odd] < 0).all()):
            return not is_coarse  # captures one behind the other
        if bool((values[1:][odd] == values[0]).all()) and odd.sum() <= min(_MOST_TAKES, len(values) / _EVEN_ROWS):
            return not is_coarse  # short ones, each from the same first value
    return False


def _risen(values: Numbers) -> Numbers:
    """Return values that go on rising where they begin again after a number that counters begin again after."""
    modulus = known_modulus_of(values)
    return values if modulus is None else unwrapped(values, modulus, None)


def known_modulus_of(values: Numbers) -> float | None:
    """Return the number after which a counter begins again, if it is one that counters have; otherwise None."""
    modulus = modulus_of(values)
    return modulus if modulus in _MODULI else None


def modulus_of(values: Numbers) -> float | None:
    """Return the number after which a counter begins again; None if it does not, or falls by different amounts."""
    steps = np.diff(values)
    falls = steps[steps < 0]
    usual = float(np.median(steps)) if len(falls) else 0.0
    if not len(falls) or usual < 0 or len(falls) > len(steps) / 4:
        return None
    moduli = usual - falls
    if np.ptp(moduli) > max(2 * usual, 0.01 * moduli.max()) or moduli.min() < 4 * max(usual, 0.0):
        return None
    for known in _MODULI:
        if abs(moduli.mean() - known) <= max(2 * usual, 0.01 * known):
            return known
    return float(np.median(moduli))


# --- the time of day in several columns --------------------------------------------------------------------------


def _with_time_parts(columns: list[Column]) -> list[Column]:
    """Mark the hour, minute and second that stand before a clock below the second, in a table without names."""
    for at in range(3, len(columns)):
        clock = columns[at]
        if clock.name.text or clock.kind is not Kind.CLOCK or clock.values is None or clock.values.max() >= 1e6:
            continue
        before = columns[at - 3 : at]
        if all(_is_part(column, below) for column, below in zip(before, (24, 60, 60), strict=True)):
            named = [
                Column(column.index, Name(text), Kind.CLOCK, False, column.constant, column.values)
                for column, text in zip(columns[at - 3 : at + 1], ("hour", "minute", "second", "us"), strict=True)
            ]
            return [*columns[: at - 3], *named, *columns[at + 1 :]]
    return columns


def _is_part(column: Column, below: int) -> bool:
    values = column.values
    if column.name.text or values is None or not np.isfinite(values).all():
        return False
    is_whole = bool((values == np.rint(values)).all() and values.min() >= 0 and values.max() < below)
    return is_whole and len(np.unique(values)) <= 1 + len(values) / 8


def time_parts(columns: Sequence[Column]) -> dict[int, float]:
    """Return the columns of hour, minute, second and less that together are a clock, with their seconds per unit.

    Nothing is returned unless minutes or hours are a column of their own, and so are seconds or less.
    """
    parts: dict[int, float] = {}
    for column in columns:
        weight = _part_s(column)
        if weight and column.kind in (Kind.CLOCK, Kind.COUNTER) and not column.is_text:
            if weight in parts.values():
                return {}
            parts[column.index] = weight
    has_coarse = any(weight >= MINUTE_S for weight in parts.values())
    return parts if has_coarse and any(weight <= 1 for weight in parts.values()) else {}


def _part_s(column: Column) -> float:
    """Return the seconds per unit of a column that is named as a part of the time of day; 0 for others."""
    own, values = column.name.words, column.values
    if len(own) != 1 or values is None or not np.isfinite(values).all() or values.min() < 0:
        return 0.0
    weight = _PARTS.get(own[0], 0.0)
    is_whole = bool((values == np.rint(values)).all())
    return weight if is_whole or weight <= 1 else 0.0


def _with_named_parts(columns: list[Column]) -> list[Column]:
    """Mark seconds and less beside a column of hours or minutes as clocks: they fall once a minute or second."""
    if not any(column.kind is Kind.CLOCK and _part_s(column) >= MINUTE_S for column in columns):
        return columns
    return [
        replace(column, kind=Kind.CLOCK) if column.kind is Kind.NUMBERS and _part_s(column) else column
        for column in columns
    ]
