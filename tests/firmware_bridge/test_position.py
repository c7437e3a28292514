from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.wire.frame_account import FrameAccount
from firmware_bridge.wire.messages import Hello, SamplesPayload
from firmware_bridge.wire.position import Position

HELLO = Hello(1, "bench-1", "0.1.0", "ADXL355", ("x", "y"), "g", 0.001, 8.0, 100.0)
FAR = 3600 * 100 + (1 << 16)


@pytest.fixture
def tally() -> Counter[str]:
    return Counter()


@pytest.fixture
def position(tally: Counter[str]) -> Position:
    position = Position(tally)
    position.begin(replace(HELLO, samples_produced=1000, device_time_us=10_000_000))
    return position


def block(first: int, n_samples: int = 10) -> SamplesPayload:
    return SamplesPayload(1, first, 10_000 * first, np.zeros((n_samples, 2), np.int16))


def test_a_block_ahead_is_delivered_and_what_lies_before_it_is_lost(position: Position, tally: Counter[str]) -> None:
    first, is_near = position.find(block(1007))
    delivered = position.deliver(block(1007), first)
    assert is_near and delivered.lost_before == 7 and delivered.device_time_s == 10.07
    assert position.next_sample == position.last_end == 1017
    assert tally["samples_lost"] == 7 and tally["samples_received"] == 10


def test_a_message_that_is_older_moves_nothing(position: Position, tally: Counter[str]) -> None:
    assert position.go_to(900, 9_000_000)
    assert position.next_sample == 1000 and not tally["samples_lost"]


def test_a_position_too_far_ahead_is_believed_when_the_next_one_follows_on_it(
    position: Position, tally: Counter[str]
) -> None:
    far = 1000 + FAR + 1
    assert not position.go_to(far, 10_000 * far)
    assert position.next_sample == 1000
    assert position.go_to(far + 100, 10_000 * (far + 100))
    assert position.next_sample == far + 100
    assert tally["samples_lost"] == far + 100 - 1000 and not tally["malformed"]


def test_a_position_too_far_ahead_that_nothing_follows_on_was_malformed(
    position: Position, tally: Counter[str]
) -> None:
    assert not position.go_to(1000 + FAR + 1, 10_000_000)
    position.deliver(block(1000), 1000)
    assert tally["malformed"] == 1 and not tally["samples_lost"]


def test_overruns_count_once_whether_a_block_or_a_status_tells_of_them(position: Position, tally: Counter[str]) -> None:
    position.deliver(block(1000)._replace(overrun=True), 1000)
    position.count_overruns(1)
    position.count_overruns(3)
    assert tally["overruns"] == 3


def test_a_hello_from_long_before_tells_of_a_restart_only_if_its_clock_agrees(position: Position) -> None:
    assert position.has_begun_anew(replace(HELLO, samples_produced=800, device_time_us=8_000_000))
    assert not position.has_begun_anew(replace(HELLO, samples_produced=800, device_time_us=10_000_000))
    assert not position.has_begun_anew(replace(HELLO, samples_produced=950, device_time_us=9_500_000))


def test_a_gap_in_the_sequence_is_filled_by_frames_that_name_no_session(tally: Counter[str]) -> None:
    frames = FrameAccount(tally)
    frames.in_session(65_534, session=1)
    frames.without_session()
    frames.in_session(2, session=1)
    assert tally["frames_lost"] == 2


def test_another_session_or_another_link_begins_the_sequence_anew(tally: Counter[str]) -> None:
    frames = FrameAccount(tally)
    frames.in_session(10, session=1)
    frames.in_session(50, session=2)
    frames.reset_link()
    frames.in_session(90, session=2)
    assert not tally["frames_lost"]


def test_half_a_frame_at_the_beginning_of_a_link_is_garbage_and_no_error(tally: Counter[str]) -> None:
    frames = FrameAccount(tally)
    frames.damaged(b"half")
    frames.in_step = True
    frames.whole()
    frames.damaged(b"bad")
    frames.whole()
    assert tally == {"garbage_bytes": 7, "frames_ok": 2, "crc_errors": 1, "resyncs": 1}
