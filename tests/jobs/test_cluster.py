"""Jobs on a Dask cluster of this machine, whose scheduler and workers are real processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from refusals import refused

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.cli.main import cli
from drsn_edge.errors import JobsError, SplitError
from drsn_edge.evaluation.conditions import CLEAN, NoiseCondition
from drsn_edge.jobs import cluster as cluster_module
from drsn_edge.jobs.run import run_jobs
from drsn_edge.jobs.versions import versions
from drsn_edge.monitor.offline.archive import ArchiveJudge, classify_files
from drsn_edge.monitor.stages.judge import model_of
from drsn_edge.monitor.stages.settings import settings_for
from drsn_edge.recordings.loading.load import files_of
from drsn_edge.recordings.loading.report import Report
from drsn_edge.reproduce.jobs import Job, as_settings
from drsn_edge.reproduce.run_job import run_job
from drsn_edge.runtime.names import RuntimeChoice
from drsn_edge.simulation.simulator import simulate_dataset

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def _sent_by_value() -> None:
    """Send the functions of this file with each job: workers cannot import it."""
    pickling = pytest.importorskip("cloudpickle", reason="a cluster needs the extra `cluster`")
    pickling.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def local_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a function that starts a cluster; it is closed afterwards. Dask sets the workers' OMP_NUM_THREADS."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    distributed = pytest.importorskip("distributed", reason="a cluster needs the extra `cluster`")
    started = []

    def start(n_workers: int = 2, threads: int = 1) -> Any:
        started.append(
            distributed.LocalCluster(
                n_workers=n_workers, threads_per_worker=threads, dashboard_address=":0", host="127.0.0.1"
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.close()


def square(argument: int, *shared: int) -> int:
    return argument**2 + sum(shared)


def failing(argument: int) -> int:
    if argument == 3:
        raise SplitError("No.", "no_window", got=argument)
    return argument


def dying(argument: int, folder: Path, times: int) -> int:
    """Kill the worker of job 1 as often as asked."""
    if argument == 1:
        before = len(list(folder.iterdir()))
        if before < times:
            (folder / str(before)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return argument


def slow(argument: int, folder: Path) -> int:
    (folder / str(argument)).touch()
    time.sleep(0.5)
    return argument


def test_results_are_those_of_this_machine(local_cluster: Any) -> None:
    address = local_cluster().scheduler_address
    arguments = range(40)
    there = dict(run_jobs(square, arguments, workers=1, cluster=address, shared=(100, 1)))
    assert there == dict(run_jobs(square, arguments, workers=2, shared=(100, 1)))
    with refused(SplitError, "no_window", got=3):
        list(run_jobs(failing, range(50), workers=1, cluster=address))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_jobs_of_a_killed_worker_run_again(local_cluster: Any, tmp_path: Path, n_workers: int) -> None:
    """With one worker, what the jobs share is lost as well."""
    address = local_cluster(n_workers).scheduler_address
    found = list(run_jobs(dying, range(12), workers=1, cluster=address, shared=(tmp_path, 1)))
    assert sorted(found) == [(n, n) for n in range(12)]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_job_that_kills_every_worker_ends_them_all(local_cluster: Any, tmp_path: Path) -> None:
    address = local_cluster().scheduler_address
    with refused(JobsError, "worker_killed", address=address):
        list(run_jobs(dying, range(4), workers=1, cluster=address, shared=(tmp_path, 99)))


def test_a_cluster_that_goes_away_keeps_what_was_done(local_cluster: Any, tmp_path: Path) -> None:
    running = local_cluster()
    jobs = run_jobs(slow, range(20), workers=1, cluster=running.scheduler_address, shared=(tmp_path,))
    first = next(iter(jobs))
    running.close()
    with refused(JobsError, "cluster_gone", address=running.scheduler_address):
        list(jobs)
    assert first[0] == first[1]


def test_closing_the_results_cancels_what_has_not_begun(local_cluster: Any, tmp_path: Path) -> None:
    jobs: Any = run_jobs(slow, range(20), workers=1, cluster=local_cluster().scheduler_address, shared=(tmp_path,))
    next(jobs)
    jobs.close()
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) < 10


def test_workers_of_several_threads_are_refused(local_cluster: Any) -> None:
    with refused(JobsError, "worker_of_many_threads", threads=2):
        list(run_jobs(square, [1], workers=1, cluster=local_cluster(1, 2).scheduler_address))


def test_workers_whose_matrices_take_several_threads_are_refused(
    local_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    address = local_cluster(1).scheduler_address
    with refused(JobsError, "worker_of_many_threads", threads="4"):
        list(run_jobs(square, [1], workers=1, cluster=address))


def test_workers_with_other_versions_are_refused(local_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {**versions(), "numpy": "0.1"}
    monkeypatch.setattr(cluster_module, "versions", lambda: here)
    with refused(JobsError, "worker_differs", package="numpy", expected="0.1"):
        list(run_jobs(square, [1], workers=1, cluster=local_cluster(1).scheduler_address))


def test_a_cluster_without_workers_is_an_error(local_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_WORKERS_S", 0.5)
    address = local_cluster(0).scheduler_address
    with refused(JobsError, "no_workers", address=address):
        list(run_jobs(square, [1], workers=1, cluster=address))


def test_workers_that_lack_drsn_edge_are_refused(local_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "__name__", "drsn_edge.of_another_version")
    with refused(JobsError, "worker_lacks_module", module="drsn_edge.of_another_version"):
        list(run_jobs(square, [1], workers=1, cluster=local_cluster(1).scheduler_address))


def test_a_cluster_that_is_not_there_is_an_error(local_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_CONNECT_S", 0.5)
    with refused(JobsError, "cluster_unreachable", address="tcp://127.0.0.1:1"):
        list(run_jobs(square, [1], workers=1, cluster="tcp://127.0.0.1:1"))
    with refused(JobsError, "no_certificates", address="tls://127.0.0.1:1"):
        list(run_jobs(square, [1], workers=1, cluster="tls://127.0.0.1:1"))


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the security of a cluster with certificates, which the environment names for clients."""
    distributed = pytest.importorskip("distributed", reason="a cluster needs the extra `cluster`")
    import dask

    security = distributed.Security.temporary()
    files = {"cert": security.tls_client_cert, "key": security.tls_client_key, "ca": security.tls_ca_file}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    settings = {
        "distributed.comm.tls.ca-file": str(tmp_path / "ca"),
        "distributed.comm.tls.client.cert": str(tmp_path / "cert"),
        "distributed.comm.tls.client.key": str(tmp_path / "key"),
    }
    with dask.config.set(settings):
        yield security


