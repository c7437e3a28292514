from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import numpy as np
import pytest
from refusals import refused

pytest.importorskip("serial")

from drsn_edge.recordings.recorder import LogKeeper, record_source
from firmware_bridge.errors import ProtocolError
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.sources.text import TextSource
from firmware_bridge.wire.events import LinkLost, LinkRestored, SampleBlock
from firmware_bridge.wire.text_lines import TextLayout

LAYOUT = TextLayout("g", 2.0)


@pytest.fixture
def sketch() -> Iterator[tuple[str, Event]]:
    """A board that prints 500 lines a second, and what makes it stop: the path of its port."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    done = Event()

    def talk() -> None:
        began_s, sent = time.monotonic(), 0
        while not done.wait(0.01):
            due = int((time.monotonic() - began_s) * 500)
            lines = b"".join(f"{index % 1000 / 1000:.3f},0,1\r\n".encode() for index in range(sent, due))
            sent = due
            try:
                os.write(master, lines)
            except BlockingIOError:  # nobody reads
                continue

    os.write(master, b"ADXL345 ready\r\n")
    thread = Thread(target=talk)
    thread.start()
    yield os.ttyname(slave), done
    done.set()
    thread.join()
    os.close(master)
    os.close(slave)


def test_a_sketch_is_recorded_and_read_back(sketch: tuple[str, Event], tmp_path: Path) -> None:
    deadline = time.monotonic() + 5.0
    heard: list[SampleBlock] = []

    class Listening(TextSource):
        def __iter__(self):
            for event in super().__iter__():
                heard.extend([event] if isinstance(event, SampleBlock) else [])
                yield event

    summary = record_source(
        lambda on_bytes: Listening(sketch[0], LAYOUT, stop=lambda: time.monotonic() > deadline, on_bytes=on_bytes),
        LogKeeper(tmp_path, "pump"),
    )
    assert not summary.counters.losses_counted and summary.counters.crc_errors == 0
    replay = ReplaySource(summary.files)
    again = [event for event in replay if isinstance(event, SampleBlock)]
    played, given = (np.concatenate([block.samples for block in blocks]) for blocks in (again, heard))
    assert len(given) > 1500 and np.array_equal(played, given)
    assert replay.hello is not None and replay.hello.sample_rate_hz == pytest.approx(500, rel=0.01)
    thousandths = np.rint(played[:, 0] * replay.hello.scale * 1000).astype(int)
    assert (np.diff(thousandths) % 1000 == 1).all()


@pytest.mark.parametrize(("full_scale", "told"), [(1.0, []), (0.5, [pytest.approx(1.0)])])
def test_a_reading_beyond_the_range_is_told_once(
    sketch: tuple[str, Event], full_scale: float, told: list[float]
) -> None:
    most: list[float] = []
    deadline = time.monotonic() + 4.0
    layout = TextLayout("g", full_scale)
    source = TextSource(sketch[0], layout, stop=lambda: time.monotonic() > deadline, on_beyond=most.append)
    assert sum(isinstance(event, SampleBlock) for event in source) > 1
    assert most == told


def test_a_text_port_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    source = TextSource(os.devnull, LAYOUT)
    assert not source.link_state.is_open
    master, slave = os.openpty()
    link = tmp_path / "port"
    link.symlink_to(os.ttyname(slave))
    source = TextSource(str(link), LAYOUT, reopen_after_s=0.05)
    events = iter(source)
    assert source.hello is None
    pieces: list[Any] = [next(events)]  # Idle: the port is open
    os.close(master)
    os.close(slave)
    while not isinstance(pieces[-1], LinkLost):
        pieces.append(next(events))
    state = source.link_state
    assert not state.is_open and str(link) in state.reason
    link.unlink()
    next(events)
    master, slave = os.openpty()
    link.symlink_to(os.ttyname(slave))
    while not isinstance(pieces[-1], LinkRestored):
        pieces.append(next(events))
    assert source.link_state.is_open
    source.close()
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("said", "problem", "facts"),
    [
        (b"", "silent", {}),
        (b"\r\nraspberrypi login: ", "no_numbers", {"sender": "linux"}),
        (b"1,2,3\r\n", "no_numbers", {"sender": None, "begins": b"1,2,3\r\n"}),
    ],
)
def test_a_port_without_lines_of_numbers(said: bytes, problem: str, facts: dict[str, Any]) -> None:
    master, slave = os.openpty()
    heard = Timer(0.1, lambda: os.write(master, said))  # what came before the port was opened is thrown away
    heard.start()
    port = os.ttyname(slave)
    with refused(ProtocolError, problem, port=port, baud_rates=(115_200,), **facts):
        list(TextSource(port, LAYOUT, hello_timeout_s=0.4))
    heard.join()
    os.close(master)
    os.close(slave)
