"""Recording from a virtual port, and reading it back as recordings."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

pytest.importorskip("serial")

from drsn_edge.errors import OutputError, RecordingError
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.raw import Request
from drsn_edge.recordings.readers.raw_log_file import read_raw_log
from drsn_edge.recordings.recorder import LogKeeper, RecordSummary, record_source
from firmware_bridge.sources.serial_port import SerialSource
from firmware_bridge.virtual.accelerometer import VirtualAccelerometer
from firmware_bridge.wire.frames import FrameWriter
from firmware_bridge.wire.messages import Hello, MessageType, SamplesPayload, encode_hello, encode_samples
from firmware_bridge.wire.raw_log import DATA, LogChunk, encode_segment, read_log

HELLO = Hello(1, "bench", "1", "fake", ("x", "y"), "g", 1 / 1024, 32.0, 1000.0, signs=(1, -1))


def noise(n: int) -> Any:
    return np.random.default_rng(0).integers(-3000, 3000, (n, 2)).astype(np.int16)


def record(
    folder: Path, counts: Any, speed: float | None = None, rotate_bytes: int | None = None, **options: Any
) -> RecordSummary:
    device = VirtualAccelerometer(HELLO, [counts], link=folder / "sensor", speed=speed, block_samples=50)
    log = LogKeeper(folder / "logs", "run", rotate_bytes)
    thread = threading.Thread(target=device.run)
    thread.start()
    try:
        return record_source(lambda on_bytes: SerialSource(str(folder / "sensor"), on_bytes=on_bytes), log, **options)
    finally:
        thread.join(20)


def test_a_recording_is_read_back_as_it_was_measured(tmp_path: Path) -> None:
    said: list[Any] = []
    counts = noise(6000)
    summary = record(tmp_path, counts, progress=said.append)
    assert summary.counters.samples_received == 6000 and summary.counters.samples_lost == 0
    assert summary.files == (tmp_path / "logs" / "run-000.drsnlog",)
    assert summary.bytes_logged == summary.counters.bytes_received
    assert said and all("samples" in line for line in said)
    (recording,) = load_recordings(tmp_path / "logs", catalogue(tmp_path))
    assert (recording.axes, recording.unit, recording.label) == (("x", "y"), "g", "healthy")
    np.testing.assert_allclose(recording.samples, counts * [1 / 1024, -1 / 1024], rtol=1e-6)
    assert recording.sample_rate_hz == pytest.approx(1000, rel=1e-3)


def catalogue(folder: Path) -> Path:
    (folder / "catalogue.toml").write_text('[[recordings]]\nfile = "*"\nlabel = "healthy"\ngroup = "a"\n')
    return folder / "catalogue.toml"


def test_rotated_files_are_recordings_of_their_own(tmp_path: Path) -> None:
    summary = record(tmp_path, noise(8000), speed=2.0, rotate_bytes=12_000)
    assert len(summary.files) > 1
    recordings = [load for path in summary.files for load in read_raw_log(path, Request())]
    received = sum(recording.samples.n_samples or 0 for recording in recordings)
    assert 8000 - 60 * len(summary.files) <= received <= 8000  # a block may lie across each border


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run-007.drsnlog").write_bytes(b"precious")
    with refused(OutputError, "name_taken", path=tmp_path / "run-007.drsnlog", name="run"):
        LogKeeper(tmp_path, "run")
    for name in ("", "a/b", ".hidden"):
        with refused(OutputError, "invalid_name", got=name):
            LogKeeper(tmp_path, name)


# Gaps, with logs made by hand.


def log_of(*spans: tuple[int, int], rate_hz: float = 1000.0, session: int = 1, overrun_at: int = -1) -> bytes:
    """A log of blocks of 50 samples over spans of sample indices; delivery is late by up to 2 ms."""
    writer, late = FrameWriter(), np.random.default_rng(1)
    hello = replace(HELLO, session=session)
    chunks = [(10**18, writer.encode(MessageType.HELLO, encode_hello(hello)))]
    for start, stop in spans:
        for first in range(start, stop, 50):
            counts = np.full((50, 2), first % 1000, np.int16)
            payload = SamplesPayload(session, first, 1000 * first, counts, overrun=first == overrun_at)
            came_ns = 10**18 + round(1e9 * (first + 50) / rate_hz + late.exponential(1e6))
            chunks.append((came_ns, writer.encode(MessageType.SAMPLES, encode_samples(payload))))
    return b"".join(encode_segment(DATA, 5, number, [chunk]) for number, chunk in enumerate(chunks))


def saved(folder: Path, data: bytes) -> Path:
    """Write a log and return its path."""
    path = folder / "a.drsnlog"
    path.write_bytes(data)
    return path


def test_a_gap_divides_a_recording(tmp_path: Path) -> None:
    data = log_of((0, 3000), (3050, 6000), (6500, 6900))
    first, second = read_raw_log(saved(tmp_path, data), Request())
    assert (first.samples.n_samples, second.samples.n_samples) == (
        3000,
        2950,
    )  # the last one has no second
    assert (first.capture, second.capture) == (0, 1)


def test_an_overrun_of_estimated_size_0_divides_a_recording(tmp_path: Path) -> None:
    first, second = read_raw_log(saved(tmp_path, log_of((0, 6000), overrun_at=2500)), Request())
    assert (first.samples.n_samples, second.samples.n_samples) == (2500, 3500)


def test_a_damaged_segment_divides_a_recording(tmp_path: Path) -> None:
    data = bytearray(log_of((0, 6000)))
    data[len(data) // 2] ^= 1
    pieces = read_raw_log(saved(tmp_path, bytes(data)), Request())
    assert len(pieces) == 2 and sum(piece.samples.n_samples or 0 for piece in pieces) == 6000 - 50


def test_the_rate_is_measured_where_the_log_is_long_enough(tmp_path: Path) -> None:
    (short,) = read_raw_log(saved(tmp_path, log_of((0, 1500), rate_hz=1030.0)), Request())
    (long,) = read_raw_log(saved(tmp_path, log_of((0, 60_000), rate_hz=1030.0)), Request())
    assert short.stated["sample_rate_hz"] == pytest.approx(1000.0, rel=1e-9)  # by the device's own clock
    assert long.stated["sample_rate_hz"] == pytest.approx(1030.0, rel=5e-5)


def test_a_log_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    with refused(RecordingError, "stretches_too_short", path=tmp_path / "a.drsnlog", shortest_s=1.0, stretches=1):
        read_raw_log(saved(tmp_path, log_of((0, 500))), Request())
    with refused(RecordingError, "damaged", path=tmp_path / "a.drsnlog"):
        read_raw_log(saved(tmp_path, b"nonsense"), Request())


@pytest.mark.parametrize("data", [encode_segment(DATA, 5, 0, [(10**18, b"0.01,-0.02,9.81\r\n" * 20)]), log_of()])
def test_a_log_without_a_sample_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "good.drsnlog").write_bytes(log_of((0, 3000)))
    (tmp_path / "none.drsnlog").write_bytes(data)
    with refused(RecordingError, "no_samples", path=tmp_path / "none.drsnlog"):
        load_recordings(tmp_path, catalogue(tmp_path))


def test_the_chunks_of_a_log_by_hand_are_in_order() -> None:
    assert all(isinstance(item, LogChunk) for item in read_log(log_of((0, 200))))
