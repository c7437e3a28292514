"""Time axes of pictures: dates and zone in the label, days in the ticks. Needs matplotlib."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

DAY_S = 86_400.0
_MOST_TICKS = 9


def day_of(time_s: float) -> float:
    """Return a time, seconds since 1970, as matplotlib draws it: in days, in this machine's time zone."""
    return float(date2num(datetime.fromtimestamp(time_s)))  # type: ignore[no-untyped-call]


def draw_time_axis(axes: Any, begin_s: float, end_s: float) -> None:
    """Set the x axis from one time to another, seconds since 1970, and label it with dates and zone."""
    axes.set(
        xlim=(day_of(begin_s), day_of(end_s)),
        xlabel=f"time, {_dates(begin_s, end_s)}, {_zone(end_s)}",
    )
    axes.xaxis_date()
    locator = AutoDateLocator(maxticks=_MOST_TICKS)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(_formatter(locator))


def _dates(begin_s: float, end_s: float) -> str:
    first, last = (time.strftime("%Y-%m-%d", time.localtime(each)) for each in (begin_s, end_s))
    return first if first == last else f"{first} to {last}"


def _zone(time_s: float) -> str:
    local = time.localtime(time_s)
    name, offset = time.strftime("%Z", local), time.strftime("%z", local)
    return name if name == "UTC" else f"{name} (UTC{offset[:3]}:{offset[3:]})"


def _formatter(locator: AutoDateLocator) -> ConciseDateFormatter:
    """Return a formatter of ticks: a day with its month, a time with hour and minute."""
    of_years, of_days, of_times = ["%Y", "%b %Y"], ["%d %b"], ["%H:%M", "%H:%M", "%H:%M:%S"]
    return ConciseDateFormatter(  # type: ignore[no-untyped-call]
        locator,
        formats=[*of_years, *of_days, *of_times],
        zero_formats=["%Y", "%b %Y", "%d %b", "%d %b", "%H:%M", "%H:%M:%S"],
        show_offset=False,
    )
