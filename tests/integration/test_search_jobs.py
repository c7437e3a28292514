"""A search by one process, by two, and on a cluster that loses a worker: the same digits."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from drsn_edge.models.config import NetworkSizes, Stage
from drsn_edge.recordings.recording import Recording
from drsn_edge.search.ground import Wishes
from drsn_edge.search.report import FOLDS_FILE, search_files, to_json
from drsn_edge.search.run import search
from drsn_edge.search.store import Store

pytestmark = pytest.mark.integration

SIZES = NetworkSizes(8, 128, 128, (Stage(8, 1, 1),), 1, pooling="none", dropout=0.3)
FIXED = {"hold_out": "machine=3", "network": SIZES, "window": 1024, "epochs": 3, "batch_size": 16}


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    made = []
    for machine in range(4):
        for label, step in (("calm", 0.3), ("worn", 0.4)):
            noise = np.random.default_rng([machine, round(10 * step)]).normal(size=(4000, 2))
            samples = (np.sin(np.arange(4000) * step)[:, None] + 2 * noise).astype(np.float32)
            fields = {"machine": machine, "rpm": 600 + 10 * machine}
            name = f"{label}-{machine}"
            made.append(Recording(name, samples, 1000.0, ("x", "y"), "g", label, name, fields))
    return made


@pytest.fixture(scope="module")
def by_one(recordings: list[Recording], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, bytes]:
    return searched(recordings, tmp_path_factory.mktemp("one") / "work", workers=1)


def searched(recordings: list[Recording], work: Path, **how: Any) -> tuple[Any, bytes]:
    found = search(recordings, Wishes(FIXED, **how), Store(work))
    return {**to_json(found), "seconds": 0}, search_files(found, recordings)[FOLDS_FILE]


def test_two_processes_give_the_digits_of_one(
    recordings: list[Recording], by_one: tuple[Any, bytes], tmp_path: Path
) -> None:
    assert searched(recordings, tmp_path / "work", workers=2) == by_one


@pytest.fixture
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="a cluster needs the extra `cluster`")
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as started:
        yield started


def test_a_cluster_that_loses_a_worker_gives_the_digits_of_one(
    recordings: list[Recording], by_one: tuple[Any, bytes], cluster: Any, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    killed: list[int] = []

    def kill_a_worker() -> None:
        while not list(work.glob("*-short-*.npz")):
            time.sleep(0.05)
        killed.append(next(iter(cluster.workers.values())).pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_a_worker, daemon=True)
    killer.start()
    found = searched(recordings, work, cluster=cluster.scheduler_address)
    killer.join(10)
    assert killed and found == by_one
