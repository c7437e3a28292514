"""The published data sets, where DRSN_EDGE_TEST_DATA says they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drsn_edge.datasets.labels import labelled_by
from drsn_edge.datasets.split import make_split, parse_hold_out
from drsn_edge.recordings.loading.load import load_recording, load_recordings
from drsn_edge.recordings.recording import Recording


@pytest.fixture(scope="module")
def cwru(shared_data: Path) -> dict[str, Recording]:
    """Return CWRU's 40 recordings by name."""
    return {recording.name: recording for recording in load_recordings(shared_data / "cwru")}


def test_cwru(cwru: dict[str, Recording]) -> None:
    assert len(cwru) == 40
    assert {recording.sample_rate_hz for recording in cwru.values()} == {12000.0}
    assert {(recording.axes, recording.unit) for recording in cwru.values()} == {(("DE",), "g")}
    assert len(cwru["normal_load0"].samples) == 60985
    assert cwru["normal_load0"].fields["rpm_measured"] is False


def test_built_in_catalogue_knows_all_cwru_files_without_their_own_words(
    cwru: dict[str, Recording], tmp_path: Path
) -> None:
    for name, known in cwru.items():
        number = known.fields["cwru_file"]
        np.savez(tmp_path / f"{name}.npz", x=[0.0], fs=12000, cwru_file=number)
    for recording in load_recordings(tmp_path):
        assert f"{recording.label}_load{recording.fields['load_hp']}" == recording.name


def test_cwru_knows_each_fault_and_its_size(cwru: dict[str, Recording]) -> None:
    codes = {"normal": "normal", "ball": "B", "inner_race": "IR", "outer_race": "OR"}
    for recording in cwru.values():
        size = recording.fields.get("fault_size_in", "")
        assert recording.label == codes[str(recording.fields["fault"])] + f"{size}".removeprefix("0.")


def test_cwru_with_four_classes_and_unseen_bearings(cwru: dict[str, Recording]) -> None:
    """The healthy bearing, the only one, is split by time."""
    rule = parse_hold_out("fault_size_in=0.007,time=0.5")
    split = make_split(labelled_by(list(cwru.values()), "fault"), rule, 1024, 512, np.random.default_rng(0))
    assert split.labels == ("ball", "inner_race", "normal", "outer_race")
    whole = [span.recording.name for span in split.held_out if span.start == 0]
    assert sorted(whole) == sorted(f"{code}007_load{load}" for code in ("B", "IR", "OR") for load in range(4))
    assert sorted(span.recording.name for span in split.held_out if span.start) == [
        f"normal_load{load}" for load in range(4)
    ]
    trained = {str(span.recording.fields.get("fault_size_in")) for span in split.train}
    assert trained == {"0.014", "0.021", "None"}


@pytest.mark.parametrize(("number", "name"), [("105", "IR007_load0"), ("130", "OR007_load0")])
def test_cwru_original_and_copy_are_the_same(
    shared_data: Path, cwru: dict[str, Recording], number: str, name: str
) -> None:
    original = load_recording(shared_data / "cwru_mat" / f"{number}.mat")
    copy = cwru[name]
    np.testing.assert_array_equal(original.samples, copy.samples)
    assert original.fields == copy.fields
    for attribute in ("sample_rate_hz", "axes", "unit", "label"):
        assert getattr(original, attribute) == getattr(copy, attribute)


def test_adi(shared_data: Path) -> None:
    recordings = load_recordings(shared_data / "adi_mfs_mems")
    assert len(recordings) == 104
    assert len({recording.label for recording in recordings}) == 13
    assert {recording.samples.shape for recording in recordings} == {(40000, 3)}
    assert {(recording.sample_rate_hz, recording.axes, recording.unit) for recording in recordings} == {
        (20000.0, ("X", "Y", "Z"), "g")
    }
    assert recordings[0].fields == {"rpm": 600, "load_lb": 0, "fault": "ball"}
    assert {str(recording.fields["fault"]) for recording in recordings} == {
        "normal", "bent_shaft", "misaligned", "imbalance", "inner", "outer", "ball",
    }  # fmt: skip
    assert all(str(recording.label).startswith(str(recording.fields["fault"])) for recording in recordings)


def test_fan(shared_data: Path) -> None:
    recordings = load_recordings(shared_data / "fan_mems_ceiling")
    assert {recording.samples.shape for recording in recordings} == {(200, 3)}
    assert len({recording.label for recording in recordings}) == len({recording.group for recording in recordings}) == 9
    capture = load_recording(f"{shared_data}/fan_mems_ceiling/low-deploy.npz#285")
    assert (capture.name, capture.group, capture.label) == ("low-deploy#285", "low-deploy", "low-deploy")
    # Gravity is in the samples, which shows that the unit is g and that the axes are not mixed with time.
    assert 0.8 < float(np.linalg.norm(capture.samples.mean(axis=0))) < 1.2
