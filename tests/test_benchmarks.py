"""The parts that measure a monitor: the stream they play, the lines they follow, the lines they compare."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from monitor_cost import bars
from monitor_growth import BASE, FACTORS, points
from monitored import Tail
from replay_pairs import compared, is_same
from sensors_per_core import first_limit
from wire_players import BYTES_PER_S, wire_of

from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.stream import StreamDecoder


@pytest.mark.parametrize(("rate_hz", "axes"), [(26_667, 3), (12_800, 6), (1_667, 1)])
def test_a_stream_holds_every_sample_and_keeps_to_its_line(rate_hz: int, axes: int):
    wire = wire_of(0.5, rate_hz, axes)
    decoder = StreamDecoder()
    blocks = [event for event in decoder.feed(wire.data) if isinstance(event, SampleBlock)]
    assert sum(len(each.samples) for each in blocks) >= 0.5 * rate_hz - 1
    assert blocks[0].samples.shape[1] == axes and decoder.counters.samples_lost == 0
    assert wire.ends == sorted(wire.ends) and wire.ends[-1] == len(wire.data)
    assert [each for each in wire.block_of if each >= 0] == list(range(len(blocks)))
    line_s = np.diff(wire.ends)[1:] / BYTES_PER_S
    assert np.all(np.diff(wire.at_s)[1:] >= line_s[: len(wire.at_s) - 2] - 1e-9)


def window(first: int) -> bytes:
    return json.dumps({"schema": 1, "type": "window", "first_sample": first}).encode() + b"\n"


def test_lines_are_followed_from_the_middle_of_one_and_into_the_next_file(tmp_path: Path):
    path = tmp_path / "lines"
    tail = Tail(path)
    tail.look()
    path.write_bytes(window(0) + window(512)[:10])
    tail.look()
    tail.look()
    assert [first for first, _ in tail.windows] == [0]
    with path.open("ab") as file:
        file.write(window(512)[10:] + b" " * 9_000_000 + b"\n")
    for _ in range(11):
        tail.look()
    path.rename(tmp_path / "lines.1")
    path.write_bytes(window(1024) + b'{"type": "decision"}\n{"type": "summary", "windows": 3}\n')
    for _ in range(3):
        tail.look()
    assert [first for first, _ in tail.windows] == [0, 512, 1024]
    assert tail.first_decision_s is not None and tail.summary == {"type": "summary", "windows": 3}


def test_lines_are_compared_without_their_times_and_across_rotated_files(tmp_path: Path):
    (tmp_path / "a.1").write_text('{"n": 1, "time": "x", "time_s": 1.0}\n')
    (tmp_path / "a").write_text('{"n": 2, "time": "y"}\n')
    (tmp_path / "b").write_text('{"n": 1, "time": "z"}\n{"n": 2}\n{"n": 3}\n')
    found = compared(tmp_path / "a", tmp_path / "b")
    assert (found["lines"], found["lines_that_differ"], found["first_of_them"]) == (3, 1, [[None, {"n": 3}]])


def test_numbers_may_differ_by_the_tolerance_and_one_printed_digit_but_only_where_one_is_given():
    assert is_same({"novelty": 0.5113}, {"novelty": 0.5112}, 1e-5)
    assert not is_same({"novelty": 0.5113}, {"novelty": 0.5111}, 1e-5)
    assert not is_same({"level_rms": 0.5113}, {"level_rms": 0.5112}, 1e-5)
    assert not is_same({"novelty": 0.5113}, {"novelty": 0.5112}, 0.0)
    assert not is_same({"label": "a"}, {"label": "b"}, 1e-5) and not is_same({"a": 1}, {"b": 1}, 1e-5)


def test_one_factor_differs_from_the_base_at_each_point_and_there_are_at_most_thirty():
    found = list(points())
    assert found[0] == ("base", BASE) and len({point for _, point in found}) == len(found) <= 30
    for factor, point in found[1:]:
        assert [name for name in FACTORS if getattr(point, name) != getattr(BASE, name)] == [factor]


def test_the_delay_may_be_the_slice_and_50_ms():
    assert bars(None)["beyond_window_ms_p99"] == 250.0
    assert bars("20ms")["beyond_window_ms_p99"] == pytest.approx(70.0)


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({}, "none"),
        ({"core_share": 0.95}, "core"),
        ({"beyond_window_ms_p99": 300.0, "core_share": 0.95}, "late"),
        ({"windows_skipped": 1, "beyond_window_ms_p99": None}, "skipped"),
        ({"sender_held_s": 0.2, "windows_skipped": 1}, "held"),
        ({"samples_not_received": 64}, "lost"),
    ],
)
def test_the_worst_limit_is_named(changed: dict[str, object], limit: str):
    good = {
        "core_share": 0.3, "beyond_window_ms_p99": 240.0, "windows_skipped": 0, "samples_lost": 0,
        "samples_not_received": 0, "sender_held_s": 0.0,
    }  # fmt: skip
    assert first_limit({**good, **changed}, None) == limit
