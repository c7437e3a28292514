from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import expect

from firmware_bridge.errors import ProtocolError
from firmware_bridge.wire import cobs
from firmware_bridge.wire.events import DeviceLog, DeviceRestarted, HelloRejected, Reply, SampleBlock, Status
from firmware_bridge.wire.frames import Frame, encode_frame
from firmware_bridge.wire.messages import (
    DeviceState,
    Encoding,
    Hello,
    LogLevel,
    LogPayload,
    MessageType,
    Opcode,
    ReplyPayload,
    Result,
    SamplesPayload,
    StatusPayload,
    encode_hello,
    encode_log,
    encode_reply,
    encode_samples,
    encode_status,
)
from firmware_bridge.wire.position import extend
from firmware_bridge.wire.stream import StreamCounters, StreamDecoder

WRAP = 1 << 32


def blocks_of(events) -> list[SampleBlock]:
    return [event for event in events if isinstance(event, SampleBlock)]


def readable(events) -> list[Any]:
    """Events as values that compare."""
    return [
        (event.first_sample, event.device_time_s, event.samples.tolist(), event.lost_before)
        if isinstance(event, SampleBlock)
        else str(event)
        for event in events
    ]


def assert_unaltered(device, blocks) -> None:
    """Each block is what was sent, they do not overlap, and each says how much is missing before it."""
    for block in blocks:
        assert np.array_equal(block.samples, device.counts(block.first_sample, len(block.samples)))
        assert block.device_time_s == device.time_us(block.first_sample) / 1e6
    for one, following in pairwise(blocks):
        assert following.first_sample - following.lost_before == one.first_sample + len(one.samples)


