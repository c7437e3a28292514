from __future__ import annotations

import numpy as np

from drsn_edge.datasets.split import parse_hold_out
from drsn_edge.recordings.recording import Recording
from drsn_edge.search.candidates import Facts, families, unweighted
from drsn_edge.search.conditions import condition_fields

RPM = parse_hold_out("rpm=1200")


def recordings(**fields: list[object]) -> list[Recording]:
    """Return one recording for each combination of two classes with the values at one place of the lists."""
    found = []
    for label in ("healthy", "worn"):
        for number, values in enumerate(zip(*fields.values(), strict=True)):
            own = dict(zip(fields, values, strict=True))
            found.append(
                Recording(f"{label}{number}", np.zeros((4, 1), np.float32), 1000.0, ("x",), "g", label, "one", own)
            )
    return found


def test_a_condition_was_recorded_with_every_class() -> None:
    crossed = recordings(load=[0, 11, 0, 11], rpm=[600, 600, 1200, 1200], day=["a", "b", "c", "c"])
    assert condition_fields(crossed, RPM) == ("load", "day")
    assert condition_fields(crossed, parse_hold_out("load=11")) == ("day",)
    assert condition_fields(crossed[:-2], RPM) == ("load",)
    assert condition_fields(recordings(rpm=[600, 1200], file=[1, 1]), RPM) == ()


def test_conditions_are_subclasses_of_all_families_and_one_is_also_judged_without() -> None:
    facts = Facts(40_000, 1_000_000, True, ("load",))
    found = {each.name: each.settings().research.subclass_field for each in families(facts, {"hold_out": "rpm=1200"})}
    assert found["spectral-levels by load"] == found["spectral by load"] == "load"
    assert found["spectral-levels"] == "" and "spectral" not in found


def test_levels_need_a_speed() -> None:
    found = families(Facts(40_000, 1_000_000, False), {"hold_out": "rpm=1200"})
    assert not any(each.settings().research.speed_trend for each in found)
    assert {"spectral", "spectral-dense"} <= {each.name for each in found}


def test_unweighted_members_are_those_with_equal_views() -> None:
    (family, *_) = families(Facts(40_000, 1_000_000, True), {"hold_out": "rpm=1200"})
    assert {each.view_weights for each in unweighted(family.members)} == {(1.0, 1.0, 1.0)}


def test_a_gateway_judges_fewer_windows_than_a_training_draws() -> None:
    facts = Facts(40_000, 1_000_000, True)
    for family in families(facts, {"hold_out": "rpm=1200"}):
        settings = family.settings()
        if settings.inputs != "waveform":
            assert settings.research.stream_hop == settings.window // 4 > settings.hop_samples
    (typed, *_) = families(facts, {"hold_out": "rpm=1200", "hop": 512})
    assert typed.settings().research.stream_hop == 0 and typed.settings().hop_samples == 512
