from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from firmware_bridge.errors import ProtocolError
from firmware_bridge.wire.events import DeviceRestarted, SampleBlock
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.text_lines import LineReader, TextDecoder, TextLayout, parse_lines

LAYOUT = TextLayout("m/s2", 2 * 9.80665)


def value(index: int) -> float:
    return 9.81 * np.sin(0.1 * index)


def line(index: int) -> bytes:
    return f"{value(index):.4f},{index % 7},-0.5\r\n".encode()


class Sketch:
    """Lines at a rate, read every 20 ms."""

    def __init__(self, rate_hz: float, layout: TextLayout = LAYOUT) -> None:
        self.decoder = TextDecoder(layout, "test")
        self.rate_hz = rate_hz
        self.time_s = 1000.0
        self.index = 0.0
        self.events: list[Any] = []

    def run(self, seconds: float, *, damage=lambda line: line, pause: bool = False) -> None:
        """Go on; `pause`: the sketch is busy with something else and samples nothing."""
        for _ in range(round(seconds * 50)):
            self.time_s += 0.02
            if pause:
                self.events += self.decoder.feed(b"", self.time_s)
                continue
            before, self.index = int(self.index), self.index + 0.02 * self.rate_hz
            data = b"".join(damage(line(index)) for index in range(before, int(self.index)))
            self.events += self.decoder.feed(data, self.time_s)

    @property
    def blocks(self) -> list[SampleBlock]:
        return [event for event in self.events if isinstance(event, SampleBlock)]

    @property
    def hello(self) -> Hello:
        assert self.decoder.hello is not None
        return self.decoder.hello


@pytest.mark.parametrize("rate_hz", [20.0, 100.0, 397.0])
def test_the_rate_is_measured_and_every_number_arrives(rate_hz: float) -> None:
    sketch = Sketch(rate_hz)
    sketch.run(2.9)
    assert sketch.events == []
    sketch.run(7.1)
    hello, *rest = sketch.events
    assert isinstance(hello, Hello) and hello is sketch.hello and sketch.blocks == rest
    assert hello.sample_rate_hz == pytest.approx(rate_hz, rel=5e-3)
    assert (hello.axes, hello.unit) == (("x", "y", "z"), "m/s2")
    samples = np.concatenate([block.samples for block in rest]) * hello.scales
    counters = sketch.decoder.counters
    assert counters.samples_received == len(samples) >= 10 * rate_hz - rate_hz * 0.05 - 3
    skipped = int(sketch.index) - len(samples)
    expected = [value(index) for index in range(skipped, int(sketch.index))]
    np.testing.assert_allclose(samples[:, 0], expected, atol=1e-4)
    assert (counters.samples_lost, counters.crc_errors, counters.losses_counted) == (0, 0, False)
    ends = [0, *np.cumsum([len(block.samples) for block in rest])]
    assert [block.first_sample for block in rest] == ends[:-1]
    times = np.array([block.device_time_s for block in rest])
    assert (np.diff(times) >= 0).all()
    np.testing.assert_allclose(times, np.array(ends[:-1]) / rate_hz, atol=0.03)


def test_counts_that_a_sketch_prints_are_scaled_and_columns_left_out() -> None:
    sketch = Sketch(100.0, TextLayout("g", 2.0, 1 / 16384, ("x", "-", "z")))
    sketch.run(5, damage=lambda _: b"16384\t7\t-8192\n")
    assert sketch.hello.axes == ("x", "z")
    np.testing.assert_allclose(sketch.blocks[0].samples[0] * sketch.hello.scales, [1.0, -0.5], atol=1e-5)


def test_a_line_that_is_none_is_a_lost_sample() -> None:
    sketch = Sketch(100.0)
    sketch.run(5)
    sketch.run(0.02, damage=lambda text: text.replace(b",", b""))
    sketch.run(0.02, damage=lambda text: text[:-2] + text[:-2] + b"\n")
    sketch.run(2)
    gaps = [block.lost_before for block in sketch.blocks if block.lost_before]
    counters = sketch.decoder.counters
    assert gaps == [4] and counters.samples_lost == counters.crc_errors == 4 and counters.resyncs == 1


def test_a_stretch_that_never_came_shows_as_a_gap_of_its_length() -> None:
    sketch = Sketch(200.0)
    sketch.run(6)
    sketch.run(0.5, pause=True)
    sketch.run(3)
    gaps = [block.lost_before for block in sketch.blocks if block.lost_before]
    assert gaps == [pytest.approx(100, abs=8)] and sketch.decoder.counters.samples_lost == gaps[0]
    times = {block.first_sample: block.device_time_s for block in sketch.blocks}
    last = max(times)
    assert times[last] == pytest.approx(last / 200, abs=0.05)


def test_what_was_only_late_is_no_gap() -> None:
    sketch = Sketch(200.0)
    sketch.run(6)
    late = b"".join(line(index) for index in range(1200, 1300))
    sketch.time_s += 0.5
    sketch.events += sketch.decoder.feed(late[:600], sketch.time_s, has_more=True)
    sketch.events += sketch.decoder.feed(late[600:], sketch.time_s)
    sketch.index = 1300.0
    sketch.run(3)
    assert sketch.decoder.counters.samples_lost == 0
    assert not any(block.lost_before for block in sketch.blocks)


@pytest.mark.parametrize("after_hz", [80.0, 125.0])
def test_another_rate_begins_another_session(after_hz: float) -> None:
    sketch = Sketch(100.0)
    sketch.run(10)
    sketch.rate_hz = after_hz
    sketch.run(20)
    hellos = [event for event in sketch.events if isinstance(event, Hello)]
    restarts = [event for event in sketch.events if isinstance(event, DeviceRestarted)]
    assert len(hellos) >= 2 and len(restarts) == len(hellos) - 1 == sketch.decoder.counters.restarts
    assert hellos[0].sample_rate_hz == pytest.approx(100, rel=0.01)
    assert hellos[-1].sample_rate_hz == pytest.approx(after_hz, rel=0.01)


