from __future__ import annotations

import json
import math
from typing import Any

import fault_run
import naive_parser
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from firmware_bridge.errors import FaultScriptError
from firmware_bridge.virtual.fault_script import KINDS, Fault, parse_fault, parse_script
from firmware_bridge.virtual.faults import FaultInjector
from firmware_bridge.wire.events import SampleBlock
from firmware_bridge.wire.stream import StreamDecoder

# Scripts.


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("flip 1e-5", Fault("flip", 1e-5)),
        ("  unplug at 10 for 2 ", Fault("unplug", 0.0, 10.0, 2.0)),
        ("overrun 80 at 10", Fault("overrun", 80.0, 10.0)),
        ("rate -0.01 at 1.5", Fault("rate", -0.01, 1.5)),
        ("stuck 0", Fault("stuck", 0.0)),
    ],
)
def test_lines(line: str, fault: Fault) -> None:
    assert parse_fault(line) == fault
    assert parse_script(["# a comment", "", line]) == (fault,)


@pytest.mark.parametrize(
    ("line", "problem", "facts"),
    [
        ("flop 1", "unknown_fault", {"fault": "flop"}),
        ("flip", "missing_value", {"fault": "flip"}),
        ("flip 2", "bad_value", {"fault": "flip", "got": 2.0}),
        ("unplug 3 at 1 for 2", "unexpected_value", {"fault": "unplug"}),
        ("unplug at 1", "no_end", {"fault": "unplug"}),
        ("stall at 1 for 0", "bad_time", {"fault": "stall", "at_s": 1.0, "for_s": 0.0}),
        ("overrun 1.5 at 1", "bad_value", {"fault": "overrun", "got": 1.5}),
        ("overrun 0 at 1", "bad_value", {"fault": "overrun", "got": 0.0}),
        ("stuck 1.5", "bad_value", {"fault": "stuck", "got": 1.5}),
        ("bit 24", "bad_value", {"fault": "bit", "got": 24.0}),
        ("wrap 1", "bad_value", {"fault": "wrap", "got": 1.0}),
        ("freeze 0", "bad_value", {"fault": "freeze", "got": 0.0}),
        ("clock-step -1 at 2", "bad_value", {"fault": "clock-step", "got": -1.0}),
        ("flip 1e-5 at", "not_a_fault", {"text": "flip 1e-5 at"}),
        ("flip nan", "not_a_fault", {"text": "flip nan"}),
    ],
)
def test_lines_that_are_none(line: str, problem: str, facts: dict[str, Any]) -> None:
    with refused(FaultScriptError, problem, **facts):
        parse_fault(line)
    with refused(FaultScriptError, problem, line=2, **facts):
        parse_script(["flip 0.5", line])


@given(st.text(alphabet="flipatdropfor -.e0123456789", max_size=30))
def test_any_text_is_a_fault_or_one_error(line: str) -> None:
    try:
        assert parse_fault(line).kind in KINDS
    except FaultScriptError:
        return


# The sensor.


def injector(*lines: str, seed: int = 0, truth: Any = None) -> FaultInjector:
    return FaultInjector(parse_script(lines), seed, truth)


COUNTS = np.array([[100, -20_000, 30], [200, 30_000, 60]], np.int16)


def test_what_a_sensor_does_to_its_counts() -> None:
    none = injector("clip 0.5 at 5 for 1").sensor.counts(COUNTS, 0.0)
    np.testing.assert_array_equal(none, COUNTS)
    np.testing.assert_array_equal(injector("clip 0.5").sensor.counts(COUNTS, 0.0)[:, 1], [-16384, 16384])
    np.testing.assert_array_equal(injector("swap 0").sensor.counts(COUNTS, 0.0), COUNTS[:, [1, 0, 2]])
    stuck = injector("stuck 2")
    np.testing.assert_array_equal(stuck.sensor.counts(COUNTS, 0.0)[:, 2], [30, 30])
    np.testing.assert_array_equal(stuck.sensor.counts(COUNTS + 1, 0.1)[:, 2], [30, 30])
    assert COUNTS[0, 2] == 30  # what it was given stays


def test_bits_and_buffers() -> None:
    np.testing.assert_array_equal(injector("bit 2").sensor.counts(COUNTS, 0.0)[:, 0], [96, 200])
    np.testing.assert_array_equal(injector("bit 20").sensor.counts(COUNTS, 0.0), COUNTS)
    np.testing.assert_array_equal(injector("wrap 8").sensor.counts(COUNTS, 0.0)[:, 0], [100, -56])
    frozen, sent = injector("freeze 3 at 1"), []
    for n in range(6):
        block = np.arange(4 * n, 4 * n + 4, dtype=np.int16)[:, None]
        sent += frozen.sensor.counts(block, n / 2)[:, 0].tolist()
    assert sent == [*range(8), *[5, 6, 7] * 5, 5]


