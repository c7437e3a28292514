"""Archives: the same results by any number of processes, a file of results that survives a stop, and its bad input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from refusals import expect, failure_of

from drsn_edge.errors import ContractError, OutputError
from drsn_edge.monitor.offline import archive as archive_module
from drsn_edge.recordings.loading.complete import Source
from drsn_edge.recordings.loading.load import RecordingFile

Run = Callable[..., Any]
SETTINGS = '[alarms]\nnormal = ["calm"]\nwindows = 1\non = 0.01\noff = 0.01\non_delay_s = 0.0\n'


@pytest.fixture
def archive(save_recording: Any, tmp_path: Path) -> Path:
    """Return a folder of seven recordings of different lengths."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for number in range(7):
        save_recording(folder / f"r{number}.npz", n=640 + 64 * number, label="calm" if number % 2 else "worn")
    return folder


@pytest.fixture
def call(archive: Path, tiny_bundle_path: Path, tmp_path: Path) -> tuple[Any, ...]:
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    return ("classify", archive, "--model", tiny_bundle_path, "--settings", settings)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_two_processes_and_a_file_of_results_say_the_same(
    run: Run, call: tuple[Any, ...], tmp_path: Path, form: tuple[str, ...]
) -> None:
    pytest.importorskip("joblib", reason="several processes need the extra `train`")
    alone = run(*call, *form)
    out = tmp_path / "results.jsonl"
    assert alone.code == 0 and (form or "ALARM" in alone.out)
    for more in (("--workers", 2), ("--out", out), ("--out", out)):
        done = run(*call, *form, *more)
        assert (done.code, done.out) == (0, alone.out), more
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [Path(line["file"]).name for line in lines] == [f"r{number}.npz" for number in range(7)]


def test_a_stopped_run_continues(
    run: Run, call: tuple[Any, ...], archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, broken = tmp_path / "results.jsonl", (archive / "r4.npz").read_bytes()
    (archive / "r4.npz").write_bytes(broken[:100])
    stopped = run(*call, "--out", out)
    assert stopped.code == 1 and f"Results so far are in {out}" in stopped.err
    assert len(out.read_text().splitlines()) == 4
    out.write_text(out.read_text() + '{"schema": 1, "ty')
    (archive / "r4.npz").write_bytes(broken)
    (archive / "r0.npz").touch()
    whole = run(*call, "--out", out, "--json")
    assert whole.code == 0
    files = [Path(json.loads(line)["file"]).stem for line in out.read_text().splitlines()]
    assert files == ["r0", "r1", "r2", "r3", "r0", "r4", "r5", "r6"]  # r0 has changed
    assert [each["recording"] for each in json.loads(whole.out)["recordings"]] == [f"r{n}" for n in range(7)]


def test_results_of_another_judge_are_refused(call: tuple[Any, ...], run: Run, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    assert run(*call, "--out", out).code == 0
    for other in (("--votes", "1/1"), ("--rpm", 100)):
        expect(failure_of(*call, "--out", out, *other), OutputError, "other_judge", path=out)


@pytest.mark.parametrize("text", ["buy milk\n", "[]\n", "{}\n", '{"type": "window"}\n'])
def test_a_file_of_something_else_is_refused_and_stays(call: tuple[Any, ...], tmp_path: Path, text: str) -> None:
    out = tmp_path / "notes.txt"
    out.write_text(text)
    expect(failure_of(*call, "--out", out), OutputError, "not_a_result", path=out, line=1)
    assert out.read_text() == text


def test_an_error_of_another_process_is_that_of_this_one_and_what_came_before_is_kept(
    call: tuple[Any, ...], save_recording: Any, archive: Path, tmp_path: Path
) -> None:
    """All these small files are one job."""
    pytest.importorskip("joblib", reason="several processes need the extra `train`")
    save_recording(archive / "r5.npz", n=63)
    out = tmp_path / "results.jsonl"
    expect(failure_of(*call, "--workers", 2, "--out", out), ContractError, "too_short", name="r5")
    assert [Path(json.loads(line)["file"]).stem for line in out.read_text().splitlines()] == [f"r{n}" for n in range(5)]


def test_small_files_share_a_job_and_long_ones_have_their_own(tmp_path: Path) -> None:
    sizes = [1, 1, archive_module._BATCH_BYTES, 1, *[1] * archive_module._BATCH_FILES]
    files = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.npz"
        with path.open("wb") as file:
            file.truncate(size)
        files.append(RecordingFile(Source(path, path.stem, (), path), None))
    found = archive_module._batches(files)
    assert [each for batch in found for each in batch] == list(range(len(sizes)))
    assert [len(batch) for batch in found] == [2, 1, archive_module._BATCH_FILES, 1]


def test_a_picture_needs_every_window(run: Run, call: tuple[Any, ...], tmp_path: Path) -> None:
    done = run(*call, "--out", tmp_path / "r", "--picture", tmp_path / "p.png")
    assert done.code == 2 and "--picture" in done.err


def test_an_address_that_is_none_is_wrong_usage(run: Run, call: tuple[Any, ...]) -> None:
    done = run(*call, "--cluster", "10.0.0.5")
    assert done.code == 2 and "tcp://HOST:PORT" in done.err
    exposed = run(*call, "--cluster", "tcp://10.255.255.1:1", "--settings", "absent.toml")
    assert "not encrypted" in exposed.err


@pytest.mark.parametrize(
    ("options", "module", "extra"),
    [(("--workers", 2), "joblib", "train"), (("--cluster", "tcp://127.0.0.1:1"), "distributed", "cluster")],
)
def test_one_process_needs_neither_joblib_nor_dask(
    run: Run,
    call: tuple[Any, ...],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    module: str,
    extra: str,
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    for name in ("local", "cluster"):
        monkeypatch.delitem(sys.modules, f"drsn_edge.jobs.{name}", raising=False)
    assert run(*call).code == 0
    refused = run(*call, *options)
    assert refused.code == 1 and module in refused.err and f"`{extra}`" in refused.err
