from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.errors import LearningError
from drsn_edge.monitor.stages.learned import (
    Learned,
    check_agreement,
    healthy_label,
    identity,
    load,
    overlay,
    path_of,
    save,
)
from drsn_edge.monitor.stages.learner import LEAST_AGREEMENT, Learner
from drsn_edge.signal.mounting import BANDS, Mounting
from drsn_edge.signal.mounting import features as mounting_features
from drsn_edge.signal.novelty import Novelty, features, levels

LINES, AXES = 8, 2
SIZE = LINES * AXES


def windows(n: int, slope: float = 0.0, seed: int = 0, gain: float = 1.0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=(n, 64, AXES))
    for at in range(1, 64):
        noise[:, at] += slope * noise[:, at - 1]
    return (gain * noise).astype(np.float32)


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    logs = features(windows(400), LINES)
    whitening = np.linalg.cholesky(np.linalg.inv(np.cov(logs.T))).astype(np.float32)
    return Novelty(
        LINES, whitening, (logs.mean(axis=0) @ whitening)[None].astype(np.float32), np.full(1, 7, np.float32), 0.9
    )


def learned(novelty: Novelty, bundle: Bundle, given: NDArray[np.float32], now_s: float | None = None) -> Learned:
    learner = Learner(novelty.lines, novelty.mounting)
    for window in given:
        learner.take(window[None])
    return overlay(learner, novelty, bundle, now_s)


def test_what_is_like_the_site_is_known_and_nothing_else(novelty: Novelty, tiny_bundle: Bundle) -> None:
    site, other, trained = windows(200, 0.9, seed=1), windows(50, -0.9, seed=2), windows(50, seed=3)
    assert (novelty.novelty(site) > 1).all() and (novelty.novelty(other) > 1).all()
    found = learned(novelty, tiny_bundle, site, now_s=5.0)
    assert (found.windows, found.made_s, found.bundle) == (200, 5.0, identity(tiny_bundle))
    with_site = novelty.with_references(found.references)
    assert (with_site.novelty(windows(50, 0.9, seed=4)) < 1).mean() > 0.9
    np.testing.assert_array_equal(with_site.novelty(other) > 1, novelty.novelty(other) > 1)
    assert (with_site.novelty(trained) <= novelty.novelty(trained) + 1e-5).all()


def test_a_quieter_site_is_no_machine_that_stands_still(novelty: Novelty, tiny_bundle: Bundle) -> None:
    quiet = windows(60, gain=0.05)
    assert not any(map(novelty.is_running, levels(quiet)))
    references = learned(novelty, tiny_bundle, quiet).references
    assert all(map(novelty.with_references(references).is_running, levels(quiet)))