def test_a_cluster_with_certificates(certificates: Any) -> None:
    import distributed

    with distributed.LocalCluster(1, threads_per_worker=1, dashboard_address=":0", security=certificates) as running:
        address = running.scheduler_address
        assert address.startswith("tls://")
        assert list(run_jobs(square, [3], workers=1, cluster=address)) == [(0, 9)]


def test_a_training_gives_the_same_digits_here_and_on_a_cluster(local_cluster: Any) -> None:
    """Dask's threads draw from Python's generator, too, from which Keras takes the seeds of its weights."""
    settings = {"network": "nano", "window": 256, "hop": 128, "epochs": 1, "batch_size": 8, "inputs": "waveform"}
    noisy = NoiseCondition("gaussian", -6.0)
    jobs = [
        Job("p", "simulated", "rsbu-cw", "time=0.3", seed, as_settings(settings), (CLEAN, noisy), 64)
        for seed in range(2)
    ]
    shared = ({"simulated": tuple(simulate_dataset(("healthy", "outer_race"), n_machines=3, duration_s=2.0))},)
    address = local_cluster(1).scheduler_address
    there, here = (
        {index: result.scores for index, result in run_jobs(run_job, jobs, workers=1, cluster=cluster, shared=shared)}
        for cluster in (address, None)
    )
    assert there == here


def test_an_archive_says_the_same_by_one_process_and_by_a_cluster_whose_worker_is_killed(
    local_cluster: Any, tmp_path: Path, tiny_bundle_path: Path
) -> None:
    folder, out = tmp_path / "archive", tmp_path / "results.jsonl"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(60):
        samples = random.normal(size=(2, 16_000)).astype(np.float32)
        np.savez(folder / f"r{number}.npz", x=samples, fs=4000.0, unit="g", axes=["x", "y"])
    call = ("classify", str(folder), "--model", str(tiny_bundle_path), "--json")
    alone = CliRunner().invoke(cli, call)
    running = local_cluster()
    (victim, *_) = running.get_client().run(os.getpid).values()

    def kill() -> None:
        while not out.exists():
            time.sleep(0.01)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    there = CliRunner().invoke(cli, [*call, "--cluster", running.scheduler_address, "--out", str(out)])
    killer.join(60)
    assert (alone.exit_code, there.exit_code) == (0, 0), there.output
    assert there.stdout == alone.stdout
    assert len(out.read_text().splitlines()) == 60


def test_recordings_that_a_worker_does_not_see_are_named(
    local_cluster: Any, tmp_path: Path, tiny_bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is removed after it was looked up, as if a worker's machine did not mount its folder."""
    path = tmp_path / "r.npz"
    np.savez(path, x=np.ones((2, 640)), fs=4000.0, unit="g", axes=["x", "y"])
    bundle = read_bundle(tiny_bundle_path)
    files = files_of([path], None, Report())
    path.unlink()
    settings = settings_for(None, None, bundle.manifest)
    judge = ArchiveJudge(bundle, model_of(bundle), RuntimeChoice(), settings, None, 1 << 30)
    with refused(JobsError, "not_on_worker", path=path):
        list(classify_files(files, judge, 1, local_cluster(1).scheduler_address))
