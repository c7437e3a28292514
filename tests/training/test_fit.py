from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from refusals import refused
from sklearn.utils.class_weight import compute_class_weight

from drsn_edge.datasets.span import Span, Split
from drsn_edge.datasets.windows import cut_spans
from drsn_edge.errors import DivergedError, TrainingError
from drsn_edge.signal.contract import SignalContract
from drsn_edge.signal.windows import Scaling
from drsn_edge.training import fit as fit_module
from drsn_edge.training.epochs import EpochReport, best_epoch
from drsn_edge.training.fit import balanced_weights, cross_entropy, fit, learning_rates, predict_logits
from drsn_edge.training.settings import ResearchSettings, TrainSettings
from drsn_edge.training.train import train

CONTRACT = SignalContract(1000.0, ("x",), "g", 64, 32, Scaling())


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(labels, 3), expected, rtol=1e-6)
    assert balanced_weights(labels, 3)[labels].mean() == pytest.approx(1.0)


def test_cross_entropy_is_that_of_keras() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 20, (50, 4)).astype(np.float32), rng.integers(0, 4, 50)
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    assert cross_entropy(logits, labels) == pytest.approx(float(expected), rel=1e-5)


def test_the_learning_rate_rises_for_a_tenth_and_falls_to_nothing() -> None:
    rates = [float(learning_rates(0.5, 100)(step)) for step in (0, 5, 10, 55, 100)]
    assert rates == pytest.approx([0.0, 0.25, 0.5, 0.25, 0.0], abs=1e-6)


class Recorder:
    """Stands for a model: notes what each step is given, and answers with losses of its own."""

    def __init__(self, losses: Any = None) -> None:
        self.given: list[tuple[Any, Any]] = []
        self.losses = losses or (lambda step: 1.0)
        self.trainable_variables: list[Any] = []
        self.optimizer = SimpleNamespace(save_own_variables=lambda store: None, build=lambda variables: None)

    def compile(self, optimizer: Any, loss: Any, metrics: Any, jit_compile: bool) -> None:
        assert jit_compile is False

    def train_on_batch(self, inputs: Any, labels: Any, sample_weight: Any, return_dict: bool) -> dict[str, float]:
        self.given.append((labels, sample_weight))
        return {"loss": self.losses(len(self.given)), "accuracy": 0.5}

    def get_weights(self) -> list[Any]:
        return []


@pytest.fixture(autouse=True)
def recorders_have_one_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = vars(fit_module)["branch_logits"]
    monkeypatch.setattr(
        fit_module, "branch_logits", lambda model: model if isinstance(model, Recorder) else real(model)
    )


@pytest.fixture
def unequal(make_recording: Any) -> Split:
    """21 windows of one class and 6 of another, none to validate on."""
    long, short = make_recording("a", 704, label="a"), make_recording("b", 224, label="b")
    return Split((Span(long, 0, 704), Span(short, 0, 224)), (), (), "", ("a", "b"))


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings("time=0.3", window=64, epochs=2, research=ResearchSettings(batch_size=4), **changes)


def test_class_weights_reach_each_step(unequal: Split) -> None:
    model = Recorder()
    fit(model, unequal, settings(class_weights="balanced"), CONTRACT)
    expected = np.array([27 / (2 * 21), 27 / (2 * 6)], np.float32)
    for labels, weights in model.given:
        np.testing.assert_allclose(weights, expected[labels], rtol=1e-6)
    plain = Recorder()
    fit(plain, unequal, settings(), CONTRACT)
    assert [weights for _, weights in plain.given] == [None] * len(plain.given)


def test_class_weights_change_what_is_learned(unequal: Split) -> None:
    """A bias alone learns the classes' shares: of the windows without weights, equal ones with them."""
    bias = {}
    for kind in ("none", "balanced"):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((1, 64, 1))
        model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(inputs * 0.0)))
        fit(model, unequal, replace(settings(class_weights=kind, learning_rate=0.1), epochs=20), CONTRACT)
        logits = model.get_weights()[1]
        bias[kind] = logits[0] - logits[1]
    assert bias["none"] == pytest.approx(np.log(21 / 6), abs=0.2)
    assert bias["balanced"] == pytest.approx(0.0, abs=0.2)


def test_each_epoch_reports_its_means_and_its_times(unequal: Split) -> None:
    reports: list[Any] = []
    history = fit(Recorder(float), unequal, settings(), CONTRACT, reports.append)
    assert [report.steps for report in history] == [7, 7]
    assert [report.loss for report in history] == [4.0, 11.0]  # means of 1..7 and of 8..14
    assert reports == list(history)
    assert history[0].learning_rate > history[1].learning_rate > 0
    for report in history:
        assert report.validation_accuracy is None and report.validation_loss is None
        assert 0 < report.step_s < report.epoch_s and 0 < report.feed_s < report.epoch_s


def test_a_bad_loss_names_its_step_and_ends_the_thread(unequal: Split) -> None:
    model = Recorder(lambda step: float("inf") if step == 9 else 1.0)
    with refused(DivergedError, "loss", got=float("inf"), epoch=2, step=2):
        fit(model, unequal, settings(), CONTRACT)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("windows")]


def test_patience_without_validation_is_refused(unequal: Split) -> None:
    with refused(TrainingError, "no_validation_windows"):
        fit(Recorder(), unequal, settings(patience=1), CONTRACT)


def test_patience_stops_early_and_gives_the_best_epoch_also_after_a_stop(
    simulated: Any, settings: TrainSettings, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps are replaced by weights that get better until epoch 3 and worse afterwards."""
    patient = replace(settings, epochs=12, patience=3)
    quality = {1: 0.1, 2: 0.2, 3: 0.9, 4: 0.5, 5: 0.4, 6: 0.3, 7: 0.2}

    def scores(model: Any, windows: Any, contract: Any) -> Any:
        return np.full((len(windows), 2), float(model.get_weights()[-1][0]))

    def set_weights(loop: Any, epoch: int) -> None:
        *others, bias = loop.learner.model.get_weights()
        loop.learner.model.set_weights([*others, np.full_like(bias, quality[epoch])])

    def as_trained(loop: Any, batches: Any, epoch: int, clock: Any) -> Any:
        set_weights(loop, epoch)
        report = EpochReport(epoch, 12, 1, 1, 0.5, 0.5, quality[epoch], 1.0)
        return replace(report, **clock.times())

    monkeypatch.setattr(fit_module, "predict_logits", scores)
    monkeypatch.setattr(fit_module, "_epoch", as_trained)
    done = train(simulated, patient, checkpoints=tmp_path / "a")
    assert len(done.history) == 6 and best_epoch(done.history) == 3
    assert done.model.get_weights()[-1] == pytest.approx(quality[3])

    def stop(report: Any) -> None:
        if report.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(simulated, patient, stop, checkpoints=tmp_path / "b")
    resumed = train(simulated, patient, checkpoints=tmp_path / "b", resume=True)
    assert resumed.history == done.history
    assert resumed.model.get_weights()[-1] == pytest.approx(quality[3])
    impatient = train(simulated, replace(patient, patience=0, epochs=5))
    assert impatient.model.get_weights()[-1] == pytest.approx(quality[5])


def test_the_validation_reported_is_that_of_the_model(training: Any) -> None:
    windows = cut_spans(training.split.validation, training.labels, 256, 256)
    logits = predict_logits(training.model, windows, training.contract)
    last = training.history[-1]
    assert last.validation_accuracy == np.mean(logits.argmax(axis=1) == windows.labels)
    assert last.validation_loss == pytest.approx(cross_entropy(logits, windows.labels))
