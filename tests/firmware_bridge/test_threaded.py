"""A source read by a thread: order, errors, and what waits while the consumer stalls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from firmware_bridge.errors import PortLostError
from firmware_bridge.sources.arrivals import BytesRead
from firmware_bridge.sources.names import (
    FASTEST_LINE_BYTES_PER_S,
    LONGEST_LATENCY_S,
    MOST_WAITING,
    SMALLEST_FRAME_BYTES,
)
from firmware_bridge.sources.threaded import Threaded
from firmware_bridge.wire.events import Idle, SampleBlock, SourceEvent
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import MessageType, SamplesPayload, encode_samples
from firmware_bridge.wire.stream import StreamCounters


class FakeSource:
    """Hands out numbered blocks as fast as they are taken, each after its bytes."""

    def __init__(self, n: int, stop: Callable[[], bool], on_bytes: Callable[[bytes], None] | None) -> None:
        self.n, self.stop, self.on_bytes = n, stop, on_bytes
        self.counters = StreamCounters()
        self.made = 0
        self.error: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    def __iter__(self) -> Iterator[SourceEvent]:
        while self.made < self.n and not self.stop():
            if self.on_bytes is not None:
                self.on_bytes(b"%d" % self.made)
            yield SampleBlock(self.made, 0.0, np.zeros((1, 1), np.int16), 0)
            self.made += 1
            self.go_on.wait()
        if self.error is not None:
            raise self.error


def threaded(n: int, stop: Callable[[], bool] = lambda: False, **options: object) -> tuple[Threaded, FakeSource]:
    made: list[FakeSource] = []

    def open_source(stop: Callable[[], bool], on_bytes: Callable[[bytes], None] | None) -> FakeSource:
        made.append(FakeSource(n, stop, on_bytes))
        return made[0]

    return Threaded(open_source, stop, **options), made[0]  # type: ignore[arg-type]


def test_events_and_bytes_come_in_their_order() -> None:
    source, _ = threaded(2000, keeps_bytes=True, most_waiting=10)
    seen = [each for items in source.slices(0.001) for each in items]
    told = [each.data if isinstance(each, BytesRead) else each.event.first_sample for each in seen]
    assert told == [each for number in range(2000) for each in (b"%d" % number, number)]


def test_a_consumer_that_stalls_costs_nothing_and_knows_how_far_it_is_behind() -> None:
    source, fake = threaded(500)
    fake.go_on.clear()
    slices = source.slices(0.0)
    assert len(next(slices)) == 1
    fake.go_on.set()
    time.sleep(0.3)
    assert fake.made == 500 and source.waiting >= 499
    assert len(next(slices)) == 499 and source.lag_s >= 0.25
    assert list(slices) == [] and source.waiting == 0


def test_what_waits_is_bounded() -> None:
    source, fake = threaded(500, most_waiting=20)
    slices = source.slices(0.0)
    seen = len(next(slices))
    time.sleep(0.3)
    assert fake.made <= 25 + seen
    assert seen + sum(map(len, slices)) == 500


def test_an_error_comes_behind_what_was_read_before_it() -> None:
    source, fake = threaded(3)
    fake.error = PortLostError("unplugged")
    seen = []
    with pytest.raises(PortLostError) as caught:
        for event in source:
            seen.append(event)
    assert caught.value is fake.error and len(seen) == 3


def test_asked_to_stop_it_hands_out_what_was_read() -> None:
    stopped = threading.Event()
    source, fake = threaded(10**9, stopped.is_set, most_waiting=50)
    seen = 0
    for _ in source:
        seen += 1
        if seen == 100:
            stopped.set()
    assert seen >= fake.made >= 100


def test_left_early_it_ends_its_thread() -> None:
    before = threading.active_count()
    source, _ = threaded(10**9, most_waiting=5)
    events = iter(source)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_an_idle_source_says_so() -> None:
    class Quiet(FakeSource):
        def __iter__(self) -> Iterator[SourceEvent]:
            yield Idle()

    source = Threaded(lambda stop, on_bytes: Quiet(0, stop, on_bytes), lambda: False)
    assert list(source) == [Idle()]


def test_the_queue_holds_the_longest_slice_of_the_smallest_frames() -> None:
    samples = SamplesPayload(1, 0, 0, np.zeros((1, 1), np.int16))
    assert len(FrameWriter().encode(MessageType.SAMPLES, encode_samples(samples))) == SMALLEST_FRAME_BYTES
    assert LONGEST_LATENCY_S * FASTEST_LINE_BYTES_PER_S / SMALLEST_FRAME_BYTES == MOST_WAITING
