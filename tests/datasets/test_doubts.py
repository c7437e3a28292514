"""Doubts: units against gravity, levels of classes, and what a hold-out set leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drsn_edge.datasets.coverage import coverage_doubts
from drsn_edge.datasets.doubts import doubts_about, likelier_unit
from drsn_edge.datasets.profile import profile_of
from drsn_edge.datasets.split import make_split, parse_hold_out
from drsn_edge.recordings.recording import Recording


def recording(name: str, label: str, factor: float = 1.0, unit: str = "g", **fields: Any) -> Recording:
    rng = np.random.default_rng(list(name.encode()))
    samples = ((0.1 * rng.normal(size=(2000, 3)) + [0.1, 0.2, 0.97]) * factor).astype(np.float32)
    group = str(fields.pop("group", name))
    return Recording(name, samples, 800.0, ("x", "y", "z"), unit, label, group, fields)


@pytest.mark.parametrize(
    ("unit", "means", "likely"),
    [
        ("g", (0.1, 0.2, 0.97), None),
        ("g", (0.1, 1.0, 9.75), "m/s2"),
        ("g", (-9.8,), "m/s2"),
        ("g", (3.0, -10.0, 998.0), "mg"),
        ("mg", (0.0, 0.02, 1.01), "g"),
        ("mg", (20.0, -20.0, 1003.0), None),
        ("m/s2", (0.0, 0.05, -1.0), "g"),
        ("m/s^2", (0.0, 0.05, -1.0), "g"),
        ("m/s2", (1.0,), None),
        ("m/s2", (0.2, 0.3, 9.7), None),
        ("g", (0.0, 0.0, 0.0), None),
        ("g", (3.0, 3.0, 3.0), None),
        ("counts", (0.0, 0.0, 9.8), None),
        ("cm/s2", (0.0, 0.0, 981.0), None),
        ("mm/s2", (0.0, 0.0, 9.81), "m/s2"),
    ],
)
def test_gravity_tells_the_unit(unit: str, means: tuple[float, ...], likely: str | None) -> None:
    assert likelier_unit(unit, np.array(means)) == likely


def test_a_wrong_unit_is_doubted_by_file() -> None:
    some = [recording("a", "calm"), recording("b", "calm", 9.81), recording("c", "worn"), recording("d", "worn")]
    (doubt,) = doubts_about([profile_of(each) for each in some])
    assert doubt.kind == "unit" and doubt.facts["recordings"] == ("b",) and 'unit = "m/s2"' in doubt.sentence


def test_levels_are_compared_in_one_unit() -> None:
    same = [recording("a", "calm"), recording("b", "worn", 1000.0, unit="mg")]
    assert "level" not in [doubt.kind for doubt in doubts_about([profile_of(each) for each in same])]
    other = [recording("a", "calm"), recording("b", "worn", 1000.0, unit="counts")]
    assert "level" not in [doubt.kind for doubt in doubts_about([profile_of(each) for each in other])]


def test_levels_a_factor_of_100_apart_are_doubted() -> None:
    def of(factor: float) -> list[str]:
        some = [recording("a", "calm", unit="V"), recording("b", "worn", factor, unit="V")]
        return [doubt.kind for doubt in doubts_about([profile_of(each) for each in some])]

    assert of(150) == ["level"] and of(1 / 150) == ["level"] and not of(60)


def coverage(hold_out: str, recordings: list[Recording]) -> list[str]:
    rule = parse_hold_out(hold_out)
    split = make_split(recordings, rule, 256, 128, np.random.default_rng(0))
    return [doubt.sentence for doubt in coverage_doubts(recordings, rule, split)]


def test_a_class_of_one_session_is_named_with_what_to_record() -> None:
    some = [recording(f"calm{n}", "calm", session=n) for n in (1, 2, 3)] + [recording("ball", "ball", session=3)]
    some.append(recording("ball2", "ball", session=3))
    found = coverage("time=0.4", [*some])
    assert not found  # five groups, as each file is its own
    found = coverage("session=2", some)
    assert "Class ball was recorded with session 3 only" in found[0]
    assert "no window of class ball" in found[1] and "with session 2" in found[1] and len(found) == 2


def test_nothing_is_said_where_all_classes_are_on_both_sides() -> None:
    some = [recording(f"{label}{n}", label, session=n) for n in (1, 2) for label in ("calm", "worn")]
    assert not coverage("session=2", some)


def test_classes_of_one_group_each_share_a_sentence() -> None:
    (sentence,) = coverage("time=0.4", [recording(label, label) for label in ("a", "b", "c", "d", "e", "f")])
    assert sentence.startswith("Each class was recorded with one group only")


def hummed(name: str, label: str, hum: float, mains_hz: float = 50.0, **changes: Any) -> Recording:
    """Six seconds of a shaft at 24.3 Hz with its harmonics and noise, and hum with two harmonics."""
    rng = np.random.default_rng(list(name.encode()))
    t = np.arange(4800) / 800.0
    phases = rng.uniform(0, 6, 5)
    shaft = sum(0.1 / k * np.sin(2 * np.pi * 24.3 * k * t + phase) for k, phase in enumerate(phases, start=1))
    mains = sum(hum / k * np.sin(2 * np.pi * mains_hz * 1.0004 * k * t + k) for k in (1, 2, 3))
    samples = (shaft + mains + 0.02 * rng.normal(size=4800)).astype(np.float32)[:, None]
    values: dict[str, Any] = {"unit": "g", "label": label, "group": name, "fields": {}}
    return Recording(name, samples, 800.0, ("x",), **{**values, **changes})


def kinds(recordings: list[Recording]) -> list[str]:
    return [doubt.kind for doubt in doubts_about([profile_of(each) for each in recordings])]


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_hum_that_alone_tells_classes_apart_is_doubted(mains_hz: float) -> None:
    some = [hummed(f"{label}{n}", label, hum, mains_hz) for n in range(3) for label, hum in (("a", 0.0), ("b", 0.02))]
    (doubt,) = doubts_about([profile_of(each) for each in some])
    assert doubt.kind == "hum" and doubt.facts["with_hum"] == ("b",) and doubt.facts["mains_hz"] == mains_hz


def test_hum_in_all_classes_or_in_some_recordings_is_not_doubted() -> None:
    assert not kinds([hummed(f"{label}{n}", label, 0.02) for n in range(3) for label in "ab"])
    assert not kinds([hummed(f"{label}{n}", label, 0.02 * (n > 0)) for n in range(3) for label in "ab"])
    assert not kinds([hummed(f"{label}{n}", label, 0.02 * (label == "b")) for n in range(2) for label in "ab"])


def test_a_shaft_at_the_speed_of_the_mains_is_no_hum() -> None:
    some = [
        hummed(f"{label}{n}", label, 0.02 * (label == "b"), fields={"rpm": 1500.0}) for n in range(3) for label in "ab"
    ]
    assert not kinds(some)


def offsets(of_class: dict[str, float], n: int, scatter: float) -> list[Recording]:
    found = []
    for label, offset in of_class.items():
        for number in range(n):
            each = recording(f"{label}{number}", label)
            moved = np.float32(offset + scatter * np.random.default_rng(number).normal())
            found.append(Recording(**{**vars(each), "samples": each.samples + np.array([moved, 0, 0], np.float32)}))
    return found


def test_an_offset_that_tells_classes_apart_is_doubted_with_enough_recordings() -> None:
    assert kinds(offsets({"calm": 0.0, "worn": 0.05}, 8, 0.01)) == ["offset"]
    assert not kinds(offsets({"calm": 0.0, "worn": 0.05}, 4, 0.01))  # such an order of 8 has a chance of 3 %
    assert not kinds(offsets({"calm": 0.0, "worn": 0.01}, 8, 0.02))


def test_many_recordings_of_one_session_count_once() -> None:
    some = offsets({"calm": 0.0, "worn": 0.05}, 8, 0.01)
    assert not kinds([Recording(**{**vars(each), "group": str(each.label)}) for each in some])


def test_rates_that_tell_classes_apart_are_doubted() -> None:
    def at(n: int, label: str, rate_hz: float) -> Recording:
        return Recording(**{**vars(recording(f"{label}{n}", label)), "sample_rate_hz": rate_hz})

    rates = {"calm": 800.0, "worn": 806.0}
    some = [at(n, label, rate + 0.1 * n) for label, rate in rates.items() for n in range(8)]
    assert kinds(some) == ["rate"]
    assert not kinds([at(n, label, 800.0) for label in rates for n in range(8)])


def test_a_class_that_was_processed_otherwise_is_doubted() -> None:
    def stepped(name: str, label: str, step: float) -> Recording:
        each = recording(name, label)
        rounded = np.rint(each.samples / step) * step if step else each.samples
        return Recording(**{**vars(each), "samples": rounded.astype(np.float32)})

    some = [stepped(f"{label}{n}", label, 0.001 * (label == "worn")) for n in range(2) for label in ("calm", "worn")]
    assert kinds(some) == ["steps"] and not kinds(some[1:])
    assert not kinds([stepped(f"{label}{n}", label, 0.001 * n) for n in range(2) for label in ("calm", "worn")])


def test_a_sensor_that_was_moved_is_doubted() -> None:
    still, moved = recording("a", "calm"), recording("b", "worn")
    moved.samples[1200:] += np.array([0.0, 0.3, -0.3], np.float32)
    (doubt,) = doubts_about([profile_of(still), profile_of(moved)])
    assert doubt.kind == "jump" and doubt.facts["recordings"] == ("b",) and "1.47 s of b" in doubt.sentence
