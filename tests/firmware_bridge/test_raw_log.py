from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from firmware_bridge.errors import RawLogError
from firmware_bridge.sources.arrivals import MOST_TOGETHER
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.wire.events import Idle, LinkLost, LinkRestored, SampleBlock
from firmware_bridge.wire.messages import Hello
from firmware_bridge.wire.raw_log import (
    DATA,
    MARKER,
    NOTE,
    PRELUDE,
    LogChunk,
    LogDamage,
    RawLogWriter,
    encode_segment,
    prelude,
    read_log,
)
from firmware_bridge.wire.stream import StreamDecoder

SECOND_NS = 10**9


class Clock:
    def __init__(self) -> None:
        self.ns = 1_700_000_000 * SECOND_NS

    def __call__(self) -> int:
        return self.ns


def writer(folder: Path, clock: Clock, **options: Any) -> RawLogWriter:
    return RawLogWriter(lambda n: folder / f"log-{n}.drsnlog", now_ns=clock, **options)


def logged(folder: Path, new_device: Any, blocks: int = 40, **options: Any) -> tuple[RawLogWriter, Any]:
    """Write a HELLO and blocks of 10 samples, one each 50 ms, cut at odd places."""
    clock, device = Clock(), new_device()
    log = writer(folder, clock, **options)
    log.stand_at(device.description)
    stream = device.hello() + b"".join(device.block(10 * n) for n in range(blocks))
    for at in range(0, len(stream), 77):
        log.write(stream[at : at + 77])
        clock.ns += 40_000_000
        if at > 500:
            log.stand_at(replace(device.description, samples_produced=at // 100))
    log.close()
    return log, device


def blocks_of(paths: list[Path]) -> tuple[list[SampleBlock], ReplaySource]:
    source = ReplaySource(paths)
    return [event for event in source if isinstance(event, SampleBlock)], source


@pytest.mark.parametrize("latency_s", [None, 0.0, 0.05, 0.2, 2.0])
def test_slices_hold_every_event_once_with_its_time_in_the_log(
    latency_s: float | None, tmp_path: Path, new_device: Any
) -> None:
    log, _ = logged(tmp_path, new_device)
    source = ReplaySource(log.summary.files)
    times = [(type(event), source.time_s) for event in source]
    slices = list(ReplaySource(log.summary.files).slices(latency_s))
    assert [(type(each.event), each.time_s) for items in slices for each in items] == times
    assert all(each.steady_s == each.time_s for items in slices for each in items)
    longest_s = 1.0 if latency_s is None else latency_s
    assert all(items[-1].time_s - items[0].time_s <= longest_s for items in slices)
    if longest_s == 0:
        assert {len(items) for items in slices} == {1}
    else:
        assert all(a[0].time_s + longest_s <= b[0].time_s for a, b in itertools.pairwise(slices))


def test_slices_of_a_log_whose_clock_stands_are_short(tmp_path: Path, new_device: Any) -> None:
    clock, device = Clock(), new_device()
    log = writer(tmp_path, clock)
    log.write(device.hello() + b"".join(device.block(10 * n) for n in range(2500)))
    log.close()
    slices = list(ReplaySource(log.summary.files).slices())
    assert [len(items) for items in slices] == [MOST_TOGETHER, 2501 - MOST_TOGETHER]
    blocks = [each.event for items in slices for each in items if isinstance(each.event, SampleBlock)]
    assert [block.first_sample for block in blocks] == [*range(0, 25_000, 10)]


def test_what_was_written_is_read_again(tmp_path: Path, new_device: Any) -> None:
    log, device = logged(tmp_path, new_device)
    (path,) = log.summary.files
    everything = list(read_log(path.read_bytes()))
    chunks = [chunk for chunk in everything if isinstance(chunk, LogChunk)]
    assert chunks == everything
    assert chunks[0].kind == PRELUDE and {chunk.kind for chunk in chunks[1:]} == {DATA}
    assert sum(len(chunk.data) for chunk in chunks[1:]) == log.summary.bytes_logged
    times = [chunk.time_ns for chunk in chunks[1:]]
    assert times == [Clock().ns + 40_000_000 * n for n in range(len(times))]
    blocks, source = blocks_of([path])
    assert [block.first_sample for block in blocks] == list(range(0, 400, 10))
    for block in blocks:
        np.testing.assert_array_equal(block.samples, device.counts(block.first_sample, 10))
    assert source.damage == [] and source.counters.samples_lost == 0


def test_rotated_files_are_one_stream_and_each_stands_alone(tmp_path: Path, new_device: Any) -> None:
    log, _ = logged(tmp_path, new_device, blocks=200, rotate_bytes=2000)
    files = list(log.summary.files)
    assert len(files) > 4
    blocks, source = blocks_of(files)
    assert len(blocks) == 200 and source.counters.samples_lost == 0 and source.counters.crc_errors == 0
    alone = [blocks_of([path])[0] for path in files]
    assert all(alone) and 190 <= sum(map(len, alone)) <= 200  # one block may lie across each border
    without_third, source = blocks_of([*files[:2], *files[3:]])
    missing = {block.first_sample for block in blocks} - {block.first_sample for block in without_third}
    assert missing and source.counters.samples_lost == 10 * len(missing)
    assert [type(event) for event in ReplaySource([files[0], files[2]]) if isinstance(event, LinkLost | LinkRestored)]


@given(st.data())
def test_a_log_that_is_cut_anywhere_gives_what_came_before(data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6))
    segments = [encode_segment(DATA, 7, n, [(1000, piece)]) for n, piece in enumerate(pieces)]
    whole = b"".join(segments)
    cut = data.draw(st.integers(0, len(whole)))
    ends = np.cumsum([len(segment) for segment in segments])
    expected = pieces[: int((ends <= cut).sum())]
    if not expected and cut:
        with refused(RawLogError, "no_segment"):
            list(read_log(whole[:cut]))
        return
    found = list(read_log(whole[:cut]))
    assert [item.data for item in found if isinstance(item, LogChunk)] == expected
    left = cut - (int(ends[len(expected) - 1]) if expected else 0)
    assert [item for item in found if isinstance(item, LogDamage)] == (
        [LogDamage(cut - left, left, True)] if left else []
    )


@given(st.data())
def test_flipped_bits_cost_their_segment_and_no_other(data: st.DataObject) -> None:
    pieces = [bytes([n]) * 30 for n in range(5)]
    segments = [encode_segment(DATA, 7, n, [(1000, piece)]) for n, piece in enumerate(pieces)]
    hit = data.draw(st.integers(0, 4))
    at = data.draw(st.integers(0, len(segments[hit]) - 1))
    broken = bytearray(segments[hit])
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    found = list(read_log(b"".join([*segments[:hit], bytes(broken), *segments[hit + 1 :]])))
    assert [item.data for item in found if isinstance(item, LogChunk)] == [*pieces[:hit], *pieces[hit + 1 :]]
    (damage,) = (item for item in found if isinstance(item, LogDamage))
    assert damage.size == len(broken) and damage.at_end == (hit == 4)


def test_a_marker_in_the_data_is_no_segment() -> None:
    pieces = [MARKER * 3, encode_segment(DATA, 1, 9, [(5, b"inner")]), b"end"]
    whole = b"".join(encode_segment(DATA, 7, n, [(1000, piece)]) for n, piece in enumerate(pieces))
    assert [item.data for item in read_log(whole)] == pieces


def test_damage_in_the_middle_is_a_lost_link_and_its_samples_are_counted(tmp_path: Path, new_device: Any) -> None:
    log, _ = logged(tmp_path, new_device)
    (path,) = log.summary.files
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    source = ReplaySource([path])
    events = list(source)
    blocks = [event for event in events if isinstance(event, SampleBlock)]
    assert [type(event) for event in events if isinstance(event, LinkLost | LinkRestored)] == [LinkLost, LinkRestored]
    assert len(source.damage) == 1 and not source.damage[0][1].at_end
    assert 0 < source.counters.samples_lost == 400 - 10 * len(blocks)


@pytest.mark.parametrize("data", [b"x", b"text\n" * 100, bytes(5000)])
def test_other_files_are_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.drsnlog").write_bytes(data)
    with refused(RawLogError, "no_segment", path=tmp_path / "x.drsnlog"):
        list(ReplaySource([tmp_path / "x.drsnlog"]))
    with refused(RawLogError, "unreadable", path=tmp_path / "none.drsnlog", reason=os.strerror(errno.ENOENT)):
        list(ReplaySource([tmp_path / "none.drsnlog"]))


def test_a_later_version_is_refused() -> None:
    segment = bytearray(encode_segment(DATA, 1, 0, [(0, b"a")]))
    segment[8] = 2
    from zlib import crc32

    segment[32:36] = crc32(segment[:32]).to_bytes(4, "little")
    with refused(RawLogError, "version", expected=1, got=2):
        list(read_log(bytes(segment)))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "log-0.drsnlog").write_bytes(b"precious")
    log = writer(tmp_path, Clock())
    log.write(b"a")
    with refused(RawLogError, "exists", path=tmp_path / "log-0.drsnlog"):
        log.close()
    assert (tmp_path / "log-0.drsnlog").read_bytes() == b"precious"


