"""The command line in this process, recordings to play, and a virtual sensor."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from drsn_edge.cli.main import cli
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.virtual_sensor import Playback, virtual_sensor
from firmware_bridge.virtual.accelerometer import VirtualSummary


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run `drsn-edge ARGUMENTS` and return its exit code and what it printed."""
    monkeypatch.delenv("DRSN_EDGE_PORT", raising=False)

    def run_cli(*arguments: Any) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments], prog_name="drsn-edge")
        code: Any = ended.value.code
        captured = capfd.readouterr()
        return Done(code or 0, captured.out, captured.err)

    return run_cli


@pytest.fixture(scope="session")
def save_recording() -> Callable[..., Path]:
    """Write noise with two axes at 4000 Hz, changed by keywords."""

    def save(path: Path, n: int = 4000, axes: tuple[str, ...] = ("x", "y"), **keys: Any) -> Path:
        noise = np.random.default_rng(0).normal(size=(len(axes), n))
        np.savez(path, **{"x": noise, "fs": 4000, "axes": list(axes), "unit": "g", **keys})
        return path

    return save


@pytest.fixture
def playing(tmp_path: Path) -> Callable[..., Any]:
    """Return a context in which a virtual sensor plays; it yields (port, list that the summary comes into)."""

    @contextmanager
    def play(
        n: int = 4000, axes: tuple[str, ...] = ("x", "y"), rate_hz: float = 4000.0, unit: str = "g", **options: Any
    ) -> Iterator[tuple[Path, list[VirtualSummary]]]:
        samples = np.random.default_rng(0).normal(size=(n, len(axes))).astype(np.float32)
        recording = Recording("noise", samples, rate_hz, axes, unit, None, "noise", {})
        link, done, summaries = tmp_path / "sensor", threading.Event(), []
        sensor = virtual_sensor(recording, Playback(**{"speed": None, **options}), link=link)
        thread = threading.Thread(target=lambda: summaries.append(sensor.run(done.is_set)))
        thread.start()
        try:
            yield link, summaries
        finally:
            done.set()
            thread.join()
        assert not os.path.lexists(link)

    return play
