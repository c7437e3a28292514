"""What a bundle must be and do on a gateway: signed, for this sensor, and as good here as where it was made."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.bundle.bundle import Bundle, bundle_to_bytes, read_bundle, sha256, with_extra
from drsn_edge.bundle.manifest import Budget
from drsn_edge.bundle.open_model import novelty_of
from drsn_edge.bundle.variants import EDGETPU_MODEL
from drsn_edge.errors import BundleError, ContractError, GateError, UnsignedError
from drsn_edge.gateway.health_gate import Measured, judge, run_gate
from drsn_edge.gateway.local_store import open_store
from drsn_edge.signal.bearing import SKF_6205
from drsn_edge.signal.likeness import LABELS
from drsn_edge.signal.naming import NAMES, Level, Look
from drsn_edge.signal.novelty import novelty_to_bytes
from drsn_edge.signal.resemblance import Naming, learn_naming, naming_to_bytes
from drsn_edge.signal.shaft_lines import ORDERS
from firmware_bridge.errors import VersionFloorError
from firmware_bridge.gateway.store import SlotStore
from quantize.errors import QuantizeError
from quantize.tflite.file import read_model


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
    assert (
        measured.windows == 16
        and measured.reference_differs == 0
        and measured.rms_lsb is not None
        and measured.rms_lsb < 3
    )
    assert 0 < measured.latency_ms <= measured.latency_p99_ms < 500
    assert 0 < measured.memory_mb < 200


def test_a_bundle_without_a_network_passes_where_its_novelties_are_the_golden_ones(
    healthy_bundle_of_noise: Bundle, tmp_path: Path
) -> None:
    measured = run_gate(written(healthy_bundle_of_noise, tmp_path / "b.drsn"))
    assert measured.windows == 16 and measured.runtime is measured.rms_lsb is measured.worst_lsb is None
    assert measured.worst_novelty is not None and measured.worst_novelty < 1e-3
    assert 0 < measured.latency_ms <= measured.latency_p99_ms < 500


def with_another_limit(bundle: Bundle) -> Bundle:
    """Return a bundle without a network whose novelty changed after its golden windows were made."""
    novelty = novelty_of(bundle)
    assert novelty is not None
    return with_extra(bundle, "novelty.npz", novelty_to_bytes(replace(novelty, limits=0.9 * novelty.limits)))


WITHOUT_A_NETWORK = {
    "another novelty": (with_another_limit, "deviates"),
    "no golden windows": (
        lambda bundle: replace(
            bundle,
            extras={"novelty.npz": bundle.extras["novelty.npz"]},
            manifest=replace(bundle.manifest, parts={"novelty.npz": bundle.manifest.parts["novelty.npz"]}),
        ),
        "no_golden_vectors",
    ),
    "too slow": (lambda bundle: versioned(bundle, "1.0.0", budget=Budget(1e-6, 200.0)), "over_latency_budget"),
}


@pytest.mark.parametrize("what", WITHOUT_A_NETWORK)
def test_a_bundle_without_a_network_that_does_not_do_as_it_should_is_refused(
    healthy_bundle_of_noise: Bundle, store: SlotStore, signed: Callable[[Bundle], bytes], what: str
) -> None:
    spoil, problem = WITHOUT_A_NETWORK[what]
    store.install(signed(healthy_bundle_of_noise))
    store.confirm()
    with refused(GateError, problem):
        store.install(signed(versioned(spoil(healthy_bundle_of_noise), "1.1.0")))
    assert store.active().slot.version == "1.0.0"


def with_a_weight_changed(bundle: Bundle) -> Bundle:
    """Return the bundle with one bit of its heaviest weight flipped, digests and all else as its author would ship."""
    file = read_model(bundle.network)
    weights = max((each.data for each in file.tensors if each.data is not None and each.type == "INT8"), key=len)
    heaviest = int(np.argmax(np.abs(np.frombuffer(weights, np.int8).astype(int))))
    model = bytearray(bundle.network)
    model[bundle.model.index(weights) + heaviest] ^= 0x80
    return with_model(bundle, bytes(model))


def with_an_operator_of_the_future(bundle: Bundle) -> Bundle:
    """Return the bundle with a version of its operators that no runtime has, as when a kernel is too old."""
    model = bytearray(bundle.network)
    root = int.from_bytes(model[:4], "little")
    codes = _vector(model, _field(model, root, 1))
    versions = [at for code in codes if (at := _field(model, code, 2)) is not None]  # OperatorCode.version, unless 1
    assert versions
    for at in versions:
        model[at : at + 4] = (999).to_bytes(4, "little")
    return with_model(bundle, bytes(model))


def _field(data: bytearray, table: int, number: int) -> int | None:
    """Return where a field of a flatbuffer's table lies."""
    vtable = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    entry = vtable + 4 + 2 * number
    if entry >= vtable + int.from_bytes(data[vtable : vtable + 2], "little"):
        return None
    offset = int.from_bytes(data[entry : entry + 2], "little")
    return table + offset if offset else None


