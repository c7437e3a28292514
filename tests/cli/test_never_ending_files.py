"""A path that leads to a pipe, a device or a socket is refused at once, wherever a file is read."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

READERS = [
    ("monitor", "--port", "p", "--model", "{bad}"),
    ("monitor", "--port", "p", "--model", "{bundle}", "--settings", "{bad}"),
    ("monitor", "--port", "p", "--model", "{bundle}", "--severity", "--limits", "{bad}"),
    ("monitor", "--replay", "{bad}", "--model", "{bundle}"),
    ("monitor", "--sensors", "{bad}"),
    ("classify", "{npz}", "--model", "{bad}"),
    ("classify", "{npz}", "--model", "{bundle}", "--catalogue", "{bad}"),
    ("classify", "{npz}", "--model", "{bundle}", "--settings", "{bad}"),
    ("classify", "{bad}", "--model", "{bundle}"),
    ("bench", "{bad}"),
    ("inspect", "{bad}"),
    ("bundle", "show", "{bad}"),
    ("bundle", "sign", "{bundle}", "--key", "{bad}"),
    ("bundle", "verify", "{bundle}", "--key", "{bad}"),
    ("keys", "trust", "{bad}"),
    ("simulate", "--recording", "{bad}", "--link", "{new}"),
    ("simulate", "--recording", "{npz}", "--link", "{new}", "--faults", "{bad}"),
    ("train", "--data", "{folder}", "--hold-out", "time=0.3", "--out", "{new}", "--config", "{bad}"),
    ("flash", "{bad}", "--to", "local"),
    ("flash", "{bundle}", "--fleet", "{bad}"),
]


@pytest.fixture
def within_seconds() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError("still waiting for a file that never ends")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 30)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("call", READERS, ids=lambda call: " ".join(each for each in call if each[0] != "{"))
@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_it_is_refused_at_once(
    run: Run,
    call: tuple[str, ...],
    kind: str,
    tmp_path: Path,
    save_recording: Callable[..., Path],
    tiny_bundle_path: Path,
    within_seconds: None,
) -> None:
    holder, terminal = os.openpty()
    bad = tmp_path / "bad.npz"
    if kind == "pipe":
        os.mkfifo(bad)
    else:
        bad.symlink_to(os.ttyname(terminal))
    names = {
        "bad": bad,
        "bundle": tiny_bundle_path,
        "npz": save_recording(tmp_path / "good.npz"),
        "folder": tmp_path,
        "new": tmp_path / "new",
    }
    try:
        done = run(*(each.format(**names) for each in call))
    finally:
        os.close(holder)
        os.close(terminal)
    assert done.code in (1, 2) and "Traceback" not in done.err
    assert "not a regular file" in done.err, done.err
