"""Times in words: ISO 8601, the order of Europe and of America, the time of day."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.tables.stamps import is_date, is_time, over_midnight, seconds_of, unwrapped


def seconds(cells: list[str]) -> list[float]:
    """Return the times of cells."""
    return seconds_of([cell.encode() for cell in cells]).tolist()


@given(st.lists(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)), min_size=1, max_size=20))
def test_iso_and_european_times(times: list[datetime]) -> None:
    expected = [(time - datetime(1970, 1, 1)).total_seconds() for time in times]
    iso = [str(time) for time in times]
    assert seconds(iso) == pytest.approx(expected, abs=1e-6)
    assert seconds([time.isoformat() + "Z" for time in times]) == pytest.approx(expected, abs=1e-6)
    zoned = [time.replace(tzinfo=timezone(timedelta(hours=2))).isoformat() for time in times]
    assert seconds(zoned) == pytest.approx(expected, abs=1e-6)  # a zone is the same in all lines
    assert seconds([time.strftime("%d.%m.%Y %H:%M:%S,%f") for time in times]) == pytest.approx(expected, abs=1e-6)
    assert all(is_time(cell) for cell in iso)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12:34:56", 45296.0),
        ("1:02", 3720.0),
        (" 00:00:01.5 ", 1.5),
        ("11:59:59.25 PM", 86399.25),
        ("12:00:00 am", 0.0),
        ("6/1/2024 12:00:00", 43200.0),  # the order of month and day is unknown
        ("12:34:56:789", 45296.789),
        ("nothing", float("nan")),
        ("", float("nan")),
        ("2024-13-45 00:00:00", 0.0),
    ],
)
def test_other_times(cell: str, value: float) -> None:
    assert seconds([cell]) == pytest.approx([value], nan_ok=True)


def test_what_is_a_date_or_a_time() -> None:
    assert is_date("2024-06-01") and is_date("1.6.24") and not is_date("12.5") and not is_date("2024-06-01 12:00")
    assert (
        is_time("12:00") and is_time("2024-06-01T12:00:00.123456Z") and not is_time("1:2:3:4:5") and not is_time("12")
    )


def test_the_time_of_day_goes_on_after_midnight_whatever_the_pieces() -> None:
    day = np.arange(86390.0, 86390.0 + 2 * 86400.0, 100.0)
    for piece in (1, 7, 5000):
        last: float | None = None
        risen: list[float] = []
        for first in range(0, len(day), piece):
            risen += over_midnight(day[first : first + piece] % 86400.0, last).tolist()
            last = risen[-1]
        assert risen == day.tolist()


def test_a_counter_goes_on_whatever_the_pieces() -> None:
    count = np.arange(250.0, 1500.0)
    for piece in (1, 7, 5000):
        last: tuple[float, float] | None = None
        risen: list[float] = []
        for first in range(0, len(count), piece):
            raw = count[first : first + piece] % 256
            risen += unwrapped(raw, 256.0, last).tolist()
            last = float(raw[-1]), risen[-1]
        assert (np.diff(risen) == 1).all()
