"""Stations judge one after the other, and none waits for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from drsn_edge.monitor import station


def test_what_is_judged_in_turn_is_judged_by_one_at_a_time() -> None:
    busy, most = [0], [0]

    def judged() -> Iterator[int]:
        for number in range(5):
            busy[0] += 1
            most[0] = max(most[0], busy[0])
            time.sleep(0.002)
            busy[0] -= 1
            yield number

    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append([*station._in_turn(judged())])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[0, 1, 2, 3, 4]] * 4 and most == [1]


def test_an_error_passes_and_ends_the_turn() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError

    with pytest.raises(ValueError):
        list(station._in_turn(failing()))
    assert list(station._in_turn(iter([1, 2]))) == [1, 2]


def test_a_station_that_hangs_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station, "_TURN_S", 0.01)
    with station._TURN:
        assert list(station._in_turn(iter([1, 2]))) == [1, 2]
    assert not station._TURN.locked()
