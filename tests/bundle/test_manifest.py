"""Manifest and contract: what is refused, in what words, and that nothing else comes out of any JSON."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import expect, refused

from drsn_edge.bundle.bundle import Bundle
from drsn_edge.bundle.manifest import Budget, manifest_from_bytes, manifest_to_bytes
from drsn_edge.errors import BundleError, ContractError
from drsn_edge.signal.contract import (
    SignalContract,
    contract_from_json,
    contract_to_json,
    stream_factor,
)
from drsn_edge.signal.decimation import Decimation

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([10**400, -(2**63), "x"]),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=8,
)

FIELDS = [
    ("schema",), ("name",), ("version",), ("labels",), ("labels", 0), ("input",), ("input", "name"), ("input", "shape"),
    ("input", "shape", 2), ("input", "scale"), ("input", "zero_point"), ("outputs",), ("outputs", 0),
    ("outputs", 0, "shape"), ("parts",), ("parts", "model.tflite"), ("parts", "model.tflite", "sha256"), ("generator",),
    ("contract",), ("contract", "sample_rate_hz"), ("contract", "axes"), ("contract", "axes", 0), ("contract", "unit"),
    ("contract", "window"), ("contract", "hop"), ("contract", "scaling"), ("contract", "scaling", "kind"),
    ("contract", "scaling", "divisor"), ("budget", "latency_ms"),
    ("promise", "temperature"), ("promise", "held_out"), ("promise", "folds"), ("promise", "windows"),
    ("promise", "curve"), ("promise", "curve", 0), ("promise", "curve", 0, "limit"), ("promise", "curve", 0, "wrong"),
]  # fmt: skip
OPTIONAL = [
    ("floor",), ("votes",), ("unknown_share",), ("noise_limit",), ("golden_tolerance_lsb",),
    ("golden_tolerance_novelty",),
    ("operators",), ("operators", 0), ("budget",), ("promise",),
]  # fmt: skip


def values_of(bundle: Bundle) -> dict[str, Any]:
    return json.loads(manifest_to_bytes(bundle.manifest))


def written(values: Any) -> bytes:
    """Return values in the one form that a manifest has."""
    return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(errors="surrogatepass")


def changed(values: Any, path: tuple[Any, ...], value: Any) -> Any:
    values = deepcopy(values)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return values


def test_round_trip(bundle: Bundle) -> None:
    data = manifest_to_bytes(bundle.manifest)
    assert manifest_from_bytes(data) == bundle.manifest
    assert manifest_to_bytes(manifest_from_bytes(data)) == data


def test_what_is_not_known_is_left_out(bundle: Bundle) -> None:
    names = ("floor", "votes", "unknown_share", "noise_limit", "golden_tolerance_lsb", "operators", "budget", "promise")
    nothing: dict[str, Any] = dict.fromkeys(names)
    bare = replace(bundle.manifest, **nothing)
    assert not set(names) & set(json.loads(manifest_to_bytes(bare)))
    assert manifest_from_bytes(manifest_to_bytes(bare)) == bare
    assert (bare.lowest_version, bundle.manifest.lowest_version) == ("1.2.3", "1.0.0")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("floor", "1.2.4"),
        ("floor", "x"),
        ("votes", "5/4"),
        ("votes", "0/4"),
        ("votes", "2/5"),
        ("votes", "4"),
        ("unknown_share", -0.1),
        ("noise_limit", 0.0),
        ("noise_limit", 1.1),
        ("budget", Budget(0.0, 1.0)),
        ("version", "1.2.9999999999"),
    ],
)
def test_impossible_wishes_are_refused(bundle: Bundle, field: str, value: Any) -> None:
    changes = {field: value}
    with refused(BundleError, "invalid_field", field=field, got=value):
        replace(bundle.manifest, **changes)


def test_unknown_fields_are_left_alone(bundle: Bundle) -> None:
    values = values_of(bundle)
    for inner in (values, values["contract"], values["contract"]["scaling"], values["input"], values["outputs"][0]):
        inner["later"] = {"anything": [1, None]}
    assert manifest_from_bytes(written(values)) == bundle.manifest


@given(path=st.sampled_from(FIELDS + OPTIONAL), value=JSON)
def test_any_value_anywhere_is_taken_as_it_is_or_refused(bundle: Bundle, path: tuple[Any, ...], value: Any) -> None:
    """What is taken must come out again: nothing is cut, rounded or turned into a text on the way."""
    values = changed(values_of(bundle), path, value)
    try:
        found = manifest_from_bytes(written(values))
    except BundleError:
        return
    again = values_of(Bundle(found, b""))
    for key in path:
        if path[-1] not in (
            "contract",
            "scaling",
            "input",
            "parts",
            "budget",
            "promise",
        ):  # those may hold unknown fields
            values, again = values[key], again[key]
    assert again == values


@given(
    name=st.sampled_from(["labels", "input", "outputs", "operators", "promise", "golden_tolerance_novelty", "parts"]),
    value=JSON,
)
def test_no_value_makes_half_a_network(healthy_bundle_of_noise: Bundle, name: str, value: Any) -> None:
    try:
        found = manifest_from_bytes(written({**values_of(healthy_bundle_of_noise), name: value}))
    except BundleError:
        return
    assert not found.has_network and len(found.labels) == 1 and found.outputs == () and found.promise is None


@given(JSON | st.binary())
def test_foreign_json_is_no_manifest(value: Any) -> None:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(BundleError):
        manifest_from_bytes(data)


def test_deep_nesting_is_no_manifest() -> None:
    with pytest.raises(BundleError):
        manifest_from_bytes(b"[" * 200_000)


@pytest.mark.parametrize(
    "path", [path for path in FIELDS if path not in (("parts", "model.tflite"), ("input",))], ids=str
)
def test_missing_fields_are_refused(bundle: Bundle, path: tuple[Any, ...]) -> None:
    values = values_of(bundle)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    with pytest.raises(BundleError) as raised:
        manifest_from_bytes(written(values))
    if isinstance(path[-1], int):  # a list with one item less
        assert raised.value.problem == "invalid_field"
    else:
        expect(raised.value, BundleError, "missing_field", field=path[-1])


@pytest.mark.parametrize(("schema", "cure"), [(3, "Update"), (99, "Update"), (1, "Convert"), (0, "Convert")])
def test_another_schema_asks_for_an_update_or_for_another_conversion(bundle: Bundle, schema: int, cure: str) -> None:
    values = changed(values_of(bundle), ("schema",), schema)
    with refused(BundleError, "other_schema", expected=2, got=schema) as caught:
        manifest_from_bytes(written(values))
    assert f". {cure}" in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"input": None},
        {"input": None, "outputs": ()},
        {"input": None, "labels": ("healthy",)},
        {"golden_tolerance_novelty": 0.01},
    ],
)
def test_a_network_is_described_completely_or_not_at_all(bundle: Bundle, changes: dict[str, Any]) -> None:
    with refused(BundleError, "invalid_field"):
        replace(bundle.manifest, **changes)


@pytest.mark.parametrize("name", ["golden_tolerance_lsb", "operators", "promise", "outputs"])
def test_what_belongs_to_a_network_is_refused_without_one(
    bundle: Bundle, healthy_bundle_of_noise: Bundle, name: str
) -> None:
    changes = {name: getattr(bundle.manifest, name)}
    with refused(BundleError, "invalid_field", field=name):
        replace(healthy_bundle_of_noise.manifest, **changes)


@pytest.mark.parametrize(
    "labels", [(), ("healthy", "worn"), ("",), ("UNKNOWN",), ("outer_race",), ("healthy", "normal")]
)
def test_a_bundle_without_a_network_has_one_label(healthy_bundle_of_noise: Bundle, labels: tuple[str, ...]) -> None:
    with refused(BundleError, "invalid_field", field="labels"):
        replace(healthy_bundle_of_noise.manifest, labels=labels)


@pytest.mark.parametrize(
    ("path", "value", "problem", "facts"),
    [
        (("name",), "two words", "invalid_field", {"field": "name"}),
        (("name",), "../up", "invalid_field", {"field": "name"}),
        (("name",), "a" * 65, "invalid_field", {"field": "name"}),
        (("version",), "1.0", "invalid_field", {"field": "version"}),
        (("version",), "1.0.0\n", "not_a_text", {"field": "version"}),
        (("labels",), ["a", "a"], "invalid_field", {"field": "labels", "expected": "two or more different texts"}),
        (("labels",), ["a"], "invalid_field", {"field": "labels", "expected": "two or more different texts"}),
        (("labels",), "ab", "not_a_list", {"field": "labels"}),
        (("labels",), ["a", "b", "c"], "invalid_field", {"field": "logits", "got": (1, 2)}),
        (("labels",), ["a", "line\nbreak"], "not_a_text", {"field": "labels"}),
        (("labels",), ["a", "\ud800"], "not_a_text", {"field": "labels"}),
        (("outputs",), [], "invalid_field", {"field": "outputs", "expected": "the logits first"}),
        (("outputs", 0, "name"), "scores", "invalid_field", {"field": "outputs"}),
        (("contract", "axes"), ["x"], "invalid_field", {"field": "input"}),
        (("contract", "window"), 65, "invalid_field", {"field": "input"}),
        (("parts", "model.tflite", "sha256"), "0" * 63, "invalid_field", {"field": "parts"}),
        (("input", "scale"), 0.0, "not_int8", {"tensor": "window"}),
        (("input", "zero_point"), 128, "not_int8", {"tensor": "window"}),
    ],
)
def test_impossible_values_are_named(
    bundle: Bundle, path: tuple[Any, ...], value: Any, problem: str, facts: dict[str, Any]
) -> None:
    with refused(BundleError, problem, **facts):
        manifest_from_bytes(written(changed(values_of(bundle), path, value)))


@pytest.mark.parametrize(
    ("path", "value", "problem", "field"),
    [
        (("axes",), "xy", "not_a_list", "axes"),
        (("axes",), ["x", "x"], "contract_out_of_range", None),
        (("window",), 64.0, "not_whole", "window"),
        (("hop",), True, "not_whole", "hop"),
        (("hop",), 0, "contract_out_of_range", None),
        (("scaling", "kind"), "peak", "contract_out_of_range", None),
    ],
)
def test_impossible_values_of_the_contract_are_named(
    bundle: Bundle, path: tuple[Any, ...], value: Any, problem: str, field: str | None
) -> None:
    facts = {} if field is None else {"field": field}
    with refused(BundleError, problem, **facts):
        manifest_from_bytes(written(changed(values_of(bundle), ("contract", *path), value)))


@pytest.mark.parametrize("key", [("sample_rate_hz",), ("scaling", "divisor")])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 0.0, -1.0, True, "4000", None, 10**400])
def test_numbers_that_no_contract_has(tiny_contract: SignalContract, key: tuple[str, ...], number: Any) -> None:
    with pytest.raises(ContractError):
        contract_from_json(changed(contract_to_json(tiny_contract), key, number))


@pytest.mark.parametrize("key", ["window", "hop"])
@pytest.mark.parametrize("number", [math.nan, math.inf, 0, -1, True, 1.5, "64", None])
def test_sizes_that_no_contract_has(tiny_contract: SignalContract, key: str, number: Any) -> None:
    with pytest.raises(ContractError):
        contract_from_json({**contract_to_json(tiny_contract), key: number})


def with_filter(bundle: Bundle) -> dict[str, Any]:
    """Return the manifest's values with the plainest anti-alias filter: the mean of a few samples."""
    contract = replace(bundle.manifest.contract, decimation=Decimation(4, (1.0,) * 2 + (0.5,) + (0.0,) * 2))
    return json.loads(manifest_to_bytes(replace(bundle.manifest, contract=contract)))


