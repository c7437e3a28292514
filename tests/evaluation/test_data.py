from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.datasets.anti_alias import design_decimation
from drsn_edge.errors import ContractError, DrsnEdgeError, RecordingError, SplitError, TrainingError
from drsn_edge.evaluation.data import (
    SHARED_SAMPLES,
    UNKNOWN_TRAINING,
    EvaluationData,
    choose,
    held_out_data,
    recordings_data,
    rule_in_words,
)
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.contract import SignalContract
from drsn_edge.training.run_folder import read_run

LABELS = ("calm", "worn", "loud")
FOLDER = Path("recordings")

Make = Callable[..., Recording]


def cut(contract: SignalContract, *recordings: Recording, only: str | None = None) -> EvaluationData:
    return recordings_data(recordings, FOLDER, only, contract, LABELS)


def test_every_whole_window_without_overlap(make_recording: Make, tiny_contract: SignalContract) -> None:
    loud, calm = make_recording("a", 300, "loud"), make_recording("b", 64, "calm")
    data = cut(tiny_contract, loud, calm)
    assert data.windows.first_samples.tolist() == [0, 64, 128, 192, 0]
    assert data.windows.labels.tolist() == [2, 2, 2, 2, 0]
    np.testing.assert_array_equal(data.windows.windows[1], loud.samples[64:128])
    assert data.warnings == (UNKNOWN_TRAINING,)
    facts = {"windows": 5, "recordings": 2, "source": "recordings", "rule": ""}
    assert facts.items() <= data.facts().items()


def test_only_chooses_recordings(make_recording: Make, tiny_contract: SignalContract) -> None:
    recordings = [make_recording(name, fields={"load": load}) for name, load in (("a", 0), ("b", 3), ("c", 3.0))]
    assert [each.name for each in choose(recordings, "load=3")] == ["b", "c"]
    data = cut(tiny_contract, *recordings, only="load=3")
    assert set(data.windows.recordings) == {"b", "c"}
    assert data.rule == "load=3" and "2 recordings with load=3" in data.rule_in_words


def test_a_recording_with_a_multiple_of_the_rate_is_decimated(
    make_recording: Make, tiny_contract: SignalContract
) -> None:
    pytest.importorskip("scipy.signal")
    contract = replace(tiny_contract, decimation=design_decimation())
    fast = make_recording("a", 16_000, sample_rate_hz=16_000.0)
    slow = make_recording("b", 4_000, sample_rate_hz=3_900.0)
    data = cut(contract, fast, slow, make_recording("c", 1000, sample_rate_hz=4000.0))
    assert np.unique(data.windows.recordings, return_counts=True)[1].tolist() == [59, 59, 15]
    assert data.rates == (
        "1 recording at 3900 Hz was resampled to 4000 Hz.",
        "1 recording at 16000 Hz was decimated to 4000 Hz.",
    )
    assert data.facts()["rates"] == list(data.rates)


@pytest.mark.parametrize("only", ["load", "=3", "load=", ""])
def test_only_of_another_form_is_refused(make_recording: Make, only: str) -> None:
    with refused(RecordingError, "bad_only", got=only):
        choose([make_recording()], only)


def test_only_that_chooses_none_shows_what_there_is(make_recording: Make) -> None:
    recordings = [make_recording(name, fields={"load": load}) for name, load in (("a", 0), ("b", 3))]
    with refused(RecordingError, "no_match", field="load", value="7", values=("0", "3")):
        choose(recordings, "load=7")
    with refused(SplitError, "no_field", field="rpm"):
        choose(recordings, "rpm=7")


def test_units_that_convert_are_converted(make_recording: Make, tiny_contract: SignalContract) -> None:
    recording = make_recording(unit="mg")
    converted = cut(tiny_contract, recording).windows.windows[0]
    np.testing.assert_allclose(converted, recording.samples[:64] / 1000, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "problem", "facts"),
    [
        ({"sample_rate_hz": 12e3}, ContractError, "other_rate", {"recording": "a", "expected": 4000.0, "got": 12e3}),
        (
            {"axes": ("y", "x")},
            ContractError,
            "other_axes",
            {"recording": "a", "expected": ("x", "y"), "got": ("y", "x")},
        ),
        ({"unit": "V"}, ContractError, "no_conversion", {"recording": "a", "expected": "g", "got": "V"}),
        ({"label": None}, RecordingError, "no_label", {"count": 1, "first": "a"}),
        ({"label": "broken"}, ContractError, "unknown_label", {"recording": "a", "label": "broken", "known": LABELS}),
        ({"n": 63}, RecordingError, "too_short", {"recording": "a", "window": 64, "got": 63}),
    ],
)
def test_recordings_that_do_not_fit_the_model_are_refused(
    make_recording: Make,
    tiny_contract: SignalContract,
    changes: dict[str, Any],
    error: type[DrsnEdgeError],
    problem: str,
    facts: dict[str, Any],
) -> None:
    with refused(error, problem, **facts):
        cut(tiny_contract, make_recording("b"), make_recording("a", **changes))


def test_a_runs_held_out_windows_without_its_network(run: Any, trained_run: Path) -> None:
    record = read_run(trained_run)
    assert (record.contract, record.labels, record.config) == (run.contract, run.labels, run.config)
    np.testing.assert_array_equal(record.held_out.windows, run.held_out.windows)
    data = held_out_data(record, trained_run)
    assert (data.rule, data.warnings) == ("time=0.3", ())
    assert "a share of 0.3; the network was trained on the part before it" in data.rule_in_words


def test_a_split_that_shares_samples_is_warned_of_and_claims_nothing(run: Any, trained_run: Path) -> None:
    config = {**run.config, "settings": {**run.config["settings"], "hold_out": "load=3", "allow_leaks": True}}
    data = held_out_data(replace(run, config=config), trained_run)
    assert data.warnings == (SHARED_SAMPLES,)
    assert data.rule_in_words == "The hold-out set is chosen by load=3."
    assert rule_in_words("load=3", shares_samples=False).endswith("the network was trained on none of it.")


def test_a_configuration_without_the_split_is_refused(run: Any, trained_run: Path) -> None:
    with refused(TrainingError, "no_hold_out", path=trained_run):
        held_out_data(replace(run, config={**run.config, "settings": {}}), trained_run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, trained_run: Path) -> None:
    with refused(TrainingError, "not_a_run_folder", path=tmp_path / "missing"):
        read_run(tmp_path / "missing")
    shutil.copytree(trained_run, tmp_path / "run")
    (tmp_path / "run" / "held_out.npz").write_bytes(b"cut")
    with refused(TrainingError, "damaged", path=tmp_path / "run"):
        read_run(tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps({**config, "schema": 99}))
    with refused(TrainingError, "newer_version", path=tmp_path / "run"):
        read_run(tmp_path / "run")
