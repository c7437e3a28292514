from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from drsn_edge.bundle.signing import read_private, read_public
from drsn_edge.errors import DrsnEdgeError, OutputError
from drsn_edge.gateway.rollout import read_members
from drsn_edge.monitor.sensor_config import read_sensors
from drsn_edge.monitor.stages.settings import read_settings
from drsn_edge.monitor.stages.severity_limits import read_limits
from drsn_edge.recordings.loading.catalogue import read_catalogue
from drsn_edge.recordings.loading.catalogue_csv import read_csv_catalogue
from drsn_edge.recordings.loading.load import load_recording
from drsn_edge.support.files import check_new_folder, folder_aside, write_file, written_aside
from drsn_edge.training.config_file import read_config
from firmware_bridge.errors import FirmwareBridgeError
from firmware_bridge.sources.replay import ReplaySource


@pytest.fixture
def umask() -> Iterator[Any]:
    """Set the umask for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


# Files.


def test_write_file_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_file(path, b"one")
    assert path.read_bytes() == b"one"
    write_file(path, b"")
    assert path.read_bytes() == b""
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_modes_follow_the_umask(tmp_path: Path, umask: Any, mask: int, mode: int) -> None:
    umask(mask)
    write_file(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode
    with folder_aside(tmp_path / "folder"):
        pass
    assert (tmp_path / "folder").stat().st_mode & 0o777 == mode | 0o111 & ~mask
    assert umask(0o022) == mask


@pytest.mark.parametrize("step", ["write_bytes", "chmod", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(Path, step, fail)
    with refused(OutputError, "cannot_write", path=path, reason="No space left on device"):
        write_file(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_failed_sync_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems cannot. By then the file has its new name, and "nothing was changed" would be a lie."""
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_file(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
    with folder_aside(tmp_path / "folder") as new:
        (new / "b").write_bytes(b"y")
    assert (tmp_path / "folder" / "b").read_bytes() == b"y"


def test_the_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (events.append("rename"), replace(self, to))[1])
    write_file(tmp_path / "a", b"x")
    assert events == ["sync", "rename", "sync"]


def test_an_error_in_the_block_is_passed_on_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), written_aside(path) as temporary:
        temporary.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_temporary_file_is_a_hidden_neighbour_of_the_same_suffix(tmp_path: Path) -> None:
    with written_aside(tmp_path / "a.png") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".a.png.") and temporary.suffix == ".png"
        temporary.write_bytes(b"x")


