"""What a bundle must be and do on a gateway: signed, for this sensor, and as good here as where it was made."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drsn_edge.bundle.bundle import Bundle, bundle_to_bytes, sha256
from drsn_edge.bundle.manifest import Budget
from drsn_edge.errors import BundleError, ContractError, DrsnEdgeError, GateError, UnsignedError
from drsn_edge.gate import Measured, judge, run_gate
from drsn_edge.gateway import open_store
from firmware_bridge.errors import VersionFloorError
from firmware_bridge.gateway.store import SlotStore
from quantize.tflite_file import read_model


@pytest.fixture
def store(tmp_path: Path) -> SlotStore:
    return open_store("a test", tmp_path / "state", tmp_path / "trusted")


def versioned(bundle: Bundle, version: str, **changes: Any) -> Bundle:
    return replace(bundle, manifest=replace(bundle.manifest, version=version, **changes))


def written(bundle: Bundle, path: Path) -> Path:
    path.write_bytes(bundle_to_bytes(bundle))
    return path


def with_model(bundle: Bundle, model: bytes) -> Bundle:
    manifest = replace(bundle.manifest, parts={**bundle.manifest.parts, "model.tflite": sha256(model)})
    return replace(bundle, manifest=manifest, model=model)


def test_a_bundle_passes_where_it_does_as_it_should(golden_bundle: Bundle, tmp_path: Path) -> None:
    measured = run_gate(written(golden_bundle, tmp_path / "b.drsn"))
    assert measured.windows == 16 and measured.reference_differs == 0 and measured.rms_lsb < 3
    assert 0 < measured.latency_ms <= measured.latency_p99_ms < 500
    assert 0 < measured.memory_mb < 200


def test_one_weight_that_changed_is_seen(golden_bundle: Bundle, tmp_path: Path) -> None:
    """With the signature that its author gave it: the digests are right, the network is not."""
    file = read_model(golden_bundle.model)
    constants = [each.data for each in file.tensors if each.data is not None and each.type == "INT8"]
    weights = max(constants, key=len)
    heaviest = int(np.argmax(np.abs(np.frombuffer(weights, np.int8).astype(int))))
    model = bytearray(golden_bundle.model)
    model[golden_bundle.model.index(weights) + heaviest] ^= 0x80
    with pytest.raises(GateError, match="weights are not those"):
        run_gate(written(with_model(golden_bundle, bytes(model)), tmp_path / "b.drsn"))


def test_an_operator_that_no_interpreter_has_is_refused(golden_bundle: Bundle, tmp_path: Path) -> None:
    """A builtin operator's code that no version of TFLite knows, in place of MEAN's."""
    file = read_model(golden_bundle.model)
    assert any(operator.name == "MEAN" for operator in file.operators)
    model = golden_bundle.model.replace(struct.pack("<i", 40), struct.pack("<i", 9_999))
    assert model != golden_bundle.model
    with pytest.raises((GateError, DrsnEdgeError)):
        run_gate(written(with_model(golden_bundle, model), tmp_path / "b.drsn"))


def test_junk_in_place_of_a_model_is_refused(golden_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(GateError):
        run_gate(written(with_model(golden_bundle, b"no model at all"), tmp_path / "b.drsn"))


@pytest.mark.parametrize(
    ("budget", "words"), [(Budget(1e-6, 200.0), "ms for a window"), (Budget(500.0, 1e-3), "MB for")]
)
def test_one_that_costs_too_much_is_refused(golden_bundle: Bundle, tmp_path: Path, budget: Budget, words: str) -> None:
    costly = versioned(golden_bundle, "1.0.0", budget=budget)
    with pytest.raises(GateError, match=words):
        run_gate(written(costly, tmp_path / "b.drsn"))


def test_one_that_does_not_return_is_refused(golden_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(GateError, match="too slow"):
        run_gate(written(golden_bundle, tmp_path / "b.drsn"), timeout_s=0.01)


def test_one_without_golden_vectors_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(GateError, match="golden vectors"):
        run_gate(written(tiny_bundle, tmp_path / "b.drsn"))


def test_an_interpreter_that_is_off_is_refused() -> None:
    measured = Measured("litert", 16, 0, 3.1, 9, 0.1, 0.2, 10.0)
    with pytest.raises(GateError, match=r"litert within 3 steps .* 3\.10 away, 9 at worst"):
        judge(measured, 3.0, None, None)
    judge(measured, 3.2, None, None)
    judge(replace(measured, reference_differs=None), 3.2, None, None)


def test_the_life_of_a_bundle_on_a_gateway(
    golden_bundle: Bundle, store: SlotStore, signed: Callable[[Bundle], bytes]
) -> None:
    store.install(signed(golden_bundle))
    store.confirm()
    store.install(signed(versioned(golden_bundle, "1.1.0")))
    store.confirm()
    with pytest.raises(VersionFloorError):
        store.install(signed(golden_bundle))  # the old bundle, replayed
    low = versioned(golden_bundle, "1.2.0", floor="1.0.0")
    store.install(signed(low))
    store.confirm()
    with pytest.raises(VersionFloorError):
        store.install(signed(golden_bundle))  # a low floor lowers nothing


def test_what_is_not_signed_is_not_written(golden_bundle: Bundle, store: SlotStore, tmp_path: Path) -> None:
    with pytest.raises(UnsignedError):
        store.install(bundle_to_bytes(golden_bundle))
    assert [path.name for path in (tmp_path / "state" / "bundles").iterdir() if path.suffix == ".drsn"] == []
    assert "UnsignedError" in str(store.log()[-1]["why"])


def test_no_byte_of_a_small_bundle_can_be_changed(
    tiny_bundle: Bundle, store: SlotStore, signed: Callable[[Bundle], bytes]
) -> None:
    data = signed(tiny_bundle)
    assert store.check(data).name == "tiny"
    for position in range(len(data)):
        with pytest.raises(BundleError):
            store.check(data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :])


def test_no_truncated_bundle_is_taken(tiny_bundle: Bundle, store: SlotStore, signed: Callable[[Bundle], bytes]) -> None:
    data = signed(tiny_bundle)
    for length in range(len(data)):
        with pytest.raises(BundleError):
            store.check(data[:length])


@pytest.mark.parametrize("changes", [{"sample_rate_hz": 5000.0}, {"axes": ("y", "x")}])
def test_a_bundle_for_another_sensor_must_be_asked_for(
    golden_bundle: Bundle, tmp_path: Path, store: SlotStore, signed: Callable[[Bundle], bytes], changes: dict[str, Any]
) -> None:
    store.install(signed(golden_bundle))
    store.confirm()
    other = versioned(golden_bundle, "2.0.0", contract=replace(golden_bundle.manifest.contract, **changes))
    with pytest.raises(ContractError, match=r"bundle that runs here.*--new-contract"):
        store.install(signed(other))
    open_store("a test", tmp_path / "state", tmp_path / "trusted", new_contract=True).install(signed(other))


def test_why_a_bundle_was_refused_is_kept(
    golden_bundle: Bundle, store: SlotStore, signed: Callable[[Bundle], bytes]
) -> None:
    store.install(signed(golden_bundle))
    store.confirm()
    before = store.start()
    with pytest.raises(GateError):
        store.install(signed(versioned(golden_bundle, "3.0.0", budget=Budget(1e-6, 200.0))))
    assert store.start() == before
    entry = store.log()[-1]
    assert entry["event"] == "refused" and "GateError: Expected at most 1e-06 ms" in str(entry["why"])
    json.dumps(entry)
