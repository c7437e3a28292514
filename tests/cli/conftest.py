"""The command line in this process, recordings to play, and a virtual sensor."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pytest

from drsn_edge.cli.main import cli
from drsn_edge.recordings.recording import Recording
from drsn_edge.simulation.virtual_sensor import Playback, virtual_sensor
from firmware_bridge.virtual.accelerometer import VirtualSummary


class Done(NamedTuple):
    """How a command ended.

    Attributes:
        code: Exit code.
        out: What it printed on standard output.
        err: What it printed on standard error.
        why: The error that ended it: one of the three packages, or click's own for wrong usage; None: nothing failed.
    """

    code: int
    out: str
    err: str
    why: BaseException | None = None


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run `drsn-edge ARGUMENTS` and return its exit code, what it printed, and the error that ended it."""
    monkeypatch.delenv("DRSN_EDGE_PORT", raising=False)
    shown: list[click.ClickException] = []
    for kind in (click.ClickException, click.UsageError):
        monkeypatch.setattr(kind, "show", _keeping(shown, kind.show))

    def run_cli(*arguments: Any) -> Done:
        shown.clear()
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments], prog_name="drsn-edge")
        code: Any = ended.value.code
        captured = capfd.readouterr()
        return Done(code or 0, captured.out, captured.err, _why(shown))

    return run_cli


def _why(shown: list[click.ClickException]) -> BaseException | None:
    if not shown:
        return None
    error = shown[-1]
    return error if isinstance(error, click.UsageError) or error.__cause__ is None else error.__cause__


def _keeping(shown: list[click.ClickException], show: Callable[..., None]) -> Callable[..., None]:
    def keep(error: click.ClickException, file: Any = None) -> None:
        shown.append(error)
        show(error, file)

    return keep


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
