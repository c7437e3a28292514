"""Times of day with the zone: a text kept for a second is the one that is made anew."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drsn_edge.support.wall_time import IsoTimes, iso_time


@pytest.fixture(params=["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


CHANGE_OF_ZONE_S = 1_792_890_000.0  # the end of summer time in Berlin
TIMES = st.floats() | st.floats(CHANGE_OF_ZONE_S - 3, CHANGE_OF_ZONE_S + 3) | st.floats(-2, 2)


@given(st.lists(TIMES, max_size=20))
def test_times_of_the_same_second_are_what_each_time_is_alone(times: list[float]) -> None:
    texts = IsoTimes()
    assert [texts.of(time_s) for time_s in times] == [iso_time(time_s) for time_s in times]


def test_times_of_any_zone_and_its_changes(zone: str) -> None:
    texts = IsoTimes()
    for step in range(-2000, 2001):
        time_s = CHANGE_OF_ZONE_S + step / 777
        assert texts.of(time_s) == iso_time(time_s)