def test_a_clean_stream(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    wire = b"\0" + device.hello() + device.block(0) + device.block(10) + device.status(20, DeviceState.ENDED)
    hello, first, second, status = decoder.feed(wire)
    assert hello == decoder.hello == device.description
    assert first.samples.dtype == np.int16 and not first.samples.flags.writeable
    assert (first.first_sample, second.first_sample, first.lost_before, second.lost_before) == (0, 10, 0, 0)
    assert_unaltered(device, [first, second])
    assert status == Status(DeviceState.ENDED, 20, 20 / 4000, 0)
    assert decoder.counters == StreamCounters(bytes_received=len(wire), frames_ok=4, samples_received=20)


def test_lost_blocks_are_counted_by_samples_and_by_frames(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    frames = [device.hello(), *(device.block(first) for first in range(0, 60, 10))]
    del frames[3:5]
    blocks = blocks_of(decoder.feed(b"".join(frames)))
    assert [(block.first_sample, block.lost_before) for block in blocks] == [(0, 0), (10, 0), (40, 20), (50, 0)]
    assert (decoder.counters.samples_lost, decoder.counters.frames_lost) == (20, 2)
    assert decoder.counters.samples_received == 40


def test_the_first_block_after_hello_counts_too(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    (block,) = blocks_of(decoder.feed(device.hello() + device.block(30)))
    assert block.lost_before == decoder.counters.samples_lost == 30


def test_a_tail_that_is_missing(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0))
    once = decoder.feed(device.status(30))
    again = decoder.feed(device.status(30))
    assert once == again == [Status(DeviceState.STREAMING, 30, 30 / 4000, lost_before=20)]
    assert decoder.counters.samples_lost == 20
    (block,) = blocks_of(decoder.feed(device.block(40)))
    assert block.lost_before == 30, "a consumer that ignores Status still sees the whole gap"
    assert decoder.counters.samples_lost == 30


def test_joining_in_the_middle_loses_nothing(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    half = device.block(990)[7:]
    events = decoder.feed(half + device.block(1000) + device.status(1010))
    assert events == [] and decoder.needs_hello
    (_, block) = decoder.feed(device.hello(1010) + device.block(1010))
    assert (block.first_sample, block.lost_before) == (1010, 0)
    counters = decoder.counters
    assert (counters.samples_before_hello, counters.samples_lost, counters.samples_received) == (10, 0, 10)
    assert (counters.crc_errors, counters.garbage_bytes) == (0, len(half) - 1)


def test_repeated_and_older_blocks_are_dropped(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    one, two = device.block(0), device.block(10)
    overlapping = device.block(15)
    blocks = blocks_of(decoder.feed(device.hello() + one + two + two + one + overlapping + device.block(30)))
    assert [block.first_sample for block in blocks] == [0, 10, 30]
    assert (decoder.counters.duplicates, decoder.counters.frames_lost) == (3, 0)
    assert decoder.counters.samples_lost == blocks[-1].lost_before == 10


def test_both_counters_go_on_past_32_bits(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    start = WRAP - 15
    blocks = blocks_of(
        decoder.feed(device.hello(start) + device.block(start) + device.block(WRAP - 5) + device.block(WRAP + 5))
    )
    assert [block.first_sample for block in blocks] == [start, WRAP - 5, WRAP + 5]
    assert_unaltered(device, blocks)
    assert blocks[0].device_time_s > 1e6, "device time has wrapped, too"
    (late,) = blocks_of(decoder.feed(device.status(3 * WRAP) + device.block(3 * WRAP)))
    assert late.first_sample == 3 * WRAP
    assert decoder.counters.samples_lost == late.lost_before == 2 * WRAP - 15


@pytest.mark.parametrize("near", [0, 5, WRAP - 1, WRAP, 7 * WRAP + 3])
@pytest.mark.parametrize("step", [-(1 << 31), -1, 0, 1, (1 << 31) - 1])
def test_extend_finds_the_nearest(near: int, step: int) -> None:
    assert extend((near + step) % WRAP, near) == near + step


def test_a_restart_begins_again_and_keeps_totals(new_device) -> None:
    before, after, decoder = new_device(), new_device(session=2), StreamDecoder()
    decoder.feed(before.hello() + before.block(0) + before.block(20))
    restarted, hello, block = decoder.feed(after.hello() + after.block(0))
    assert restarted == DeviceRestarted(before.session, 2)
    assert hello == after.description
    assert (block.first_sample, block.lost_before) == (0, 0)
    counters = decoder.counters
    assert (counters.restarts, counters.samples_received, counters.samples_lost, counters.frames_lost) == (1, 30, 10, 0)
    after.block(10)
    decoder.feed(after.block(20))
    assert (decoder.counters.samples_lost, decoder.counters.frames_lost) == (20, 1)


def test_samples_of_a_session_nobody_introduced_are_never_mixed_in(new_device) -> None:
    before, after, decoder = new_device(), new_device(session=2), StreamDecoder()
    decoder.feed(before.hello() + before.block(0))
    assert not decoder.needs_hello
    assert decoder.feed(after.block(10) + after.status(20)) == []
    assert decoder.needs_hello
    assert decoder.counters.samples_before_hello == 10
    *_, block = decoder.feed(after.hello(20) + after.block(20))
    assert (block.first_sample, block.lost_before, decoder.counters.samples_lost) == (20, 0, 0)


def test_a_cut_link_keeps_the_position(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0) + device.block(10)[:20])
    decoder.reset_link()
    assert decoder.needs_hello and decoder.hello == device.description
    assert decoder.feed(b"\0" + device.hello(50)) == [], "the same device in the same session is no news"
    assert decoder.counters.samples_lost == 40
    (block,) = decoder.feed(device.block(50))
    assert (block.lost_before, decoder.counters.samples_lost, decoder.counters.crc_errors) == (40, 40, 0)


@pytest.mark.parametrize("rubbish", [b"x", b"\1\1\1", b"Hello world\r\n", b"\xff" * 5000, b"\3\2"])
def test_rubbish_costs_nothing_but_itself(new_device, rubbish: bytes) -> None:
    device, decoder = new_device(), StreamDecoder()
    wire = device.hello() + device.block(0) + rubbish + b"\0" + device.block(10) + device.status(20)
    assert len(blocks_of(decoder.feed(wire))) == 2
    counters = decoder.counters
    assert (counters.crc_errors, counters.garbage_bytes, counters.resyncs) == (1, len(rubbish), 1)
    assert (counters.frames_lost, counters.samples_lost) == (0, 0)


def test_a_lost_delimiter_costs_two_frames(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    wire = device.hello() + device.block(0)[:-1] + device.block(10) + device.block(20)
    (block,) = blocks_of(decoder.feed(wire))
    assert block.lost_before == 20
    assert (decoder.counters.frames_lost, decoder.counters.crc_errors, decoder.counters.resyncs) == (2, 1, 1)


def test_malformed_and_unknown_frames_are_counted_and_skipped(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    sent = [device.hello(), device.block(0)]
    four_axes = SamplesPayload(device.session, 10, 0, np.zeros((2, 4), np.int16))
    sent += [device.writer.encode(MessageType.SAMPLES, b"too short")]
    sent += [device.writer.encode(MessageType.SAMPLES, encode_samples(four_axes))]
    sent += [device.writer.encode(0x55, b"from a later version")]
    lying = struct.pack("<BHH", 2, device.writer._sequence, 99) + b"payload"
    device.writer.encode(0, b"")
    sent += [cobs.encode(lying + struct.pack("<I", crc32(lying))) + b"\0", device.block(10)]
    assert len(blocks_of(decoder.feed(b"".join(sent)))) == 2
    counters = decoder.counters
    assert (counters.malformed, counters.unknown_type, counters.frames_ok) == (3, 1, 7)
    assert (counters.frames_lost, counters.crc_errors, counters.samples_lost) == (0, 0, 0)


def test_a_newer_device_is_refused_and_what_came_before_survives(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    newer = encode_hello(replace(device.description, session=9, protocol_version=2))
    wire = device.hello() + device.block(0) + device.writer.encode(MessageType.HELLO, newer)
    _, block, rejected = decoder.feed(wire)
    assert isinstance(block, SampleBlock) and isinstance(rejected, HelloRejected)
    expect(rejected.error, ProtocolError, "protocol_version", got=2)
    assert decoder.hello == device.description


def test_a_hello_that_contradicts_its_session_is_refused(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello())
    changed = encode_hello(replace(device.description, scale=1.0))
    (rejected,) = decoder.feed(device.writer.encode(MessageType.HELLO, changed))
    assert isinstance(rejected, HelloRejected)
    changes = [("scale", 8 / 2**15, 1.0)]
    expect(rejected.error, ProtocolError, "contradiction", device="bench-1", changes=changes)
    assert decoder.hello == device.description and decoder.needs_hello


def test_after_a_hello_that_was_refused_no_sample_counts_until_the_device_is_asked_again(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    changed = encode_hello(replace(device.description, scale=1.0, samples_produced=30))
    decoder.feed(device.hello() + device.block(0) + device.writer.encode(MessageType.HELLO, changed))
    assert blocks_of(decoder.feed(device.block(10) + device.block(20))) == []
    restarted, described = decoder.feed(device.writer.encode(MessageType.HELLO, changed))
    assert restarted == DeviceRestarted(device.session, device.session) and described.scale == 1.0
    (block,) = decoder.feed(device.block(30))
    counters = decoder.counters
    assert (block.first_sample, block.lost_before) == (30, 0)
    assert (counters.samples_received, counters.samples_lost, counters.samples_before_hello) == (20, 20, 20)
    assert (counters.restarts, counters.malformed) == (0, 1)


def test_a_reader_who_begins_anew_hears_who_the_device_is_and_losses_count(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0))
    decoder.reset_link()
    decoder.introduce_again()
    assert blocks_of(decoder.feed(b"\0" + device.block(10))) == []
    events = decoder.feed(device.hello(50) + device.block(50))
    assert [type(event) for event in events] == [DeviceRestarted, Hello, SampleBlock]
    assert (decoder.counters.samples_received, decoder.counters.samples_lost) == (20, 40)


@pytest.mark.parametrize("index", [2**53, 2**63, 2**64 - 60_000])
def test_a_status_with_an_impossible_index_changes_nothing(new_device, index: int) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0))
    lie = struct.pack("<IQQBIIHHh", device.session, index, 2**64 - 1, 1, 0, 0, 0, 0, 0)
    assert decoder.feed(device.writer.encode(MessageType.STATUS, lie)) == []
    (block,) = decoder.feed(device.block(10))
    assert (block.first_sample, block.lost_before, decoder.counters.samples_lost) == (10, 0, 0)
    assert decoder.counters.malformed == 1


def test_a_device_time_before_the_first_is_none(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    early = SamplesPayload(device.session, 0, 2**32 - 1, device.counts(0, 10))
    _, block = decoder.feed(device.hello() + device.writer.encode(MessageType.SAMPLES, encode_samples(early)))
    assert block.device_time_s == 0.0


def test_indices_end_where_a_double_holds_them_no_more(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    hello = encode_hello(replace(device.description, samples_produced=2**53 - 15))
    decoder.feed(device.writer.encode(MessageType.HELLO, hello))
    assert len(blocks_of(decoder.feed(device.block(2**53 - 15) + device.block(2**53 - 5)))) == 1
    assert decoder.counters.malformed == 1


def test_an_older_status_or_hello_changes_nothing(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0) + device.status(5) + device.hello(5))
    (block,) = decoder.feed(device.block(10))
    assert (block.lost_before, decoder.counters.samples_lost) == (0, 0)


HOURS = 10 * 3600 * 4000
"""Samples that a device takes while a link is lost for ten hours."""


def leaping(device, sample: int, time_us: int) -> list[bytes]:
    """Return a STATUS, a HELLO and SAMPLES of a position."""
    status = StatusPayload(device.session, sample, time_us, DeviceState.STREAMING)
    hello = replace(device.description, samples_produced=sample, device_time_us=time_us)
    samples = SamplesPayload(device.session, sample, time_us, device.counts(sample, 10))
    return [
        device.writer.encode(MessageType.STATUS, encode_status(status)),
        device.writer.encode(MessageType.HELLO, encode_hello(hello)),
        device.writer.encode(MessageType.SAMPLES, encode_samples(samples)),
    ]


@pytest.mark.parametrize(
    ("kind", "leap"),
    [(kind, leap) for leap in (2**53 - 1, 2**52, 2**45, 2**32 - 1, 2**31 - 10, HOURS) for kind in (0, 1)]
    + [(2, 2**31 - 10), (2, HOURS)],
)
def test_one_position_that_no_sensor_can_have_reached_changes_nothing(new_device, kind: int, leap: int) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0))
    assert decoder.feed(leaping(device, leap, device.time_us(10))[kind]) == []
    blocks = blocks_of(decoder.feed(b"".join(device.block(first) for first in range(10, 100, 10))))
    assert (len(blocks), blocks[0].lost_before) == (9, 0)
    assert (decoder.counters.samples_lost, decoder.counters.malformed) == (0, 1)


def test_one_device_time_that_cannot_be_changes_nothing(new_device) -> None:
    for kind in (0, 1):
        device, decoder = new_device(), StreamDecoder()
        decoder.feed(device.hello() + device.block(0))
        assert decoder.feed(leaping(device, 10, 2**53 - 1)[kind]) == []
        (block,) = decoder.feed(device.block(10))
        assert (block.device_time_s, block.lost_before, decoder.counters.malformed) == (10 / 4000, 0, 1)


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("first", ["status", "hello", "block"])
def test_a_link_lost_for_hours_is_counted_exactly(new_device, first: str, is_cut: bool) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0))
    if is_cut:
        decoder.reset_link()
        decoder.feed(b"\0")
    events = decoder.feed(getattr(device, first)(HOURS) + device.block(HOURS + 10) + device.block(HOURS + 20))
    one, two = blocks_of(events)
    assert (one.first_sample, one.lost_before, two.lost_before) == (HOURS + 10, HOURS, 0)
    counters = decoder.counters
    assert (counters.samples_lost, counters.malformed, counters.restarts) == (HOURS, 0, 0)


def far(new_device) -> tuple[StreamDecoder, int]:
    """Return a decoder that has seen 3 s of a device, and what is next."""
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + b"".join(device.block(first, 200) for first in range(0, 12_000, 200)))
    return decoder, 12_000


def test_a_device_that_restarts_into_its_session_is_heard(new_device) -> None:
    decoder, _ = far(new_device)
    again = new_device()
    events = decoder.feed(again.hello() + again.block(10) + again.block(20))
    assert events[:2] == [DeviceRestarted(again.session, again.session), again.description]
    assert [(block.first_sample, block.lost_before) for block in blocks_of(events)] == [(10, 10), (20, 0)]
    counters = decoder.counters
    assert (counters.restarts, counters.duplicates, counters.samples_received) == (1, 0, 12_020)
    assert counters.samples_lost == 10 and not decoder.needs_hello


def test_a_device_that_restarts_into_its_session_is_asked_and_known_by_its_second_hello(new_device) -> None:
    decoder, _ = far(new_device)
    again = new_device()
    again.hello()  # is lost
    assert decoder.feed(again.block(0)) == [] and decoder.needs_hello
    assert decoder.feed(again.hello(10)) == [] and decoder.needs_hello
    assert [type(event) for event in decoder.feed(again.hello(10))] == [DeviceRestarted, Hello]
    (block,) = decoder.feed(again.block(10))
    assert (block.first_sample, block.lost_before, decoder.counters.restarts) == (10, 0, 1)


def test_copies_of_an_old_hello_restart_nothing(new_device) -> None:
    decoder, end = far(new_device)
    device = new_device()
    old = device.hello()
    for first in range(end, end + 50, 10):
        (block,) = decoder.feed(old + old + device.block(first))
        assert (block.first_sample, block.lost_before) == (first, 0)
    assert decoder.feed(device.hello(end) + device.hello(end - 100) + device.hello(end - 100)) == []
    assert (decoder.counters.restarts, decoder.counters.samples_lost) == (0, 0)


def test_memory_is_bounded_without_delimiters(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    for _ in range(50):
        decoder.feed(b"U" * 10_000)
    assert len(decoder._splitter._partial) < 2100
    hello, _ = decoder.feed(b"\0" + device.hello() + device.block(0))
    assert isinstance(hello, Hello)
    assert decoder.counters.garbage_bytes == 500_000


# --- properties ------------------------------------------------------------------------------------------------------


def wire_with_everything(new_device) -> bytes:
    device, other = new_device(), new_device(session=3)
    parts = [b"\0", device.hello(), device.block(0), b"noise\0", device.block(10), device.block(30, 200), b"\0\0"]
    parts += [device.writer.encode(0x55, b"?"), device.status(300), b"z" * 3000 + b"\0", device.block(300)]
    parts += [other.block(0), other.hello(10), other.block(10), encode_frame(Frame(1, 0, b"bad hello"))]
    return b"".join(parts)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 6000), max_size=40))
