"""A signal ends a command, whatever it waits for."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

from drsn_edge.cli.stopping import HangsError, stop_on_signal

BLOCKS = """
import os, sys, threading, time
from drsn_edge.cli.stopping import HangsError, leave, stop_on_signal
def fill():
    while True:
        os.write(1, b"x" * 1000)
try:
    with stop_on_signal(None, 1):
        print("waits", file=sys.stderr, flush=True)
        if sys.argv[1] == "thread":
            threading.Thread(target=fill, daemon=True).start()
            time.sleep(60)
        fill()
except HangsError:
    leave("It did not end.")
except KeyboardInterrupt:
    leave("Aborted!")
"""


def test_what_does_not_end_in_time_is_ended() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(HangsError), stop_on_signal(None, 1) as stopped:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert stopped()
    assert signal.getsignal(signal.SIGALRM) == before


def test_what_ends_in_time_is_left_alone() -> None:
    with stop_on_signal(None, 1) as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
    time.sleep(1.1)  # no alarm comes, which would end the process


@pytest.mark.parametrize("who", ["thread", "main"])
@pytest.mark.parametrize("signals", [1, 2])
def test_a_reader_that_has_stopped_holds_up_no_end(who: str, signals: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", BLOCKS, who], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stderr is not None and child.stderr.readline() == "waits\n"
        time.sleep(0.2)  # the pipe is full
        for _ in range(signals):
            child.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert child.wait(8) == 1
        assert child.stderr.read() == ("It did not end.\n" if signals == 1 else "Aborted!\n")
    finally:
        child.kill()
        child.communicate()


def test_a_terminal_that_is_stopped_holds_up_no_end(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", BLOCKS, "main"], stdout=slave, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stderr is not None and child.stderr.readline() == "waits\n"
        termios.tcflow(slave, termios.TCOOFF)
        time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        assert child.wait(8) == 1
    finally:
        with suppress(OSError):
            termios.tcflow(slave, termios.TCOON)
        child.kill()
        child.communicate()
        os.close(master)
        os.close(slave)
