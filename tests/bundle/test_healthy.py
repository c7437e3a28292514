"""A bundle without a network: complete without a model, and nothing else in its place."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from drsn_edge.bundle.bundle import (
    MANIFEST,
    MODEL,
    Bundle,
    bundle_from_bytes,
    bundle_to_bytes,
    network_of,
    sha256,
    with_extra,
)
from drsn_edge.bundle.golden import MEMBER
from drsn_edge.bundle.golden_novelty import GoldenNovelty, golden_novelty_of, golden_novelty_to_bytes
from drsn_edge.bundle.healthy import HealthyOptions, healthy_bundle
from drsn_edge.bundle.manifest import manifest_from_bytes, manifest_to_bytes
from drsn_edge.bundle.open_model import classifier_of, novelty_of
from drsn_edge.bundle.variants import with_edgetpu
from drsn_edge.errors import BundleDamagedError, BundleError, BundleLayoutError
from drsn_edge.signal.spectra import Spectra


@pytest.fixture
def golden(healthy_bundle_of_noise: Bundle) -> GoldenNovelty:
    found = golden_novelty_of(healthy_bundle_of_noise)
    assert found is not None
    return found


def test_it_comes_back_as_it_was_made(healthy_bundle_of_noise: Bundle) -> None:
    data = bundle_to_bytes(healthy_bundle_of_noise)
    assert bundle_from_bytes(data) == healthy_bundle_of_noise
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == [MANIFEST, "golden.npz", "novelty.npz"]


def test_its_manifest_leaves_out_what_belongs_to_a_network(healthy_bundle_of_noise: Bundle) -> None:
    manifest = healthy_bundle_of_noise.manifest
    values = json.loads(manifest_to_bytes(manifest))
    assert (values["schema"], values["labels"], values["outputs"]) == (2, ["healthy"], [])
    assert not {"input", "operators", "promise", "golden_tolerance_lsb"} & set(values)
    assert manifest_from_bytes(manifest_to_bytes(manifest)) == manifest
    assert (manifest.has_network, manifest.temperature) == (False, 1.0)


def test_it_has_no_spectra_that_only_a_network_sees(
    healthy_bundle_of_noise: Bundle, healthy_windows: NDArray[np.float32]
) -> None:
    """Shaft orders would ask for a speed that nothing uses."""
    novelty, contract = novelty_of(healthy_bundle_of_noise), healthy_bundle_of_noise.manifest.contract
    assert novelty is not None
    of_orders = replace(contract, spectra=Spectra(("orders",), 8, 10.0, (0.0, 0.0), (1.0, 1.0)))
    made = healthy_bundle(novelty, of_orders, HealthyOptions("pump", "1.0.0"), healthy_windows)
    assert made.manifest.contract == contract and not made.manifest.contract.needs_speed


def test_no_flipped_bit_is_taken(healthy_bundle_of_noise: Bundle) -> None:
    data = bundle_to_bytes(healthy_bundle_of_noise)
    for position in range(0, len(data), 41):
        with pytest.raises(BundleError):
            bundle_from_bytes(data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :])


def test_without_novelty_it_is_no_bundle(healthy_bundle_of_noise: Bundle) -> None:
    manifest = replace(healthy_bundle_of_noise.manifest, parts={})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(MANIFEST, manifest_to_bytes(manifest))
    with refused(BundleError, "members_missing", got=MANIFEST):
        bundle_from_bytes(buffer.getvalue())


def test_a_model_that_its_manifest_does_not_describe_is_refused(healthy_bundle_of_noise: Bundle) -> None:
    manifest = healthy_bundle_of_noise.manifest
    listed = replace(manifest, parts={**manifest.parts, MODEL: sha256(b"a model")})
    with refused(BundleLayoutError, "model_and_manifest_differ"):
        bundle_to_bytes(replace(healthy_bundle_of_noise, manifest=listed, model=b"a model"))


def test_a_network_that_is_described_and_not_there_is_refused(bundle: Bundle) -> None:
    with refused(BundleLayoutError, "model_and_manifest_differ"):
        bundle_to_bytes(replace(bundle, model=None))


def test_it_needs_no_runtime_and_says_that_it_has_no_network(healthy_bundle_of_noise: Bundle) -> None:
    assert classifier_of(healthy_bundle_of_noise) is None
    with refused(BundleError, "no_network", bundle="pump 1.0.0"):
        network_of(healthy_bundle_of_noise, "nothing follows")
    with refused(BundleError, "no_network"):
        with_edgetpu(healthy_bundle_of_noise, b"compiled")


def test_its_golden_windows_are_as_novel_as_the_healthy_ones(
    healthy_bundle_of_noise: Bundle, golden: GoldenNovelty
) -> None:
    novelty = novelty_of(healthy_bundle_of_noise)
    assert novelty is not None and len(golden.counts) == 16
    assert golden.deviation(novelty.novelty(golden.windows())) == 0.0
    assert (golden.novelties <= 1).all() and len(np.unique(golden.novelties)) == 16


def test_a_deviation_counts_by_the_limit_and_beyond_it_by_the_novelty() -> None:
    nothing = np.zeros((3, 64, 2), np.int16)
    golden = GoldenNovelty(nothing, np.ones(3), np.array([0.5, 1.0, 4.0]))
    assert golden.deviation(np.array([0.52, 1.0, 4.0])) == pytest.approx(0.02)
    assert golden.deviation(np.array([0.5, 1.0, 4.4])) == pytest.approx(0.1)
    assert np.isnan(golden.deviation(np.array([0.5, np.nan, 4.0])))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"counts": np.zeros((2, 64, 3), np.int16)}, "golden_shape"),
        ({"counts": np.zeros((0, 64, 2), np.int16)}, "golden_shape"),
        ({"counts": np.zeros((17, 64, 2), np.int16), "scales": np.ones(17), "novelties": np.ones(17)}, "golden_shape"),
        ({"scales": np.zeros(16)}, "golden_scales"),
        ({"novelties": np.zeros(15)}, "golden_shape"),
        ({"novelties": np.full(16, np.nan)}, "golden_novelties"),
        ({"novelties": np.full(16, -1.0)}, "golden_novelties"),
        ({"novelties": np.zeros(16, np.float32)}, "wrong_dtype"),
    ],
)
def test_golden_novelties_that_do_not_fit_are_refused(
    healthy_bundle_of_noise: Bundle, golden: GoldenNovelty, changes: dict[str, np.ndarray], problem: str
) -> None:
    data = golden_novelty_to_bytes(replace(golden, **changes))
    with refused(BundleError, problem, member=MEMBER):
        golden_novelty_of(with_extra(healthy_bundle_of_noise, MEMBER, data))


def test_damaged_novelty_is_refused(healthy_bundle_of_noise: Bundle) -> None:
    with refused(BundleDamagedError, "wrong_digest", member="novelty.npz"):
        bundle_to_bytes(replace(healthy_bundle_of_noise, extras={**healthy_bundle_of_noise.extras, "novelty.npz": b""}))
