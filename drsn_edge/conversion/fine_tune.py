"""Fine-tune a run's network for int8: the library function of `drsn-edge convert --qat`. Needs TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from drsn_edge.datasets.span import Split
from drsn_edge.errors import TrainingError
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.network_input import network_input
from drsn_edge.training.checkpoint import Keeper, fingerprint
from drsn_edge.training.config_file import settings_from_table
from drsn_edge.training.epochs import EpochReport
from drsn_edge.training.feed import split_recordings
from drsn_edge.training.fit import compile_learner, fit_learner, schedule_for
from drsn_edge.training.run_folder import Run, spans_of
from drsn_edge.training.settings import TrainSettings
from quantize.network.graph import Graph
from quantize.network.keras_graph import read_keras
from quantize.network.rewrite import for_int8
from quantize.training.activation_ranges import calibrate_ranges
from quantize.training.fake_quant import Ranges
from quantize.training.qat import Student, distillation_loss, same_class, student_and_teacher

QAT_EPOCHS = 3
QAT_LEARNING_RATE = 1e-3
"""A third of the default for training. At a lower rate the network learns to avoid less of the quantization noise."""


def fine_tune(
    run: Run,
    recordings: Sequence[Recording],
    epochs: int = QAT_EPOCHS,
    learning_rate: float = QAT_LEARNING_RATE,
    target: str = "cpu",
    progress: Callable[[EpochReport], None] | None = None,
    checkpoints: Path | None = None,
    resume: bool = False,
) -> tuple[Graph, Ranges]:
    """Train a run's network with fake quantization on its training windows; return graph and ranges for the int8 file.

    Args:
        run: The run to fine-tune; it is not changed.
        recordings: The recordings that the run was trained on.
        epochs: Passes over the training windows.
        learning_rate: Peak of the schedule.
        target: Target of the int8 file, one of `quantize.targets.names.TARGETS`; it determines the operators.
        progress: Called every few steps and at the end of each epoch; the accuracy is the agreement with the float
            network.
        checkpoints: Work folder, as for `train`.
        resume: Continue from the work folder.

    Raises:
        TrainingError: If these are not the recordings of the run, or there is nothing to resume.
        DivergedError: If the loss or a weight is no longer finite.
        QuantizeError: If the network has no int8 form, or the calibration windows cannot set its ranges.
    """
    settings = _settings(run, epochs, learning_rate)
    split = _same_split(run, recordings, settings)
    graph = for_int8(read_keras(run.model), target)
    windows = run.calibration
    student = Student(*calibrate_ranges(graph, network_input(windows.windows, run.contract, windows.speeds_hz)))
    model, taught = student_and_teacher(student, graph)
    learner = compile_learner(taught, model, distillation_loss, same_class, schedule_for(split, settings))
    keeper = None if checkpoints is None else Keeper(checkpoints, settings, fingerprint(recordings))
    start = keeper.begin(resume=resume) if keeper else None
    fit_learner(learner, split, settings, run.contract, progress, start, keeper.keep if keeper else None)
    return student.trained()


def _settings(run: Run, epochs: int, learning_rate: float) -> TrainSettings:
    before = settings_from_table(run.config["settings"], f"the configuration of {run.name}")
    return replace(before, epochs=epochs, learning_rate=learning_rate, patience=0, class_weights="none")


def _same_split(run: Run, recordings: Sequence[Recording], settings: TrainSettings) -> Split:
    split = split_recordings(recordings, settings)
    expected, got = run.config["split"], spans_of(split)
    if expected != got:
        raise TrainingError(
            f"These are not the recordings that {run.name} was trained on: they give {len(got['train'])} spans to "
            f"train on, the run has {len(expected['train'])}, or at other places. Name the folder of the run's "
            "recordings with --data.",
            "other_recordings",
            run=run.name,
            expected=len(expected["train"]),
            got=len(got["train"]),
        )
    return split
