"""Descriptor 2 while native libraries are silenced, in one thread and in several."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from quantize.quiet import audible_stderr, quiet_native_stderr


def test_what_a_native_library_writes_is_discarded_and_later_text_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_native_stderr() as original:
        os.write(2, b"from C++\n")
        original.write("for people\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "for people\nafterwards\n"


def test_blocks_of_two_threads_that_overlap_leave_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    entered, left = threading.Event(), threading.Event()

    def second() -> None:
        with quiet_native_stderr():
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=second)
    with quiet_native_stderr():
        thread.start()
        entered.wait(10)
    os.write(2, b"while the second block runs\n")
    left.set()
    thread.join()
    os.write(2, b"after both\n")
    assert capfd.readouterr().err == "after both\n"


def test_a_note_of_another_thread_is_seen_while_libraries_are_silenced() -> None:
    """In a process of its own, because pytest puts another stream in the place of stderr."""
    program = (
        "import os\n"
        "from drsn_edge.cli.output import note\n"
        "from quantize.quiet import audible_stderr, quiet_native_stderr\n"
        "with quiet_native_stderr():\n"
        "    os.write(2, b'from C++')\n"
        "    note('absent: There is no device.')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "absent: There is no device.\n"


def test_a_closed_stderr_is_no_error_and_no_note_goes_to_stdout() -> None:
    program = (
        "from drsn_edge.cli.output import note\n"
        "from quantize.quiet import audible_stderr, quiet_native_stderr\n"
        "note('not seen')\n"
        "with quiet_native_stderr():\n"
        "    note('not seen')\n"
        "print('went on')\n"
    )
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "went on\n"


def test_a_stream_in_the_place_of_stderr_keeps_its_notes(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet_native_stderr(), audible_stderr() as stream:
        print("for the test", file=stream)
    assert capsys.readouterr().err == "for the test\n"