def test_what_a_board_says_at_its_start_is_passed_over() -> None:
    sketch = Sketch(100.0)
    sketch.events += sketch.decoder.feed(b"\x00\xf3garbage\r\nADXL345 ready\r\n\r\n", 999.0)
    sketch.run(5)
    assert sketch.decoder.counters.crc_errors == 0 and len(sketch.blocks) > 1


def test_a_lone_line_of_numbers_in_other_text_begins_nothing() -> None:
    sketch = Sketch(100.0)
    sketch.run(0.1)
    sketch.run(6, damage=lambda _: b"warming up\n")
    assert sketch.events == []
    sketch.run(5)
    assert sketch.hello.session == 1 and sketch.decoder.counters.samples_lost == 0


def test_of_a_line_that_is_too_long_nothing_is_taken() -> None:
    sketch = Sketch(100.0)
    sketch.run(5)
    before = sketch.decoder.counters
    for piece in (b"x" * 200, b"y" * 200, b"z" * 50 + b"1,2,3\r\n"):
        sketch.events += sketch.decoder.feed(piece, sketch.time_s)
    after = sketch.decoder.counters
    assert (after.samples_received, after.crc_errors) == (before.samples_received, before.crc_errors + 1)
    assert after.garbage_bytes - before.garbage_bytes == 450 + len(b"1,2,3\r")


def test_more_columns_than_axes_must_be_named() -> None:
    sketch = Sketch(100.0)
    with refused(ProtocolError, "columns", axes=("x", "y", "z"), got=6):
        sketch.run(5, damage=lambda _: b"1,2,3,4,5,6\n")


def test_a_cut_link_leaves_no_half_line_behind() -> None:
    sketch = Sketch(100.0)
    sketch.run(5)
    sketch.decoder.feed(b"1.2", sketch.time_s)
    sketch.decoder.reset_link()
    sketch.events += sketch.decoder.feed(b"34,5,6\r\n", sketch.time_s)
    assert sketch.decoder.counters.crc_errors == 0
    assert not any((block.samples[:, 1] * sketch.hello.scale > 4.9).any() for block in sketch.blocks[-1:])


@pytest.mark.parametrize(
    "wrong",
    [
        {"full_scale": 0.0},
        {"factor": -1.0},
        {"axes": ("x", "x")},
        {"axes": ("-",)},
        {"full_scale": np.inf},
        {"full_scale": 1e36},
        {"full_scale": 1e-300},
        {"full_scale": np.nan},
    ],
)
def test_a_layout_that_cannot_be(wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    with refused(ProtocolError, name, got=value):
        TextLayout(**{"unit": "g", "full_scale": 2.0, **wrong})


def test_lines_that_are_numbers_and_lines_that_are_none() -> None:
    rows = parse_lines([b"1, -2.5;3e-1", b"1,2", b"nan,1,2", b"1,,2", b"abc", b"1,inf,2", b"\xff,1,2"])
    assert [None if row is None else row.tolist() for row in rows] == [[1, -2.5, 0.3], [1, 2], *[None] * 5]


def test_a_number_that_is_too_long_is_none_and_not_another_one() -> None:
    assert parse_lines([b"1.0000000000000000000000000000000000e-5,2"]) == [None]


def test_what_no_sensor_prints_clips() -> None:
    sketch = Sketch(100.0)
    sketch.run(4.0, damage=lambda line: line.replace(b"-0.5", b"1e308"))
    assert {int(block.samples[:, 2].min()) for block in sketch.blocks} == {2**23 - 1}


@given(st.lists(st.binary(max_size=60) | st.integers(0, 99).map(line), max_size=300), st.integers(1, 50))
def test_whatever_comes_is_either_delivered_or_counted(pieces: list[bytes], size: int) -> None:
    decoder, wire, blocks = TextDecoder(LAYOUT, "test"), b"".join(pieces), []
    time_s = 0.0
    try:
        for at in range(0, len(wire), size):
            time_s += 0.05
            blocks += [e for e in decoder.feed(wire[at : at + size], time_s) if isinstance(e, SampleBlock)]
    except ProtocolError:
        return  # lines of more or fewer numbers than axes
    counters = decoder.counters
    assert counters.bytes_received == len(wire) and counters.samples_received == sum(len(b.samples) for b in blocks)
    assert sum(block.lost_before for block in blocks) <= counters.samples_lost


def test_lines_are_cut_wherever_the_bytes_are_and_the_first_is_never_trusted() -> None:
    tally: Counter[str] = Counter()
    reader = LineReader(tally)
    text = b"2,3\n1,2\r\nhello\n\n4;5\n"
    rows = [row for at in range(len(text)) for row in reader.read(text[at : at + 1])]
    assert [None if row is None else row.tolist() for row in rows] == [[1.0, 2.0], None, [4.0, 5.0]]
    assert tally["garbage_bytes"] == len(b"2,3") + len(b"hello")


def test_a_line_without_an_end_is_thrown_away_in_bounded_memory() -> None:
    tally: Counter[str] = Counter()
    reader = LineReader(tally)
    reader.read(b"\n")
    assert [reader.read(b"1" * 300), reader.read(b"1" * 300)] == [[None], []]
    assert reader.read(b"9,9\n7,8\n")[0].tolist() == [7.0, 8.0]
    assert tally["garbage_bytes"] == 603
