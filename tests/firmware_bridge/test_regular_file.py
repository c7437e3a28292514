from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.support.regular_file import (
    FileTooLargeError,
    NotAFileError,
    check_regular,
    read_regular,
    read_text_file,
)


@pytest.fixture
def never_ends(tmp_path: Path) -> Iterator[list[Path]]:
    """What would be read for ever, or hang when it is opened."""
    os.mkfifo(tmp_path / "pipe")
    holder, terminal = os.openpty()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        (tmp_path / "link").symlink_to("/dev/zero")
        yield [
            tmp_path / "pipe",
            tmp_path / "socket",
            tmp_path / "link",
            Path("/dev/zero"),
            Path(os.ttyname(terminal)),
        ]
    os.close(holder)
    os.close(terminal)


def test_what_never_ends_is_not_opened(never_ends: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", _never)
    for path in never_ends:
        for read in (check_regular, read_regular, read_text_file):
            with pytest.raises(NotAFileError) as caught:
                read(path)
            assert caught.value.errno == errno.EINVAL and caught.value.kind in ("pipe", "socket", "device")


def test_a_file_that_becomes_a_pipe_meanwhile_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("firmware_bridge.support.regular_file.check_regular", lambda path: None)
    with pytest.raises(NotAFileError) as caught:
        read_regular(tmp_path / "pipe")
    assert caught.value.kind == "pipe"


def test_files_of_proc_have_no_size_and_count_as_empty() -> None:
    assert read_regular(Path("/proc/self/maps")) == b""


def test_a_file_is_read_up_to_its_size_and_refused_beyond_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    assert read_regular(path) == read_regular(path, 4) == b"1234"
    with pytest.raises(FileTooLargeError) as caught:
        read_regular(path, 3)
    assert (caught.value.errno, caught.value.size, caught.value.limit) == (errno.EFBIG, 4, 3)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: it takes no room on the disk
    with pytest.raises(FileTooLargeError):
        read_regular(path)


def test_a_folder_and_nothing_are_as_the_system_says(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "missing")


def test_text_has_plain_ends_of_lines_and_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes("a = 'ü'\r\nb = 1\rc = 2\n".encode())
    assert read_text_file(path) == "a = 'ü'\nb = 1\nc = 2\n"
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError):
        read_text_file(path)


def _never(*_: object) -> int:
    raise AssertionError("it was opened")
