"""`record` and `monitor` of what sends no samples, or none that can be meant."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from refusals import expect

pytest.importorskip("serial")

from drsn_edge.errors import MonitorError, RecordingError
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import Hello, MessageType, encode_hello

HELLO = Hello(1, "bench", "1", "fake", ("x", "y"), "g", 1 / 1024, 32.0, 1000.0)

Run = Callable[..., Any]


@pytest.mark.parametrize("command", [("record", "--out", "logs"), ("monitor", "--model", "m")])
def test_a_unit_that_nothing_converts_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*command, "--port", "p", "--text-unit", "furlong", "--text-range", "2")
    assert done.code == 2 and all(word in done.err for word in ("--text-unit", "furlong", "g, mg, m/s2"))
    assert not [*tmp_path.iterdir()]


@contextmanager
def saying(data: bytes) -> Iterator[str]:
    """Yield a port at which that is said a hundred times a second."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    done = threading.Event()

    def talk() -> None:
        while data and not done.wait(0.01):
            try:
                os.write(master, data)
            except BlockingIOError:  # nobody reads
                continue

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        done.set()
        thread.join()
        os.close(master)
        os.close(slave)


LINES = b"0.01,-0.02,9.81\r\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "No byte"),
        (LINES, "--text-unit"),
        (FrameWriter().encode(MessageType.HELLO, encode_hello(HELLO)), "longer --duration"),
    ],
)
def test_a_recording_without_a_sample_fails_and_leaves_no_file(
    run: Run, tmp_path: Path, data: bytes, words: str
) -> None:
    with saying(data) as port:
        done = run("record", "--port", port, "--out", tmp_path / "logs", "--label", "calm", "--duration", 1)
    assert done.code == 1 and words in done.err, done.err
    expect(done.why, RecordingError, "no_sample", port=port)
    assert not [*(tmp_path / "logs").iterdir()]


def test_a_source_that_fails_leaves_no_file_either(run: Run, tmp_path: Path) -> None:
    with saying(LINES) as port:
        done = run("record", "--port", port, "--out", tmp_path / "logs", "--label", "calm")
    assert done.code == 1 and "--text-unit" in done.err and not [*(tmp_path / "logs").iterdir()]


def test_damaged_frames_of_a_sensor_are_kept(run: Run, tmp_path: Path) -> None:
    good = FrameWriter().encode(MessageType.HELLO, encode_hello(HELLO))
    with saying(good + good[:-3] + b"xx\0") as port:
        done = run("record", "--port", port, "--out", tmp_path / "logs", "--label", "calm", "--duration", 1)
    (kept,) = (tmp_path / "logs").iterdir()
    assert done.code == 1 and kept.name in done.err


def test_the_duration_of_text_counts_from_its_first_line(run: Run, tmp_path: Path) -> None:
    with saying(LINES) as port:
        began_s = time.monotonic()
        done = run(
            "record", "--port", port, "--out", tmp_path / "logs", "--duration", 2, "--text-unit", "m/s2",
            "--text-range", 19.6,
        )  # fmt: skip
    assert done.code == 0 and time.monotonic() - began_s < 8, done.err
    assert [*(tmp_path / "logs").iterdir()] and done.err.count("--label") == 1 and "Note" in done.err


def test_a_monitor_that_hears_of_no_sensor_fails(run: Run, tmp_path: Path, tiny_bundle_path: Path) -> None:
    with saying(LINES) as port:
        lone = run("monitor", "--port", port, "--model", tiny_bundle_path, "--duration", 1)
        ports = ("--port", port, "--port", tmp_path / "absent")
        both = run("monitor", *ports, "--model", tiny_bundle_path, "--duration", 1)
    for done in (lone, both):
        assert done.code == 1 and "--duration" in done.err, done
        expect(done.why, MonitorError, "no_sample")
    assert both.out.count("0 received") == 2


def test_a_monitor_that_is_stopped_ends_well(run: Run, tiny_bundle_path: Path) -> None:
    with saying(b"") as port:
        timer = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        done = run("monitor", "--port", port, "--model", tiny_bundle_path, "--duration", 60)
        timer.join()
    assert done.code == 0, done
