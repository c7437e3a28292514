"""`record --label --group`: the class goes with the recording, through kills and rotations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drsn_edge.datasets.labels import check_labelled
from drsn_edge.errors import RecordingError
from drsn_edge.recordings.loading.load import load_recordings
from drsn_edge.recordings.log_note import check_name, note_of, values_of
from firmware_bridge.sources.replay import ReplaySource
from firmware_bridge.wire.raw_log import DATA, NOTE, PRELUDE, LogChunk, encode_segment, read_log

Run = Callable[..., Any]


def test_label_and_group_are_kept_in_each_file(run: Run, playing: Any, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with playing(n=60_000, speed=10.0) as (port, _):  # a file ends with a segment, which takes a quarter of a second
        done = run(
            "record", "--port", port, "--out", logs, "--name", "a", "--label", "outer race", "--group", "pumpe 3 ü",
            "--rotate-mb", "0.1", "--json",
        )  # fmt: skip
    said = json.loads(done.out)
    assert (done.code, said["label"], said["group"]) == (0, "outer race", "pumpe 3 ü") and len(said["files"]) > 1
    for file in sorted(logs.iterdir()):
        kinds = [item.kind for item in read_log(file.read_bytes()) if isinstance(item, LogChunk)]
        assert kinds.count(NOTE) == 1 and set(kinds[: kinds.index(NOTE)]) <= {PRELUDE} and DATA in kinds
    source = ReplaySource(sorted(logs.iterdir()))
    assert sum(1 for _ in source) and source.counters.samples_lost == 0 and not source.damage
    for file in sorted(logs.iterdir())[1:]:
        if file.stat().st_size < 20_000:  # what came last may hold no second, which is no recording
            file.unlink()
    found = load_recordings(logs)
    assert {(each.label, each.group) for each in found} == {("outer race", "pumpe 3 ü")}
    check_labelled(found)


def test_a_kill_leaves_the_label(playing: Any, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with playing(n=200_000, speed=1.0) as (port, _):
        command = [
            sys.executable, "-m", "drsn_edge.cli.main", "record", "--port", str(port), "--out", str(logs),
            "--label", "worn",
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as live:
            until = time.monotonic() + 30
            while sum(path.stat().st_size for path in logs.glob("*")) < 50_000 and time.monotonic() < until:
                time.sleep(0.02)
            live.send_signal(signal.SIGKILL)
    found = load_recordings(logs)
    assert found and {each.label for each in found} == {"worn"}


def test_text_sources_have_labels_too(run: Run, tmp_path: Path) -> None:
    master, slave = os.openpty()
    path = os.ttyname(slave)
    command = [
        sys.executable, "-m", "drsn_edge.cli.main", "record", "--port", path, "--out", str(tmp_path / "logs"),
        "--text-unit", "mps2", "--text-range", "19.6", "--label", "idle", "--duration", "4.5s",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as live:
        began = time.monotonic()
        for number in range(100_000):
            if live.poll() is not None:
                break
            os.write(master, b"0.01,-0.02,9.81\r\n")
            time.sleep(max(0.0, began + 0.01 * number - time.monotonic()))
        assert live.returncode == 0, live.stderr.read() if live.stderr else ""
    os.close(master)
    os.close(slave)
    (recording, *_) = load_recordings(tmp_path / "logs")
    assert (recording.label, recording.unit) == ("idle", "m/s2")


def test_a_note_that_changes_begins_another_recording(run: Run, playing: Any, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with playing(n=12_000) as (port, _):
        assert run("record", "--port", port, "--out", logs, "--name", "a", "--label", "calm").code == 0
    (file,) = logs.iterdir()
    chunks = [item for item in read_log(file.read_bytes()) if isinstance(item, LogChunk)]
    written, number = b"", 0
    middle = max(each.segment for each in chunks) // 2
    for each in chunks:
        if each.kind == DATA and each.segment >= middle and number == 0:
            note = note_of({"label": "worn"}).encode()
            written += encode_segment(NOTE, each.log, each.segment, [(each.time_ns, note)])
            number = 1
        written += encode_segment(each.kind, each.log, each.segment + number, [(each.time_ns, each.data)])
    file.write_bytes(written)
    assert [each.label for each in load_recordings(logs)][-1] == "worn"


@pytest.mark.parametrize("label", ["", " ", "a\n", "\x1b[2J", "x" * 201, " a", "a\udc80"])
def test_what_is_no_name_is_refused(run: Run, tmp_path: Path, label: str) -> None:
    with pytest.raises(RecordingError):
        check_name(label)
    done = run("record", "--port", "p", "--out", tmp_path / "logs", "--label", label)
    assert done.code == 2 and "--label" in done.err and not (tmp_path / "logs").exists()


def test_only_notes_on_the_recording_say_something() -> None:
    assert values_of(note_of({"label": "a", "group": "b"})) == {"label": "a", "group": "b"} and note_of({}) == ""
    for text in (
        "acknowledge",
        "",
        "recording: [",
        "recording: 5",
        "recording: " + "[" * 4000,
        "recording:" + "x" * 9999,
    ):
        assert values_of(text) is None
    assert values_of('recording: {"label": 5, "group": "\\u0000", "more": "x"}') == {}


def test_a_folder_that_cannot_be_made_names_the_option(run: Run, tiny_bundle_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "logs"
    done = run("record", "--port", "p", "--out", folder)
    assert done.code == 1 and "--out" in done.err
    done = run("monitor", "--port", "p", "--model", tiny_bundle_path, "--record", folder)
    assert done.code == 1 and "--record" in done.err and "--out" not in done.err
