"""`firmware flash` with a stand-in for avrdude, and a virtual sensor in the board's place."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusals import expect

from firmware_bridge.errors import FirmwareError

Run = Callable[..., Any]


@pytest.fixture
def avrdude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Return what puts an avrdude with this exit code on the PATH; it writes down what it was called with."""

    def put(code: int) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "avrdude"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\necho flashing\nexit {code}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return tmp_path / "called"

    return put


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "uno.elf").write_bytes(b"an image")
    return tmp_path / "uno.elf"


def test_a_board_is_flashed_and_asked_who_it_is(
    run: Run, playing: Any, avrdude: Callable[[int], Path], image: Path
) -> None:
    called = avrdude(0)
    with playing() as (port, _):
        done = run("firmware", "flash", "--board", "uno", "--port", port, "--image", image, "--json")
    assert done.code == 0 and json.loads(done.out)["version"] == "0.1.0" and "flashing" in done.err
    assert called.read_text() == f"-p m328p -c arduino -P {port} -b 115200 -D -U flash:w:{image}:e\n"


def test_a_board_with_another_version_is_said(
    run: Run, playing: Any, avrdude: Callable[[int], Path], image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avrdude(0)
    monkeypatch.setattr("drsn_edge.cli.firmware.__version__", "9.9.9")
    with playing() as (port, _):
        done = run("firmware", "flash", "--board", "uno", "--port", port, "--image", image)
    assert done.code == 1
    expect(done.why, FirmwareError, "other_version", expected="9.9.9", got="0.1.0")


def test_a_tool_that_fails_is_said(run: Run, avrdude: Callable[[int], Path], image: Path) -> None:
    avrdude(3)
    done = run("firmware", "flash", "--board", "uno", "--port", "/dev/ttyX", "--image", image)
    assert done.code == 1 and done.out == ""
    expect(done.why, FirmwareError, "tool_failed", tool="avrdude", code=3)


def test_what_is_not_there_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, image: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("firmware", "flash", "--board", "uno", "--port", "x", "--image", image)
    assert done.code == 1 and "apt install avrdude" in done.err
    done = run("firmware", "flash", "--board", "uno", "--port", "x", "--image", tmp_path / "none.elf")
    assert done.code == 1 and "make -C" in done.err
    expect(done.why, FirmwareError, "no_image", path=tmp_path / "none.elf")


def test_a_dry_run_calls_nothing(run: Run, avrdude: Callable[[int], Path], image: Path) -> None:
    called = avrdude(0)
    done = run("firmware", "flash", "--board", "uno", "--port", "/dev/ttyX", "--image", image, "--dry-run")
    assert done.code == 0 and done.out.startswith("avrdude -p m328p") and not called.exists()


@pytest.mark.parametrize("board", ["uno", "stm32f405"])
@pytest.mark.parametrize("has_tool", [True, False])
def test_a_dry_run_needs_neither_board_nor_tool_nor_image(
    run: Run,
    avrdude: Callable[[int], Path],
    board: str,
    has_tool: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called = avrdude(0)
    monkeypatch.setattr("firmware_bridge.sources.ports.list_ports", lambda: [])
    if not has_tool:
        monkeypatch.setenv("PATH", str(tmp_path))
    done = run("firmware", "flash", "--board", board, "--image", tmp_path / "a b.elf", "--dry-run")
    call = shlex.split(done.out)
    assert done.code == 0 and call[0] in ("avrdude", "st-flash") and not called.exists()
    assert ("PORT" in call) == (board == "uno") and any("a b." in part for part in call)
    assert "Warning" not in done.err and "a b.elf" in done.err
    assert ("--port" in done.err) == (board == "uno")
    assert json.loads(run("firmware", "flash", "--board", board, "--dry-run", "--json").out)["call"][0] == call[0]
