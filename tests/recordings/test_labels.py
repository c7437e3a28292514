from __future__ import annotations

import numpy as np
import pytest

from drsn_edge.errors import RecordingError
from drsn_edge.recordings.labels import labelled_by
from drsn_edge.recordings.recording import FieldValue, Recording


def recording(name: str, label: str | None = "own", **fields: FieldValue) -> Recording:
    return Recording(name, np.zeros((3, 1), np.float32), 10.0, ("x",), "g", label, "session", fields)


def test_a_field_becomes_the_label_and_nothing_else_changes() -> None:
    before = [recording("a", fault="ball", rpm=5), recording("b", None, fault="normal")]
    after = labelled_by(before, "fault")
    assert [each.label for each in after] == ["ball", "normal"]
    for ours, theirs in zip(before, after, strict=True):
        assert {**vars(ours), "label": None} == {**vars(theirs), "label": None}


@pytest.mark.parametrize(("value", "label"), [(3, "3"), (0.007, "0.007"), (True, "True"), ("x", "x")])
def test_any_value_is_a_label(value: FieldValue, label: str) -> None:
    assert labelled_by([recording("a", size=value)], "size")[0].label == label


def test_group_and_name_count_as_fields() -> None:
    assert labelled_by([recording("a")], "group")[0].label == "session"
    assert labelled_by([recording("a")], "name")[0].label == "a"


def test_a_recording_without_the_field_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"Expected a field 'fault' in b .* got group, load, name\. State it in"):
        labelled_by([recording("a", fault="ball"), recording("b", load=1)], "fault")
