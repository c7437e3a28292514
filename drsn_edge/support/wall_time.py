"""Times of day for people and for JSON, always with the zone, and durations in words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def iso_time(time_s: float) -> str | None:
    """Return a time in ISO 8601 with milliseconds and the UTC offset of this machine's zone.

    For example `2026-11-30T06:21:07.123+01:00`.

    Args:
        time_s: Seconds since 1970.

    Returns:
        None for a time outside the years 1 to 9999.
    """
    found = _local(time_s)
    return None if found is None else found.isoformat(timespec="milliseconds")


class IsoTimes:
    """Makes texts as `iso_time` does, faster for times of the same second; each thread needs one of its own."""

    def __init__(self) -> None:
        """Begin without a second."""
        self._second: int | None = None
        self._before = self._after = ""

    def of(self, time_s: float) -> str | None:
        """Return the text of a time in seconds since 1970; see `iso_time`."""
        try:
            second, millisecond = divmod(round(1000 * time_s), 1000)
        except (OverflowError, ValueError):
            return None
        if second != self._second:
            text = iso_time(second)
            if text is None:
                return None
            self._second, self._before, self._after = second, text[:_BEFORE], text[_BEFORE + 3 :]
        return f"{self._before}{millisecond:03}{self._after}"


_BEFORE = len("2026-11-30T06:21:07.")


def minute_in_words(time_s: float) -> str:
    """Return a time to the minute with its zone, `2026-11-30 06:21 +0100`; see `iso_time`."""
    found = _local(time_s)
    return "an unknown time" if found is None else found.strftime("%Y-%m-%d %H:%M %z")


def second_in_words(time_s: float) -> str:
    """Return a time to the second with its zone, `2026-11-30 06:21:07 +0100`; see `iso_time`."""
    found = _local(time_s)
    return "an unknown time" if found is None else found.strftime("%Y-%m-%d %H:%M:%S %z")


def span_in_words(span_s: float) -> str:
    """Return a duration, without its sign, in the largest unit that fits: `45 s`, `12 min`, `3.5 h`, `730 d`."""
    span_s = abs(span_s)
    for unit_s, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if span_s >= 2 * unit_s:
            return f"{round(span_s / unit_s, 1):g} {unit}" if span_s < 10 * unit_s else f"{span_s / unit_s:.0f} {unit}"
    return f"{span_s:.0f} s"


def _local(time_s: float) -> datetime | None:
    try:
        return (_EPOCH + timedelta(milliseconds=round(1000 * time_s))).astimezone()
    except (OverflowError, ValueError, OSError):
        return None