def test_clocks() -> None:
    clock = injector("clock-drift 0.001 at 10 for 100", "clock-step 0.5 at 20", "rate 0.02 at 30")
    times = [clock.sensor.device_time_s(time_s) for time_s in (0.0, 10.0, 15.0, 20.0, 110.0, 210.0)]
    np.testing.assert_allclose(times, [0, 10, 15.005, 20.51, 110.6, 210.6])
    assert (clock.sensor.rate_factor(29.0), clock.sensor.rate_factor(31.0)) == (1.0, 1.02)


def test_each_overrun_happens_once() -> None:
    sensor = injector("overrun 80 at 1", "overrun 5 at 1", "overrun 7 at 3")
    assert [sensor.sensor.thrown_away(time_s) for time_s in (0.5, 1.5, 2.0, 3.0, 4.0)] == [0, 85, 0, 7, 0]
    assert (sensor.totals.overruns, sensor.totals.samples_lost) == (2, 92)


# The link.


def test_the_same_seed_does_the_same(new_device: Any) -> None:
    def sent(seed: int) -> bytes:
        device = new_device()
        link = injector("flip 0.01", "drop-frame 0.1", "repeat-byte 0.01", seed=seed)
        return b"".join(link.link.frame(device.block(10 * n), n / 100, 10) for n in range(100))

    assert sent(1) == sent(1) != sent(2)


def test_a_stalled_link_gives_all_of_it_later(new_device: Any) -> None:
    device, link = new_device(), injector("stall at 1 for 1")
    frames = [device.block(10 * n) for n in range(4)]
    given_back = [
        link.link.frame(frame, time_s, 10) for frame, time_s in zip(frames, (0.5, 1.0, 1.5, 2.0), strict=True)
    ]
    assert given_back == [frames[0], b"", b"", b"".join(frames[1:])]
    assert link.totals.samples_lost == 0


def test_garbage_ends_within_one_frame(new_device: Any) -> None:
    device, link, decoder = new_device(), injector("garbage at 1 for 1"), StreamDecoder()
    events = decoder.feed(device.hello())
    for n in range(40):
        events += decoder.feed(link.link.frame(device.block(10 * n), n / 10, 10))
    firsts = [event.first_sample for event in events if isinstance(event, SampleBlock)]
    assert firsts == [*range(0, 100, 10), *range(210, 400, 10)]  # the first frame behind it has no delimiter before it
    assert decoder.counters.samples_lost == link.totals.samples_lost == 110


def test_a_repeated_delimiter_damages_nothing(new_device: Any) -> None:
    device, decoder = new_device(), StreamDecoder()
    link = injector("repeat-byte 1")
    assert link.link.frame(b"\0", 0.0) == b"\0\0" and link.totals.frames_damaged == 0
    decoder.feed(device.hello())
    assert decoder.feed(b"\0\0\0" + device.block(0)) != []


def test_the_truth_tells_what_was_done(new_device: Any) -> None:
    told: list[dict[str, Any]] = []
    device, link = new_device(), injector("drop-frame 1 at 1 for 1", "unplug at 5 for 1", truth=told.append)
    for n in range(3):
        link.link.frame(device.block(10 * n), float(n), 10)
    assert link.link.unplugged(5.5) and not link.link.unplugged(6.5)
    kinds = [(entry["type"], entry.get("kind"), entry["time_s"]) for entry in told]
    assert kinds == [("fault", "drop-frame", 1.0), ("lost", None, 1.0), ("fault", "unplug", 5.5)]
    assert all(math.isfinite(value) for entry in told for value in entry.values() if isinstance(value, float))
    assert json.loads(json.dumps(link.account()))["samples_lost"] == 10


# Both ends.


@pytest.mark.parametrize("seed", [1000, 1001])
def test_twenty_thousand_blocks_are_accounted_for_to_the_sample(seed: int) -> None:
    found = fault_run.run(10_000, seed)
    assert found["differences"] == {} and found["altered_blocks"] == 0
    assert min(found[name] for name in ("samples_lost", "blocks_repeated", "crc_errors", "resyncs", "overruns")) > 0


@given(st.lists(st.binary(max_size=40)), st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=40))
def test_the_decoder_and_one_that_shares_no_code_agree_on_any_bytes(
    frames: list[bytes], noise: bytes, sizes: list[int]
) -> None:
    from firmware_bridge.wire.frames import Frame, encode_frame

    wire = b"".join(encode_frame(Frame(0x42, n % 7, payload)) for n, payload in enumerate(frames))
    middle = len(wire) // 2
    wire = wire[:middle] + noise + wire[middle:] + b"\0"
    naive, decoder = naive_parser.NaiveParser(), StreamDecoder()
    naive.feed(wire)
    at = 0
    for size in [*sizes, len(wire)]:
        decoder.feed(wire[at : at + size])
        at += size
    counters, heard = decoder.counters, naive.heard
    assert (counters.frames_ok, counters.crc_errors, counters.resyncs) == (len(heard.frames), heard.bad, heard.resyncs)