def test_the_filter_travels_and_a_manifest_without_one_stays_valid(bundle: Bundle) -> None:
    assert "decimation" not in values_of(bundle)["contract"]
    assert manifest_from_bytes(manifest_to_bytes(bundle.manifest)).contract.decimation is None
    read = manifest_from_bytes(written(with_filter(bundle)))
    assert read.contract.decimation == Decimation(4, (1.0, 1.0, 0.5, 0.0, 0.0))
    assert json.loads(manifest_to_bytes(read)) == with_filter(bundle)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("per_sample", 3, "filter_out_of_range"),
        ("per_sample", "4", "not_whole"),
        ("taps", "AACAfw==", "filter_out_of_range"),
        ("taps", "AAAA", "filter_out_of_range"),
        ("taps", "AA\n", "not_base64"),
        ("taps", None, "filter_out_of_range"),
        ("taps", "A" * 100_000, "filter_out_of_range"),
    ],
)
def test_a_bad_filter_is_named(bundle: Bundle, key: str, value: Any, problem: str) -> None:
    with refused(BundleError, problem, field=key):
        manifest_from_bytes(written(changed(with_filter(bundle), ("contract", "decimation", key), value)))


@pytest.mark.parametrize("value", [None, 1, "taps", [], {}, {"taps": ""}, True])
def test_what_is_no_filter_is_refused(bundle: Bundle, value: Any) -> None:
    with pytest.raises(BundleError):
        manifest_from_bytes(written(changed(with_filter(bundle), ("contract", "decimation"), value)))