def test_any_split_gives_the_same_events(new_device, cuts: list[int]) -> None:
    wire = wire_with_everything(new_device)
    whole, split = StreamDecoder(), StreamDecoder()
    expected = readable(whole.feed(wire))
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    events = [event for start, end in pairwise(edges) for event in split.feed(wire[start:end])]
    assert readable(events) == expected
    assert split.counters == whole.counters


def test_byte_by_byte_gives_the_same_events(new_device) -> None:
    wire = wire_with_everything(new_device)
    whole, split = StreamDecoder(), StreamDecoder()
    assert readable(event for byte in wire for event in split.feed(bytes([byte]))) == readable(whole.feed(wire))
    assert split.counters == whole.counters


FATES = st.one_of(
    st.just("keep"),
    st.sampled_from(["keep", "drop", "repeat", "noise"]),
    st.tuples(st.integers(0, 10**6), st.integers(1, 255)),
)


def suffer(frame: bytes, fate) -> bytes:
    if isinstance(fate, tuple):
        position, mask = fate[0] % len(frame), fate[1]
        return frame[:position] + bytes([frame[position] ^ mask]) + frame[position + 1 :]
    return {"keep": frame, "drop": b"", "repeat": frame + frame, "noise": frame + b"\x05noise"}[fate]


@settings(max_examples=150, deadline=None)
@given(
    fates=st.lists(st.tuples(st.integers(1, 40), FATES), min_size=1, max_size=40),
    start=st.sampled_from([0, WRAP - 100]),
)
def test_every_sample_is_received_or_lost_whatever_happens(new_device, fates, start: int) -> None:
    device, decoder = new_device(), StreamDecoder()
    produced, wire = start, [device.hello(start)]
    for n, fate in fates:
        wire.append(suffer(device.block(produced, n), fate))
        produced += n
        if n % 5 == 0:
            wire.append(suffer(device.status(produced), fate))
    ended = b"\0" + device.status(produced, DeviceState.ENDED)
    events = decoder.feed(b"".join(wire) + ended)
    blocks = blocks_of(events)
    assert_unaltered(device, blocks)
    counters = decoder.counters
    assert counters.samples_received == sum(len(block.samples) for block in blocks)
    assert counters.samples_received + counters.samples_lost == produced - start
    assert events[-1].lost_before + sum(block.lost_before for block in blocks) == counters.samples_lost


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=6000))
def test_no_bytes_raise(data: bytes) -> None:
    decoder = StreamDecoder()
    decoder.feed(data)
    decoder.feed(b"\0")
    assert decoder.counters.bytes_received == len(data) + 1


