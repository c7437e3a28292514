"""How a bundle learns which way its sensor lies, on simulated machines."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn", reason="fitting needs the extra `train`")

from drsn_edge.datasets.span import Span
from drsn_edge.datasets.windows import WindowSet, cut_spans
from drsn_edge.recordings.recording import Recording
from drsn_edge.signal.mounting import LIMIT, Mounting, features
from drsn_edge.signal.windows import centre
from drsn_edge.simulation.simulator import simulate_dataset
from drsn_edge.training import fit_mounting as module
from drsn_edge.training.fit_mounting import fit_mounting, with_mounting_limit

WINDOW = 1024
CONDITIONS = ("healthy", "outer_race", "inner_race")
MACHINES = 8


@cache
def recordings() -> list[Recording]:
    return simulate_dataset(CONDITIONS, MACHINES, 3.0, 11)


def cut(some: list[Recording]) -> WindowSet:
    return cut_spans([Span(each, 0, len(each.samples)) for each in some], CONDITIONS, WINDOW, WINDOW)


def fitted(some: list[Recording]) -> Mounting:
    made = fit_mounting(cut(some), {each.name: each.group for each in some})
    assert made is not None
    return made


def trained() -> Mounting:
    made = with_mounting_limit(fitted([r for r in recordings() if int(r.fields["machine"]) > 2]),
                               cut([r for r in recordings() if r.fields["machine"] == 1]).windows)  # fmt: skip
    assert made is not None
    return made


def unseen(label: str) -> NDArray[np.float32]:
    return cut([r for r in recordings() if r.fields["machine"] == 2 and r.label == label]).windows


def test_machines_that_were_never_trained_are_told_from_turned_ones() -> None:
    known = trained()
    assert len(known.prototypes) == (MACHINES - 2) * len(CONDITIONS) and known.limit <= LIMIT
    for label in CONDITIONS:
        assert not known.is_turned(centre(unseen(label))).any()
    for label in ("outer_race", "inner_race"):  # what a turned sensor hid behind "healthy"
        for turn in ([-1, 1, 1], [1, -1, 1], [1, 1, -1]):
            assert known.is_turned(centre(unseen(label) * np.array(turn, np.float32))).mean() > 0.9


def test_recordings_that_others_are_far_from_lower_the_limit_and_like_ones_raise_it() -> None:
    machines = [r for r in recordings() if r.label == "outer_race"]
    alike = fitted([replace(r, name=f"{r.name} {at}", group=f"{r.group} {at}") for r in machines[:3] for at in (0, 1)])
    assert fitted(machines).limit < alike.limit <= 1
    held_out = cut(machines[:3]).windows
    raised = with_mounting_limit(replace(alike, limit=1.0), held_out)
    assert raised is not None and LIMIT < raised.limit <= 0.9
    strange = with_mounting_limit(replace(alike, limit=1.0), held_out * np.array([-1, 1, 1], np.float32))
    assert strange is not None and strange.limit < LIMIT


def test_one_axis_or_a_short_window_tells_nothing() -> None:
    windows = cut(recordings()[:2])
    assert fit_mounting(replace(windows, windows=windows.windows[..., :1]), {}) is None
    assert fit_mounting(replace(windows, windows=windows.windows[:, :128]), {}) is None
    assert with_mounting_limit(None, windows.windows) is None


def test_many_recordings_share_prototypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PROTOTYPES", 5)
    made = fitted(recordings())
    assert made.prototypes.shape == (5, *features(unseen("healthy")).shape[1:]) and np.isfinite(made.prototypes).all()
