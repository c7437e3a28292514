from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from refusals import refused

pytest.importorskip("sklearn", reason="fitting needs the extra `train`")

from drsn_edge.bundle.bundle import read_bundle
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.datasets.span import Split
from drsn_edge.datasets.windows import cut_spans
from drsn_edge.errors import TrainingError
from drsn_edge.signal.novelty import Novelty
from drsn_edge.simulation.simulator import simulate_dataset
from drsn_edge.training import fit_novelty as fitting
from drsn_edge.training.feed import split_recordings
from drsn_edge.training.fit_novelty import fit_novelty, with_limit
from drsn_edge.training.run_folder import load_run
from drsn_edge.training.settings import TrainSettings

SETTINGS = TrainSettings("time=0.4", window=256, hop=128)


@pytest.fixture(scope="module")
def split():
    return split_recordings(simulate_dataset(("healthy", "imbalance"), n_machines=3, duration_s=3.0), SETTINGS)


def fitted(split: Split) -> Novelty:
    return fit_novelty(split, SETTINGS, cut_spans(split.train, split.labels, 256, 256))


def test_so_many_of_the_held_out_windows_are_unknown_as_asked(split) -> None:
    held_out = cut_spans(split.held_out, split.labels, 256, 256)
    for share in (0.01, 0.2):
        novelty, unknown = with_limit(fitted(split), held_out, share)
        assert np.mean(novelty.novelty(held_out.windows) > 1) == unknown == pytest.approx(share, abs=0.01)
    with refused(TrainingError, "out_of_range", setting="false_unknown_share", got=1.0):
        with_limit(novelty, held_out, 1.0)


def test_a_fault_that_was_never_trained_is_unknown(split) -> None:
    novelty, _ = with_limit(fitted(split), cut_spans(split.held_out, split.labels, 256, 256), 0.01)
    bearing = split_recordings(simulate_dataset(("healthy", "outer_race"), n_machines=3, duration_s=3.0), SETTINGS)
    spans = [span for span in bearing.train if span.recording.label == "outer_race"]
    new = cut_spans(spans, ("outer_race",), 256, 256)
    assert np.mean(novelty.novelty(new.windows) > 1) > 0.8


def test_many_recordings_share_prototypes_and_few_have_one_each(split, monkeypatch) -> None:
    assert len(fitted(split).prototypes) == 6
    monkeypatch.setattr(fitting, "MOST_PROTOTYPES", 4)
    assert fitted(split).prototypes.shape == (4, 24 * 3)


def test_a_run_and_its_bundle_carry_it(trained_run: Path, trained_bundle: Path) -> None:
    run, bundle = load_run(trained_run), read_bundle(trained_bundle)
    assert set(run.novelty.limits.tolist()) == {1.0}
    novelty = novelty_of(bundle)
    assert novelty is not None
    assert np.mean(novelty.novelty(run.held_out.windows) > 1) <= 0.01 + 1 / len(run.held_out)