# --- overruns, replies, log text -----------------------------------------------------------------------------------


def test_an_overrun_is_a_gap_that_says_so(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0))
    message = SamplesPayload(device.session, 25, 0, device.counts(25, 10), overrun=True)
    (block,) = decoder.feed(device.writer.encode(MessageType.SAMPLES, encode_samples(message)))
    assert isinstance(block, SampleBlock) and (block.overrun, block.lost_before) == (True, 15)
    counters = decoder.counters
    assert (counters.overruns, counters.samples_lost) == (1, 15)


def test_an_overrun_whose_block_was_lost_is_told_by_status(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello() + device.block(0))
    message = SamplesPayload(device.session, 25, 0, device.counts(25, 10), overrun=True)
    decoder.feed(device.writer.encode(MessageType.SAMPLES, encode_samples(message)))
    for overruns in (3, 2, 3):  # one may be repeated, or late
        status = StatusPayload(device.session, 35, 0, DeviceState.STREAMING, overruns, 7, 8, 9, 21.5)
        (event,) = decoder.feed(device.writer.encode(MessageType.STATUS, encode_status(status)))
    assert event == Status(DeviceState.STREAMING, 35, 0.0, 0, 3, 7, 8, 9, 21.5)
    assert decoder.counters.overruns == 3
    device.session += 1
    decoder.feed(device.hello())
    status = StatusPayload(device.session, 0, 0, DeviceState.STREAMING, 1)
    decoder.feed(device.writer.encode(MessageType.STATUS, encode_status(status)))
    assert decoder.counters.overruns == 4


