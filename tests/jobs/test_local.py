from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from refusals import refused

from drsn_edge.errors import JobsError, SplitError
from drsn_edge.jobs.run import run_jobs


def square(argument: int, *shared: int) -> int:
    """Stand in for a job: workers import it from this file."""
    return argument**2 + sum(shared)


def threads(_: int) -> tuple[str | None, int]:
    return os.environ.get("OMP_NUM_THREADS"), os.getpid()


def killed(argument: int, folder: Path, times: int) -> int:
    """Kill the worker of job 1 as often as asked."""
    if argument == 1:
        before = len(list(folder.iterdir()))
        if before < times:
            (folder / str(before)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return argument


def failing(argument: int) -> int:
    if argument == 3:
        raise SplitError("No.", "no_window", got=argument)
    return argument


def test_each_result_comes_with_the_index_of_its_argument() -> None:
    assert dict(run_jobs(square, range(7), workers=2, shared=(100, 1))) == {n: n**2 + 101 for n in range(7)}


def test_without_arguments_nothing_is_started() -> None:
    assert list(run_jobs(square, [], workers=2)) == []


def test_a_job_runs_on_one_thread_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    ((_, (found, pid)),) = run_jobs(threads, [0], workers=4)
    assert found == "1" and pid != os.getpid()
    assert os.environ["OMP_NUM_THREADS"] == "7" and "OPENBLAS_NUM_THREADS" not in os.environ


def test_an_error_of_a_job_arrives_as_it_was_raised() -> None:
    with refused(SplitError, "no_window", got=3):
        list(run_jobs(failing, range(50), workers=2))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_whose_worker_is_killed_runs_again(tmp_path: Path, workers: int) -> None:
    found = list(run_jobs(killed, range(5), workers=workers, shared=(tmp_path, 2)))
    assert sorted(found) == [(n, n) for n in range(5)]


def test_a_job_that_loses_three_workers_ends_them_all_and_earlier_results_stay(tmp_path: Path) -> None:
    found: list[tuple[int, int]] = []
    jobs: Iterator[tuple[int, int]] = run_jobs(killed, range(5), workers=1, shared=(tmp_path, 9))
    with refused(JobsError, "worker_killed", job=1, times=3):
        found.extend(jobs)
    assert len(list(tmp_path.iterdir())) == 3


KEPT: list[bytes] = []


def keeping(megabytes: int) -> int:
    """Keep memory, in a job that takes longer than the time between two looks at it."""
    KEPT.append(b"x" * (megabytes * 1_000_000))
    time.sleep(1.1)
    return os.getpid()


@pytest.mark.integration
def test_a_worker_whose_memory_grows_gives_way_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    pytest.importorskip("psutil", reason="loky looks at the memory where psutil is there")
    found = dict(run_jobs(keeping, [350] * 6, workers=1))
    assert sorted(found) == list(range(6)) and len(set(found.values())) > 1
    assert not recwarn.list


@pytest.mark.integration
def test_a_worker_keeps_its_place_while_graphs_of_networks_fill_its_memory() -> None:
    pytest.importorskip("psutil", reason="loky looks at the memory where psutil is there")
    found = dict(run_jobs(keeping, [200] * 5, workers=1))
    assert sorted(found) == list(range(5)) and len(set(found.values())) == 1


INTERRUPTED = """
import signal
from drsn_edge.jobs.run import run_jobs
import time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a command in the background ignores it
if __name__ == "__main__":
    print("begun", flush=True)
    for index, _ in run_jobs(time.sleep, [0.05] * 400, workers=2):
        print(index, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 3])
def test_an_interrupt_ends_workers_without_a_word_of_theirs(tmp_path: Path, lines: int) -> None:
    """A terminal sends Ctrl-C to all processes of the command: while they start, or at work."""
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    command = [sys.executable, str(script)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        for _ in range(lines):
            assert running.stdout.readline()
        time.sleep(0.3)
        os.killpg(running.pid, signal.SIGINT)
        said = running.communicate(timeout=60)[1]
    assert said.count("Traceback") == 1 and said.rstrip().endswith("KeyboardInterrupt"), said