def test_a_full_disk_is_one_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    log = RawLogWriter(lambda _: Path("/dev/full"))
    log._file, log._files = Path("/dev/full").open("wb"), [Path("/dev/full")]  # noqa: SIM115
    log.write(b"a")
    with refused(RawLogError, "cannot_write", path="/dev/full", reason=os.strerror(errno.ENOSPC)):
        log.close()


def test_pace(tmp_path: Path, new_device: Any) -> None:
    log, _ = logged(tmp_path, new_device)
    waited: list[float] = []
    list(ReplaySource(list(log.summary.files), speed=2.0, sleep=waited.append))
    chunks = [item for item in read_log(log.summary.files[0].read_bytes()) if isinstance(item, LogChunk)]
    assert sum(waited) == pytest.approx((chunks[-1].time_ns - chunks[0].time_ns) / 2e9, abs=0.1)


WRITES_UNTIL_IT_IS_KILLED = """
import sys, time
from pathlib import Path
from firmware_bridge.wire.raw_log import RawLogWriter
log = RawLogWriter(lambda n: Path(sys.argv[1]), rotate_bytes=None)
count = 0
while True:
    log.write(count.to_bytes(4, "little"))
    count += 1
    if count % 100 == 0:
        print(count, flush=True)
    time.sleep(0.001)
"""