def test_replies_and_log_text_come_out_and_leave_no_gap_in_the_sequence(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    decoder.feed(device.hello())
    reply = ReplyPayload(device.session, 5, Opcode.SELF_TEST, Result.DONE, "x 210 mg")
    log = LogPayload(LogLevel.ERROR, "no sensor")
    events = decoder.feed(
        device.writer.encode(MessageType.LOG, encode_log(log))
        + device.writer.encode(MessageType.REPLY, encode_reply(reply))
        + device.block(0)
    )
    assert events[:2] == [DeviceLog(LogLevel.ERROR, "no sensor"), Reply(5, Opcode.SELF_TEST, Result.DONE, "x 210 mg")]
    assert decoder.counters.frames_lost == 0 and decoder.counters.samples_received == 10


def test_samples_of_24_bits(new_device) -> None:
    device, decoder = new_device(), StreamDecoder()
    counts = np.array([[8_388_607, -8_388_608, 0]], np.int32)
    message = SamplesPayload(device.session, 0, 0, counts, Encoding.INT24)
    (block,) = decoder.feed(device.hello() + device.writer.encode(MessageType.SAMPLES, encode_samples(message)))[1:]
    assert isinstance(block, SampleBlock)
    np.testing.assert_array_equal(block.samples, counts)