def test_a_long_value_does_not_fill_the_screen(bundle: Bundle) -> None:
    values = changed(values_of(bundle), ("name",), "a" * 100_000)
    with pytest.raises(BundleError) as caught:
        manifest_from_bytes(written(values))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("other", ["", "b\n", " ", "b ", " b", "a\u202e", "UNKNOWN", "NO_VERDICT"])
def test_a_manifest_that_could_not_be_read_back_or_told_apart_is_not_made(bundle: Bundle, other: str) -> None:
    with refused(BundleError, "invalid_field", field="labels"):
        replace(bundle.manifest, labels=("a", other))


@pytest.mark.parametrize(("unit", "factor"), [("g", 1.0), ("mg", 0.001), ("m/s2", 1 / 9.80665)])
def test_units_are_converted(tiny_contract: SignalContract, unit: str, factor: float) -> None:
    assert stream_factor(tiny_contract, 4000.0, ("x", "y"), unit) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("rate_hz", "axes", "unit", "problem", "facts"),
    [
        (4081.0, ("x", "y"), "g", "other_rate", {"expected": 4000.0, "got": 4081.0, "source": "sensor"}),
        (3919.0, ("x", "y"), "g", "other_rate", {"expected": 4000.0, "got": 3919.0}),
        (math.nan, ("x", "y"), "g", "other_rate", {"expected": 4000.0, "got": math.nan}),
        (4000.0, ("y", "x"), "g", "other_axes", {"expected": ("x", "y"), "got": ("y", "x"), "source": "sensor"}),
        (4000.0, ("x", "y", "z"), "g", "other_axes", {"expected": ("x", "y"), "got": ("x", "y", "z")}),
        (4000.0, ("x", "y"), "counts", "no_conversion", {"expected": "g", "got": "counts"}),
        (4000.0, ("x", "y"), "G", "no_conversion", {"expected": "g", "got": "G"}),
    ],
)
def test_another_signal_is_refused(
    tiny_contract: SignalContract,
    rate_hz: float,
    axes: tuple[str, ...],
    unit: str,
    problem: str,
    facts: dict[str, object],
) -> None:
    with refused(ContractError, problem, **facts):
        stream_factor(tiny_contract, rate_hz, axes, unit)