def test_a_clock_that_is_set_back_holds_nothing_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    clock = Clock()
    log = writer(tmp_path, clock)
    for number in range(40):
        if number == 20:
            clock.ns -= 3600 * SECOND_NS
        log.write(b"x" * 10)
        clock.ns += SECOND_NS // 10
        if number >= 23:
            assert (tmp_path / "log-0.drsnlog").read_bytes().count(b"x") > 10 * (number - 4)
    assert len(synced) >= 3
    log.close()


@pytest.mark.parametrize("speed", [None, 1000.0])
def test_a_clock_that_is_set_forward_is_replayed_in_moments(
    tmp_path: Path, new_device: Any, speed: float | None
) -> None:
    clock, device = Clock(), new_device()
    clock.ns = 1000 * SECOND_NS  # a board without a clock, until the network gives it the time
    log = writer(tmp_path, clock)
    for number in range(40):
        if number == 20:
            clock.ns = 1_700_000_000 * SECOND_NS
        log.write((device.hello() if number == 0 else b"") + device.block(10 * number))
        clock.ns += SECOND_NS // 10
    log.close()
    waited: list[float] = []
    source = ReplaySource(list(log.summary.files), speed=speed, sleep=waited.append)
    events = list(itertools.islice(source, 10_000))
    blocks = [event for event in events if isinstance(event, SampleBlock)]
    assert len(blocks) == 40 and sum(map(len, (block.samples for block in blocks))) == 400
    assert sum(waited) < 1.0 and source.time_s > 1_700_000_000
    assert 3000 <= sum(isinstance(event, Idle) for event in events) <= 3010  # it was silent for 10 minutes at most


