from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from drsn_edge.conversion.convert import BundleOptions, convert_run
from drsn_edge.conversion.fine_tune import fine_tune
from drsn_edge.errors import TrainingError
from drsn_edge.models.config import NetworkSizes, Stage
from drsn_edge.recordings.recording import Recording
from drsn_edge.training.checkpoint import has_checkpoint
from drsn_edge.training.run_folder import Run, load_run, save_run
from drsn_edge.training.train import Training, train
from quantize.convert import Tolerance, write_int8


@pytest.fixture(scope="module")
def run(training: Training, metrics: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("fine") / "run"
    save_run(training, metrics, folder)
    return load_run(folder)


@pytest.fixture(scope="module")
def small(
    training: Training,
    metrics: dict[str, Any],
    simulated: list[Recording],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Return the run of a network of one block, of sizes of its own, which trains quickly."""
    sizes = NetworkSizes(4, 7, 4, (Stage(4, 1, 2),), 3)
    folder = tmp_path_factory.mktemp("small") / "run"
    save_run(train(simulated, replace(training.settings, network=sizes, epochs=1)), metrics, folder)
    return load_run(folder)


def test_the_file_agrees_with_the_float_network(run: Run, simulated: list[Recording]) -> None:
    reports: list[Any] = []
    before = [array.copy() for array in run.model.get_weights()]
    tuned = fine_tune(run, simulated, epochs=1, learning_rate=1e-4, progress=reports.append)
    assert reports[-1].accuracy > 0.95  # the same class as the float network's, on training windows with noise
    conversion = convert_run(run, BundleOptions("a", "1.0.0"), tolerance=Tolerance(), fine_tuned=tuned)
    assert conversion.agreement.same_class > 0.97
    assert all((old == new).all() for old, new in zip(before, run.model.get_weights(), strict=True))


def test_a_stopped_one_goes_on_to_the_same_file(small: Run, simulated: list[Recording], tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(report: Any) -> None:
        if report.epoch == 2:
            raise StoppedError

    whole = write_int8(*fine_tune(small, simulated, epochs=2)).data
    work = tmp_path / "a.training"
    with pytest.raises(StoppedError):
        fine_tune(small, simulated, epochs=2, progress=stop, checkpoints=work)
    assert has_checkpoint(work)
    assert write_int8(*fine_tune(small, simulated, epochs=2, checkpoints=work, resume=True)).data == whole


def test_one_for_another_target_is_not_gone_on_with(small: Run, simulated: list[Recording], tmp_path: Path) -> None:
    work = tmp_path / "a.training"
    fine_tune(small, simulated, epochs=1, checkpoints=work)
    with refused(TrainingError, "other_network"):
        fine_tune(small, simulated, epochs=1, target="edgetpu", checkpoints=work, resume=True)


def test_other_recordings_are_refused(run: Run, simulated: list[Recording]) -> None:
    others = [replace(each, name=f"other {each.name}") for each in simulated]
    with refused(TrainingError, "other_recordings", run="run"):
        fine_tune(run, others)


def test_a_network_of_ones_own_sizes_is_read_back_from_its_run(small: Run, simulated: list[Recording]) -> None:
    graph, _ = fine_tune(small, simulated, epochs=1)
    assert graph.output.shape == (2,)