def _vector(data: bytearray, at: int | None) -> list[int]:
    """Return where the tables of a vector lie."""
    assert at is not None
    start = at + int.from_bytes(data[at : at + 4], "little")
    places = range(start + 4, start + 4 + 4 * int.from_bytes(data[start : start + 4], "little"), 4)
    return [place + int.from_bytes(data[place : place + 4], "little") for place in places]


BAD = {
    "one weight changed": (with_a_weight_changed, "other_weights"),
    "an operator that the runtime lacks": (with_an_operator_of_the_future, "cannot_load"),
    "too slow": (lambda bundle: versioned(bundle, "1.0.0", budget=Budget(1e-6, 200.0)), "over_latency_budget"),
    "too big": (lambda bundle: versioned(bundle, "1.0.0", budget=Budget(500.0, 1e-3)), "over_memory_budget"),
    "no model": (lambda bundle: with_model(bundle, b"no model at all"), "cannot_load"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_does_not_run_as_it_should_is_refused_and_the_old_one_goes_on(
    golden_bundle: Bundle, store: SlotStore, signed: Callable[[Bundle], bytes], what: str
) -> None:
    spoil, problem = BAD[what]
    store.install(signed(golden_bundle))
    store.confirm()
    before = store.start()
    with refused(GateError, problem) as caught:
        store.install(signed(versioned(spoil(golden_bundle), "1.1.0")))
    assert store.start() == before
    entry = store.log()[-1]
    assert entry["event"] == "refused" and str(caught.value)[:60] in str(entry["why"])


def test_one_that_does_not_return_is_refused(golden_bundle: Bundle, tmp_path: Path) -> None:
    with refused(GateError, "too_slow", limit_s=0.01):
        run_gate(written(golden_bundle, tmp_path / "b.drsn"), timeout_s=0.01)


def test_one_without_golden_vectors_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with refused(GateError, "no_golden_vectors", path=tmp_path / "b.drsn"):
        run_gate(written(tiny_bundle, tmp_path / "b.drsn"))


def test_an_interpreter_that_is_off_is_refused() -> None:
    measured = Measured("litert", 16, 0, 3.1, 9, None, 0.1, 0.2, 10.0)
    with refused(GateError, "deviates", runtime="litert", got=3.1, worst=9, limit=3.0):
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


@pytest.mark.parametrize(
    ("changes", "problem"), [({"sample_rate_hz": 5000.0}, "other_rate"), ({"axes": ("y", "x")}, "other_axes")]
)
def test_a_bundle_for_another_sensor_must_be_asked_for(
    golden_bundle: Bundle,
    tmp_path: Path,
    store: SlotStore,
    signed: Callable[[Bundle], bytes],
    changes: dict[str, Any],
    problem: str,
) -> None:
    store.install(signed(golden_bundle))
    store.confirm()
    other = versioned(golden_bundle, "2.0.0", contract=replace(golden_bundle.manifest.contract, **changes))
    with refused(ContractError, problem, source="bundle that runs here") as caught:
        store.install(signed(other))
    assert "--new-contract" in str(caught.value)
    open_store("a test", tmp_path / "state", tmp_path / "trusted", new_contract=True).install(signed(other))


# --- Members beside the model --------------------------------------------------------------------------------------


def claimed(shape: str, content: bytes) -> bytes:
    """Return an array of NumPy's format that claims a shape."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


def novelty_member(deflated: bool = False, **changes: Any) -> bytes:
    """Return novelty.npz for two axes, changed by members: arrays, or bytes as they are."""
    values = {
        "lines": np.array(4), "whitening": np.eye(8, dtype=np.float32), "prototypes": np.zeros((2, 8), np.float32),
        "limits": np.full(2, 1e3, np.float32), "quietest_rms": np.array(1e-3), "loudest_rms": np.array(1e3), **changes,
    }  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as file:
        for name, value in values.items():
            member = io.BytesIO()
            if isinstance(value, bytes):
                member.write(value)
            else:
                np.lib.format.write_array(member, value)
            file.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


MEMBERS = {
    "petabytes": ("novelty.npz", novelty_member(whitening=claimed("(1000000, 1000000, 1000)", bytes(64)))),
    "a bomb": ("novelty.npz", novelty_member(deflated=True, prototypes=np.zeros((1_500_000, 8), np.float32))),
    "too many prototypes": ("novelty.npz", novelty_member(prototypes=np.zeros((5000, 8), np.float32))),
    "more bands than the window has": (
        "novelty.npz", novelty_member(lines=np.array(40), whitening=np.eye(80), prototypes=np.zeros((2, 80))),
    ),
    "no numbers": ("novelty.npz", novelty_member(whitening=np.full((8, 8), 3e38, np.float32))),
    "no whole number": ("novelty.npz", novelty_member(lines=np.array(np.inf))),
    "a limit without end": ("novelty.npz", novelty_member(limits=np.full(2, np.inf, np.float32))),
    "golden petabytes": ("golden.npz", novelty_member(counts=claimed("(1000000, 1000000, 1000)", bytes(64)))),
    "a report that nests": ("report.json", b"[" * 200_000),
    "a report that is none": ("report.json", b"\xff\xfe"),
    "a report of huge numbers": ("report.json", b'{"schema": ' + b"9" * 4000 + b"}"),
    "a report that is long": ("report.json", b" " * ((4 << 20) + 1)),
    "a compiled model that is none": ("model.edgetpu.tflite", b"TFL3" * 100),
}  # fmt: skip


@pytest.mark.parametrize("what", MEMBERS)
def test_the_gate_reads_every_member_under_its_limits(
    golden_bundle: Bundle, store: SlotStore, signed: Callable[[Bundle], bytes], what: str
) -> None:
    store.install(signed(golden_bundle))
    store.confirm()
    before = store.start()
    name, data = MEMBERS[what]
    if name == "model.edgetpu.tflite":
        name = EDGETPU_MODEL
    with pytest.raises((GateError, BundleError, QuantizeError)):
        store.install(signed(with_extra(versioned(golden_bundle, "1.1.0"), name, data)))
    assert store.start() == before and store.log()[-1]["event"] == "refused"


@pytest.mark.parametrize("what", ["petabytes", "a bomb", "no numbers", "golden petabytes", "a report that nests"])
def test_the_gate_reads_the_members_of_a_bundle_without_a_network_under_the_same_limits(
    healthy_bundle_of_noise: Bundle, tmp_path: Path, what: str
) -> None:
    with pytest.raises(GateError):
        run_gate(written(with_extra(healthy_bundle_of_noise, *MEMBERS[what]), tmp_path / "b.drsn"))


def test_the_gate_reads_what_changes_are_named_by(
    healthy_bundle_of_noise: Bundle, naming: Naming, tmp_path: Path
) -> None:
    plain = healthy_bundle_of_noise
    named = Bundle(replace(plain.manifest, labels=("healthy", *LABELS)), None, plain.extras)
    good = with_extra(named, "naming.npz", naming_to_bytes(naming))
    assert run_gate(written(good, tmp_path / "good.drsn")).windows > 0
    with pytest.raises(GateError):
        run_gate(written(with_extra(named, "naming.npz", b"PK\3\4 nothing"), tmp_path / "bad.drsn"))
    (tmp_path / "lacks.drsn").write_bytes(bundle_to_bytes(named))
    with refused(BundleError, "members_missing"):
        read_bundle(tmp_path / "lacks.drsn")


@pytest.fixture
def naming() -> Naming:
    """Return what changes are named by at 25 turns per second."""
    seen = Look(dict.fromkeys(NAMES, Level(5.0, 1.0)), 1.0, 0.0, np.zeros(len(ORDERS)))
    return learn_naming({25.0: [seen]}, SKF_6205, 2)


def test_the_gate_takes_members_as_they_should_be(golden_bundle: Bundle, tmp_path: Path) -> None:
    bundle = with_extra(with_extra(golden_bundle, "novelty.npz", novelty_member()), "report.json", b"{}")
    assert run_gate(written(bundle, tmp_path / "b.drsn")).windows == 16


def test_too_little_memory_while_a_bundle_is_opened_is_a_fault_of_that_bundle(tmp_path: Path) -> None:
    from drsn_edge.monitor.judging import bundle_faults

    for raised in (MemoryError(), ZeroDivisionError("x"), np.linalg.LinAlgError("singular")):
        with refused(BundleError, "cannot_open", path=tmp_path, kind=type(raised).__name__), bundle_faults(tmp_path):
            raise raised
    with pytest.raises(ContractError), bundle_faults(tmp_path):
        raise ContractError("what fits a sensor is said as it is")