def test_a_killed_writer_loses_the_last_quarter_of_a_second_at_most(tmp_path: Path) -> None:
    path = tmp_path / "killed.drsnlog"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_UNTIL_IT_IS_KILLED, path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said, deadline = 0, time.monotonic() + 60
    while said < 1500 and time.monotonic() < deadline:
        said = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    said = max([said, *map(int, process.communicate()[0].split())])
    items = list(read_log(path.read_bytes()))
    numbers = [int.from_bytes(item.data, "little") for item in items if isinstance(item, LogChunk)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= said - 300  # a quarter of a second, or less where the machine is slow


def test_a_hello_stands_where_the_device_stood(tmp_path: Path, new_device: Any) -> None:
    clock, device = Clock(), new_device()
    log = writer(tmp_path, clock)
    log.stand_at(replace(device.description, samples_produced=2**40 + 5, device_time_us=77))
    log.write(device.block(2**40 + 5))
    log.close()
    hello, block = list(ReplaySource(list(log.summary.files)))
    assert isinstance(hello, Hello) and isinstance(block, SampleBlock)
    assert (hello.samples_produced, block.first_sample) == (2**40 + 5, 2**40 + 5)


def test_a_note_on_the_recording_stands_at_the_beginning_of_each_file(tmp_path: Path) -> None:
    clock = [0]
    writer = RawLogWriter(
        lambda number: tmp_path / f"{number}.drsnlog", rotate_bytes=1, now_ns=lambda: clock[0], about="recording: {}"
    )
    for _ in range(3):
        writer.write(b"1234")
        clock[0] += 10**9
        writer.write(b"5678")
    writer.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 1
    for file in files:
        first, *rest = [item for item in read_log(file.read_bytes()) if isinstance(item, LogChunk)]
        assert (first.kind, first.data) == (NOTE, b"recording: {}") and NOTE not in {each.kind for each in rest}
    numbers = [item.segment for file in files for item in read_log(file.read_bytes()) if isinstance(item, LogChunk)]
    assert sorted(set(numbers)) == list(range(max(numbers) + 1))


def test_a_later_file_begins_behind_the_last_samples(tmp_path: Path, new_device: Any) -> None:
    clock, device = Clock(), new_device()
    log = writer(tmp_path, clock, rotate_bytes=1)
    decoder = StreamDecoder()
    for data in (device.hello(), *(device.block(10 * n) for n in range(4))):
        log.write(data)
        clock.ns += SECOND_NS
        log.write(b"")  # one segment, and so one file, for each
        for event in decoder.feed(data):
            if isinstance(event, Hello):
                log.stand_at(event)
            elif isinstance(event, SampleBlock):
                log.stand_at(device.description, event)
    log.close()
    preludes = [next(iter(read_log(path.read_bytes()))) for path in log.summary.files[2:]]
    blocks, _ = blocks_of(list(log.summary.files))
    assert [each.kind for each in preludes] == [PRELUDE] * 3
    assert [each.data for each in preludes] == [
        prelude(
            replace(
                device.description,
                samples_produced=each.first_sample + len(each.samples),
                device_time_us=round(1e6 * each.device_time_s),
            )
        )
        for each in blocks[:3]
    ]


def test_marks_in_a_log_have_the_times_at_which_they_came(tmp_path: Path, new_device: Any) -> None:
    clock, device = Clock(), new_device()
    log, began_ns = writer(tmp_path, clock), clock.ns
    log.write(device.hello(), began_ns)
    clock.ns += SECOND_NS  # the slice is handled later than its events came
    log.note_link("unplugged", began_ns + 1_000_000)
    log.note_link(None, began_ns + 2_000_000)
    log.note("acknowledge", began_ns + 3_000_000)
    log.note("acknowledge")
    log.close()
    items = [each for each in read_log(log.summary.files[0].read_bytes()) if isinstance(each, LogChunk)]
    assert [each.time_ns - began_ns for each in items] == [0, 1_000_000, 2_000_000, 3_000_000, SECOND_NS]