def test_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "missing" / "a", tmp_path / "folder", tmp_path / "file" / "a", tmp_path / ("n" * 300)):
        with pytest.raises(OutputError) as raised:
            write_file(path, b"x")
        assert raised.value.problem in ("cannot_write", "not_a_regular_file") and raised.value.facts["path"] == path
    assert names(tmp_path) == ["file", "folder"]
    assert names(tmp_path / "folder") == []


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "a"
    contents = {b"a" * 200_000, b"b" * 100_000}
    write_file(path, b"a" * 200_000)
    done = threading.Event()

    def write() -> None:
        for _ in range(40):
            for content in contents:
                write_file(path, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in contents
    writer.join()


# Folders.


def test_folder_aside_appears_whole(tmp_path: Path) -> None:
    with folder_aside(tmp_path / "run") as new:
        (new / "a").write_text("1")
        assert not (tmp_path / "run").exists()
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["a"]


def test_folder_aside_replaces_everything(tmp_path: Path) -> None:
    (tmp_path / "run" / "deep").mkdir(parents=True)
    (tmp_path / "run" / "old").write_text("1")
    with folder_aside(tmp_path / "run") as new:
        (new / "a").write_text("1")
        assert names(tmp_path / "run") == ["deep", "old"]
    assert names(tmp_path / "run") == ["a"]
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("x"), KeyboardInterrupt()])
def test_a_failed_block_leaves_the_old_folder(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").write_text("1")
    with (
        pytest.raises(OutputError if isinstance(error, OSError) else type(error)),
        folder_aside(tmp_path / "run") as new,
    ):
        (new / "a").write_text("1")
        raise error
    assert names(tmp_path / "run") == ["old"]
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("failing", "error"),
    [(1, OSError(13, "Permission denied")), (2, OSError(5, "Input/output error")), (2, KeyboardInterrupt())],
)
def test_a_failed_exchange_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: BaseException
) -> None:
    """Rename 1 puts the old folder aside, rename 2 puts the new one in its place."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").write_text("1")
    renames = 0
    replace = Path.replace

    def sometimes(self: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames == failing:
            raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", sometimes)
    with (
        pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt),
        folder_aside(tmp_path / "run"),
    ):
        pass
    monkeypatch.undo()
    assert names(tmp_path / "run") == ["old"]
    assert names(tmp_path) == ["run"]


def test_a_folder_in_nothing_is_refused(tmp_path: Path) -> None:
    with (
        refused(OutputError, "cannot_write", path=(tmp_path / "missing" / "run").resolve()),
        folder_aside(tmp_path / "missing" / "run"),
    ):
        pytest.fail("the block must not run")


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "run").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk" / "run")
    check_new_folder(tmp_path / "run", force=False, ours=lambda _: False)
    with folder_aside(tmp_path / "run") as new:
        (new / "a").write_text("1")
    assert (tmp_path / "run").is_symlink()
    assert names(tmp_path / "disk" / "run") == ["a"]
    assert names(tmp_path / "disk") == ["run"]


# Before the work.


def ours(folder: Path) -> bool:
    return (folder / "config.json").exists()


@pytest.mark.parametrize("force", [False, True])
def test_new_and_empty_folders_are_fine(tmp_path: Path, force: bool) -> None:
    (tmp_path / "empty").mkdir()
    check_new_folder(tmp_path / "new", force=force, ours=ours)
    check_new_folder(tmp_path / "empty", force=force, ours=ours)
    assert names(tmp_path) == ["empty"]


def test_our_folder_needs_force(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with refused(OutputError, "exists", path=tmp_path / "run"):
        check_new_folder(tmp_path / "run", force=False, ours=ours)
    check_new_folder(tmp_path / "run", force=True, ours=ours)
    assert names(tmp_path / "run") == ["config.json"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_ours_is_never_replaced(tmp_path: Path, force: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "photos", tmp_path / "file"):
        with refused(OutputError, "holds_something_else", path=path):
            check_new_folder(path, force=force, ours=ours)


def test_a_folder_without_a_parent_is_refused(tmp_path: Path) -> None:
    with refused(OutputError, "parent_missing", parent=tmp_path / "missing"):
        check_new_folder(tmp_path / "missing" / "run", force=True, ours=ours)


def test_a_parent_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path and mode == os.W_OK))
    with refused(OutputError, "parent_not_writable", parent=tmp_path):
        check_new_folder(tmp_path / "run", force=True, ours=ours)


def test_a_mount_point_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be renamed, which would come out only after hours of training."""
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == tmp_path / "volume")
    with refused(OutputError, "mount_point", path=tmp_path / "volume"):
        check_new_folder(tmp_path / "volume", force=True, ours=ours)


def test_the_current_folder_can_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    check_new_folder(Path("."), force=False, ours=ours)
    with folder_aside(Path(".")) as new:
        (new / "a").write_text("1")
    assert names(tmp_path / "here") == ["a"]


# --- Files that are read whole -------------------------------------------------------------------------------------


READERS: dict[str, Callable[[Path], object]] = {
    "settings": lambda path: read_settings(path, ("a", "b")),
    "sensors": read_sensors,
    "gateways": read_members,
    "limits": read_limits,
    "configuration": read_config,
    "catalogue": read_catalogue,
    "table": read_csv_catalogue,
    "public key": read_public,
    "private key": read_private,
    "recording": load_recording,
    "log": lambda path: list(ReplaySource([path]).timed()),
}


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("kind", ["device", "pipe", "too long", "no text"])
def test_a_file_that_has_no_end_or_is_none_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, kind: str
) -> None:
    path = tmp_path / "a.npz"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "no text":
        path.write_bytes(b"\xff\xfe\x00" * 10)
    else:
        with path.open("wb") as file:
            file.truncate((4 << 30) + 1)  # of holes: it takes no room
        path.chmod(0o600)
        monkeypatch.setattr("drsn_edge.recordings.loading.load.MAX_RECORDING_BYTES", 1000)
        monkeypatch.setattr("firmware_bridge.sources.replay.MAX_LOG_BYTES", 1000)
    with pytest.raises((DrsnEdgeError, FirmwareBridgeError)) as raised:
        READERS[what](path)
    assert str(path) in str(raised.value)
    if kind == "too long":
        assert any(word in str(raised.value) for word in ("longer", "at most"))


@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path, linked: bool) -> None:
    pipe, out = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(pipe)
    out.symlink_to(pipe) if linked else pipe.rename(out)

    with refused(OutputError, "not_a_regular_file", path=out):
        write_file(out, b"new")

    assert out.is_fifo()
    assert out.is_symlink() == linked