def test_another_rate_is_told_in_percent(tiny_contract: SignalContract) -> None:
    with refused(ContractError, "other_rate") as caught:
        stream_factor(tiny_contract, 4081.0, ("x", "y"), "g")
    assert "+2.0%" in str(caught.value)


@pytest.mark.parametrize("rate_hz", [3921.0, 4000.0, 4079.0])
def test_a_rate_within_two_percent_is_taken(tiny_contract: SignalContract, rate_hz: float) -> None:
    assert stream_factor(tiny_contract, rate_hz, ("x", "y"), "g") == 1.0


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.replace(b"{", b'{"name": "other", ', 1),
        lambda text: text.replace(b"{", b'{\n "name": "other",', 1),
        lambda text: text.replace(b'"tiny"', b'"\\u0074iny"'),
        lambda text: text.rstrip(),
        lambda text: text + b"\n",
        lambda text: text.replace(b": ", b":"),
        lambda text: text.replace(b"4000.0", b"4000.00"),
        lambda text: text.replace(b"4000.0", b"4e3"),
        lambda text: json.dumps(json.loads(text)).encode(),
        lambda text: text.decode().encode("utf-16-le"),
        lambda text: b"\xef\xbb\xbf" + text,
    ],
)
def test_a_manifest_has_one_form(bundle: Bundle, form: Any) -> None:
    text = manifest_to_bytes(bundle.manifest)
    assert form(text) != text
    with pytest.raises(BundleError):
        manifest_from_bytes(form(text))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("generator",), "x" * 1001),
        (("labels",), ["x" * 101, "y"]),
        (("labels",), [f"label {n}" for n in range(1001)]),
        (("operators",), ["ADD"] * 4097),
        (("contract", "window"), 1 << 21),
        (("contract", "hop"), 1 << 21),
        (("contract", "axes"), [f"axis {n}" for n in range(17)]),
        (("contract", "unit"), "g\u202e"),
        (("labels", 0), "calm\u001b[31m"),
    ],
)
def test_a_manifest_is_bounded_in_size_and_characters(bundle: Bundle, path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises((BundleError, ContractError)):
        manifest_from_bytes(written(changed(values_of(bundle), path, value)))
