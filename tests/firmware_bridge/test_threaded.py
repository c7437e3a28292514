"""A source read by a thread: order, errors, and what waits while the consumer stalls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from firmware_bridge.errors import PortLostError
from firmware_bridge.sources.arrivals import Arrival, BytesRead
from firmware_bridge.sources.names import (
    FASTEST_LINE_BYTES_PER_S,
    LONGEST_LATENCY_S,
    MOST_WAITING,
    SMALLEST_FRAME_BYTES,
)
from firmware_bridge.sources.threaded import Item, Threaded
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


class Reads(FakeSource):
    """Hands out reads of blocks at given times after its start, in seconds."""

    def __init__(
        self,
        reads: Sequence[tuple[float, int]],
        stop: Callable[[], bool],
        on_bytes: Callable[[bytes], None] | None,
        samples: int = 1,
    ) -> None:
        super().__init__(0, stop, on_bytes)
        self.at, self.samples = reads, samples

    def reads(self) -> Generator[list[SourceEvent], None, None]:
        began_s = time.monotonic()
        for at_s, blocks in self.at:
            while not self.stop() and (left_s := began_s + at_s - time.monotonic()) > 0:
                time.sleep(min(left_s, 0.01))
            if self.stop():
                return
            if self.on_bytes is not None:
                self.on_bytes(b"%d" % self.made)
            yield [self.block() for _ in range(blocks)]

    def block(self) -> SampleBlock:
        self.made += 1
        return SampleBlock(self.made - 1, 0.0, np.zeros((self.samples, 1), np.int16), 0)


def reading(reads: Sequence[tuple[float, int]], samples: int = 1, **options: Any) -> Threaded:
    return Threaded(lambda stop, on_bytes: Reads(reads, stop, on_bytes, samples), **{"stop": lambda: False, **options})


def blocks_of(items: Iterable[Item]) -> list[SampleBlock]:
    return [each.event for each in items if isinstance(each, Arrival) and isinstance(each.event, SampleBlock)]


def numbers(items: Iterable[Item]) -> list[int]:
    return [int(each.data) if isinstance(each, BytesRead) else blocks_of([each])[0].first_sample for each in items]


def threaded(n: int, stop: Callable[[], bool] = lambda: False, **options: object) -> tuple[Threaded, FakeSource]:
    made: list[FakeSource] = []

    def open_source(stop: Callable[[], bool], on_bytes: Callable[[bytes], None] | None) -> FakeSource:
        made.append(FakeSource(n, stop, on_bytes))
        return made[0]

    return Threaded(open_source, stop, **options), made[0]  # type: ignore[arg-type]


def test_events_and_bytes_come_in_their_order() -> None:
    source, _ = threaded(2000, keeps_bytes=True, most_waiting=10)
    seen = [each for items in source.slices(0.001) for each in items]
    assert numbers(seen) == [each for number in range(2000) for each in (number, number)]
    assert [isinstance(each, BytesRead) for each in seen] == [True, False] * 2000


def test_bytes_and_the_events_in_them_are_in_one_slice() -> None:
    class Slow(Reads):
        def block(self) -> SampleBlock:
            time.sleep(0.05)  # a consumer has the time to take the bytes before their events are known
            return super().block()

    reads = [(0.0, 1), (0.1, 0), (0.1, 2)]
    source = Threaded(lambda stop, on_bytes: Slow(reads, stop, on_bytes, 1), lambda: False, keeps_bytes=True)
    assert [numbers(items) for items in source.slices(0.0)] == [[0, 0], [1], [1, 1, 2]]


def test_bytes_before_an_error_are_kept() -> None:
    class Failing(Reads):
        def block(self) -> SampleBlock:
            raise PortLostError("unplugged")

    source = Threaded(lambda stop, on_bytes: Failing([(0.0, 1)], stop, on_bytes, 1), lambda: False, keeps_bytes=True)
    slices = source.slices(0.2)
    assert numbers(next(slices)) == [0]
    with pytest.raises(PortLostError):
        next(slices)


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


# --- slices ----------------------------------------------------------------------------------------------------------


def ends(source: Threaded, latency_s: float) -> list[tuple[float, int]]:
    """Return the time at which each slice came, and its number of items."""
    return [(time.monotonic(), len(items)) for items in source.slices(latency_s)]


def test_the_slices_of_two_sensors_end_at_the_same_multiples() -> None:
    latency_s = 0.2
    found: list[list[tuple[float, int]]] = [[], []]
    steps = [[(0.02 * number, 1) for number in range(50)], [(0.013 + 0.03 * number, 2) for number in range(33)]]

    def watch(out: list[tuple[float, int]], reads: list[tuple[float, int]]) -> None:
        out += ends(reading(reads), latency_s)

    threads = [threading.Thread(target=watch, args=each) for each in zip(found, steps, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for out, reads in zip(found, steps, strict=True):
        assert sum(n for _, n in out) == sum(n for _, n in reads)
        late = [at % latency_s for at, _ in out[:-1]]  # the last one ends with its source
        assert np.median(late) < 0.1 and len(out) <= 7, late
    last, other = ({round(at // latency_s) for at, _ in out[1:-1]} for out in found)
    assert len(last & other) >= 3


def test_a_slow_sensor_is_judged_when_its_window_is_complete() -> None:
    source = reading([(0.1 * number, 1) for number in range(12)], samples=32)
    source.wake_after(64)
    slices = []
    for items in source.slices(0.4):
        slices.append(sum(len(each.samples) for each in blocks_of(items)))
        source.wake_after(64)
    assert sum(slices) == 12 * 32 and slices.count(64) >= 4 and max(slices) <= 96, slices


def test_what_comes_after_a_silence_is_handed_out_at_once() -> None:
    came = [
        (time.monotonic(), each.steady_s)
        for items in reading([(0.0, 1), (0.8, 1), (1.6, 1)]).slices(0.3)
        for each in items
        if isinstance(each, Arrival)
    ]
    assert len(came) == 3 and all(at - steady_s < 0.2 for at, steady_s in came[1:]), came


def test_a_days_worth_at_once_comes_in_bounded_slices() -> None:
    n = 30_000
    source = reading([(0.0, 500)] * (n // 500), keeps_bytes=True)
    slices = source.slices(0.2)
    seen = next(slices)
    time.sleep(0.3)  # the queue fills while the consumer stalls
    assert 20_000 <= source.waiting <= 20_501
    for items in slices:
        assert len(items) <= 2501
        seen += items
    assert [each.first_sample for each in blocks_of(seen)] == list(range(n))
    assert sum(isinstance(each, BytesRead) for each in seen) == n // 500 and source.waiting == 0


def test_a_stop_within_a_slice_hands_out_everything_that_was_read() -> None:
    stopped = threading.Event()
    made: list[Reads] = []

    def open_source(stop: Callable[[], bool], on_bytes: Callable[[bytes], None] | None) -> Reads:
        made.append(Reads([(0.01 * number, 3) for number in range(1000)], stop, on_bytes))
        return made[0]

    source = Threaded(open_source, stopped.is_set)
    threading.Timer(0.25, stopped.set).start()
    began_s = time.monotonic()
    seen = [each.first_sample for items in source.slices(2.0) for each in blocks_of(items)]
    assert seen == list(range(made[0].made)) and len(seen) >= 30
    assert time.monotonic() - began_s < 1.5, "the stop ends the slice"


def test_an_event_has_the_time_of_its_read_and_not_of_its_slice() -> None:
    source = reading([(0.05 * number, 1) for number in range(12)])
    slices = [[each.steady_s for each in items if isinstance(each, Arrival)] for items in source.slices(0.4)]
    assert all(times == sorted(set(times)) for times in slices)
    assert max(times[-1] - times[0] for times in slices) > 0.1