def test_it_lies_beside_the_bundle_and_goes_with_it_alone(
    novelty: Novelty, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    model = tmp_path / "pump.drsn"
    assert load(model, tiny_bundle, SIZE) is None
    made = learned(novelty, tiny_bundle, windows(60))
    save(made, model)
    again = load(model, tiny_bundle, SIZE)
    assert again is not None and (again.made_s, again.windows) == (made.made_s, made.windows)
    for name, value in vars(made.references).items():
        np.testing.assert_array_equal(getattr(again.references, name), value)
    other = replace(tiny_bundle, manifest=replace(tiny_bundle.manifest, version="2.0.0"))
    with refused(LearningError, "other_bundle", path=path_of(model), model="pump.drsn"):
        load(model, other, SIZE)
    with refused(LearningError, "invalid_values", path=path_of(model)):
        load(model, tiny_bundle, SIZE + 1)
    data = path_of(model).read_bytes()
    for damaged in (b"", b"rubbish", data[:50], data[: len(data) // 2]):
        path_of(model).write_bytes(damaged)
        with refused(LearningError, "unreadable", path=path_of(model)) as caught:
            load(model, tiny_bundle, SIZE)
        assert "--remove" in str(caught.value)


def test_a_file_that_lies_about_its_size_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1000), }"
    with zipfile.ZipFile(path_of(tmp_path / "pump.drsn"), "w") as archive:
        archive.writestr("prototypes.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(64))
    with refused(LearningError, "unreadable", path=path_of(tmp_path / "pump.drsn")):
        load(tmp_path / "pump.drsn", tiny_bundle, SIZE)


def test_too_few_windows(novelty: Novelty, tiny_bundle: Bundle) -> None:
    with refused(LearningError, "too_few_windows", got=49, limit=50):
        learned(novelty, tiny_bundle, windows(49))


def test_the_label_of_a_healthy_machine() -> None:
    assert healthy_label(("worn", "Normal"), None) == "Normal"
    assert healthy_label(("worn", "new"), "new") == "new"
    for labels, wanted in ((("worn", "new"), None), (("healthy", "good"), None), (("healthy", "worn"), "calm")):
        with refused(LearningError, "no_healthy_label", labels=labels, got=wanted):
            healthy_label(labels, wanted)


def test_a_machine_that_the_network_takes_for_another_is_refused() -> None:
    check_agreement({"healthy": 90, "worn": 10}, "healthy")
    with refused(LearningError, "not_recognised", label="healthy", shares={"healthy": 0.89, "worn": 0.11}):
        check_agreement({"healthy": 89, "worn": 11}, "healthy")
    assert LEAST_AGREEMENT == 0.9


# --- the mounting ----------------------------------------------------------------------------------------------------


def pushed_axes(n: int, seed: int, signs: tuple[int, int] = (1, 1)) -> NDArray[np.float32]:
    """Return windows whose axes move together, under gravity along y."""
    rng = np.random.default_rng(seed)
    pushed = rng.normal(size=(n, 512, 1)) * (1.0, 0.6) + rng.normal(size=(n, 512, 2)) * 0.05 + (0, 9.8)
    return (pushed * signs).astype(np.float32)


@pytest.fixture
def turning() -> Novelty:
    mounting = Mounting(mounting_features(pushed_axes(20, 0)).mean(axis=0)[None])
    whitening, prototypes = np.eye(SIZE, dtype=np.float32), np.zeros((1, SIZE), np.float32)
    return Novelty(LINES, whitening, prototypes, np.full(len(prototypes), 99, np.float32), 0.9, mounting=mounting)


def test_a_site_keeps_which_way_its_sensor_lies(turning: Novelty, tiny_bundle: Bundle, tmp_path: Path) -> None:
    made = learned(turning, tiny_bundle, pushed_axes(60, 1))
    save(made, tmp_path / "pump.drsn")
    again = load(tmp_path / "pump.drsn", tiny_bundle, SIZE)
    assert again is not None and again.references.offset is not None and again.references.mounting is not None
    np.testing.assert_allclose(again.references.offset, [0, 9.8], atol=0.05)
    assert again.references.mounting.shape == (1, BANDS, 4)


def test_a_sensor_that_lies_otherwise_than_in_training_teaches_nothing(turning: Novelty, tiny_bundle: Bundle) -> None:
    with refused(LearningError, "axes_turned", axes=("x", "y"), got=60, windows=60):
        learned(turning, tiny_bundle, pushed_axes(60, 1, (1, -1)))


@pytest.mark.parametrize(
    "changes", [{"offset": np.zeros(3)}, {"offset": np.full(2, np.nan)}, {"mounting": np.zeros((8, BANDS, 9))}]
)
def test_a_mounting_of_another_sensor_is_refused(
    turning: Novelty, tiny_bundle: Bundle, tmp_path: Path, changes: dict[str, Any]
) -> None:
    made = learned(turning, tiny_bundle, pushed_axes(60, 1))
    save(replace(made, references=replace(made.references, **changes)), tmp_path / "pump.drsn")
    with refused(LearningError, "invalid_values", path=path_of(tmp_path / "pump.drsn")):
        load(tmp_path / "pump.drsn", tiny_bundle, SIZE)
