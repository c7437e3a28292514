from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from drsn_edge.errors import JobsError, ReproduceError
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition
from drsn_edge.reproduce.jobs import Job, JobResult, Score, as_settings, result_from_json, result_to_json
from drsn_edge.reproduce.sweep import pending, read_results, run_sweep


def job(seed: int, **changes: Any) -> Job:
    values = {"protocol": "p", "data": "d", "model": "rsbu-cw", "hold_out": "rpm=600", "seed": seed}
    settings = as_settings({"window": 64, "noise": ["pink"], "snr_range_db": (0.0, 5.0)})
    return Job(**{**values, **changes}, settings=settings, conditions=(CLEAN, NoiseCondition("pink", -4.0)))


def outcome(of: Job, accuracy: float = 0.5) -> JobResult:
    scores = tuple(Score(condition, 10, accuracy, accuracy / 2) for condition in of.conditions)
    return JobResult(of, scores, 1.5, {"drsn-edge": "0"})


def quick_job(of: Job, data: Path) -> JobResult:
    """Stand in for a training: workers import it from this file."""
    if (data / "fatal").exists():
        os._exit(9)
    if (data / "slow").exists():
        (data / f"pid{of.seed}").write_text(str(os.getpid()))
        time.sleep(60)
    return outcome(of, of.seed / 10)


def test_an_outcome_survives_its_line() -> None:
    line = json.dumps(result_to_json(outcome(job(3))))
    assert result_from_json(json.loads(line)) == outcome(job(3))


def test_settings_compare_equal_however_they_were_written() -> None:
    assert as_settings({"b": [1, [2]], "a": 1}) == as_settings({"a": 1, "b": (1, (2,))})


def test_a_missing_file_holds_nothing(tmp_path: Path) -> None:
    assert read_results(tmp_path / "none.jsonl") == []


def test_a_line_that_was_cut_does_not_count_and_goes(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    whole = json.dumps(result_to_json(outcome(job(0)))) + "\n"
    results.write_text(whole + whole[:40])
    assert read_results(results) == [outcome(job(0))]
    list(run_sweep([job(1)], tmp_path, results, quick_job, workers=1))
    assert [each.job.seed for each in read_results(results)] == [0, 1]


@pytest.mark.parametrize("line", ["{", "[]", '{"protocol": "p"}', "null"])
def test_another_line_is_an_error_with_its_number(tmp_path: Path, line: str) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps(result_to_json(outcome(job(0)))) + "\n" + line + "\n")
    with refused(ReproduceError, "not_a_result", path=results, line=2):
        read_results(results)


def test_a_sweep_runs_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    results, jobs = tmp_path / "results.jsonl", [job(seed) for seed in range(3)]
    results.write_text(json.dumps(result_to_json(outcome(jobs[1], 0.9))) + "\n")
    assert pending(jobs, read_results(results)) == [jobs[0], jobs[2]]
    ran = list(run_sweep(pending(jobs, read_results(results)), tmp_path, results, quick_job, workers=2))
    assert {each.job.seed for each in ran} == {0, 2}
    assert {each.job.seed: each.scores[0].accuracy for each in read_results(results)} == {0: 0.0, 1: 0.9, 2: 0.2}
    assert pending(jobs, read_results(results)) == []


def test_a_worker_that_is_killed_is_an_error_and_what_was_done_stays(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    list(run_sweep([job(0)], tmp_path, results, quick_job, workers=1))
    (tmp_path / "fatal").touch()
    with refused(JobsError, "worker_killed"):
        list(run_sweep([job(1)], tmp_path, results, quick_job, workers=1))
    assert [each.job.seed for each in read_results(results)] == [0]


def test_a_changed_job_runs_anew() -> None:
    assert pending([job(0, test_hop=5)], [outcome(job(0))]) == [job(0, test_hop=5)]


KILLED = """
import importlib.util, sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.append(str(Path(sys.argv[2]).parents[1] / "fixtures"))  # pytest's path, for the imports of this file
spec = importlib.util.spec_from_file_location("sweep_helpers", sys.argv[2])
helpers = importlib.util.module_from_spec(spec)
sys.modules["sweep_helpers"] = helpers
spec.loader.exec_module(helpers)
if __name__ == "__main__":
    from drsn_edge.reproduce.sweep import run_sweep
    jobs = [helpers.job(0), helpers.job(1)]
    list(run_sweep(jobs, folder, folder / "results.jsonl", helpers.quick_job, workers=2))
"""


def test_workers_end_with_a_sweep_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    with subprocess.Popen([sys.executable, str(script), str(tmp_path), __file__]) as sweep:
        pids = [wait_for(lambda seed=seed: (tmp_path / f"pid{seed}").read_text()) for seed in (0, 1)]
        sweep.send_signal(signal.SIGKILL)
    for pid in pids:
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}/cmdline").exists() or not is_alive(pid))


def is_alive(pid: str) -> bool:
    """Tell a process from one that ended and that nobody asked about."""
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def wait_for(ask: Any) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if found := ask():
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("waited in vain")
