"""What each target runs: networks with one operator between two convolutions, compared with the interpreter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from refusals import refused

from quantize.errors import ModelFileError, QuantizeError, TargetError
from quantize.targets.edgetpu import edgetpu_mapped
from quantize.targets.lint import lint, lint_file
from quantize.targets.names import TARGETS
from quantize.targets.placement import count_partitions
from quantize.targets.xnnpack import xnnpack_placement
from quantize.tflite.file import ModelFile, Operator, Tensor, read_model

STEPS, CHANNELS = 32, 8

COUNT_DELEGATES = """
import sys
from ai_edge_litert.interpreter import Interpreter
for path in sys.argv[1:]:
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    print(sum(each["op_name"] == "DELEGATE" for each in interpreter._get_ops_details()))
"""


def conv(x: Any, filters: int, **options: Any) -> Any:
    shape = (1, 3, int(x.shape[-1]), filters)
    kernel = np.random.default_rng(filters).normal(size=shape).astype(np.float32)
    return tf.nn.conv2d(x, kernel, 1, "SAME", **options) + np.linspace(-1, 1, filters, dtype=np.float32)


def dense(x: Any, *, bias: bool = True) -> Any:
    flat = tf.reshape(x, (1, STEPS * CHANNELS))
    y = flat @ np.random.default_rng(1).normal(size=(STEPS * CHANNELS, STEPS * CHANNELS)).astype(np.float32)
    y = y + np.linspace(-1, 1, STEPS * CHANNELS, dtype=np.float32) if bias else y
    return tf.reshape(y, (1, 1, STEPS, CHANNELS))


FORMS: dict[str, Callable[[Any], Any]] = {
    "add": lambda x: x + conv(x, CHANNELS),
    "soft-threshold": lambda x: tf.nn.relu(x - 0.1) - tf.nn.relu(tf.nn.relu(x * -1.0) - 0.1),
    "zero-minus": lambda x: 0.0 - x,
    "one-minus": lambda x: 1.0 - x,
    "mean": lambda x: x * tf.sigmoid(tf.reduce_mean(x, (1, 2), True)),
    "maximum": lambda x: tf.maximum(x, conv(x, CHANNELS)),
    "average-pool": lambda x: tf.nn.avg_pool2d(x, (1, 2), (1, 2), "SAME"),
    "max-pool": lambda x: tf.nn.max_pool2d(x, (1, 2), (1, 2), "SAME"),
    "max-pool-of-1": lambda x: tf.nn.max_pool2d(x, 1, (1, 2), "SAME"),
    "slice": lambda x: x[:, :, :16],
    "slice-of-constants": lambda x: tf.slice(x, (0, 0, 2, 0), (1, 1, 16, 4)),
    "strided-slice": lambda x: x[:, :, ::2],
    "abs": tf.abs,
    "leaky": lambda x: tf.nn.leaky_relu(x, -1.0),
    "leaky-by-little": lambda x: tf.nn.leaky_relu(x, -1e-4),
    "leaky-by-much": lambda x: tf.nn.leaky_relu(x, 200.0),
    "dense": dense,
    "dense-without-bias": lambda x: dense(x, bias=False),
    "dense-on-rows": lambda x: tf.linalg.matmul(x, np.eye(CHANNELS, dtype=np.float32)),
    "grouped": lambda x: tf.nn.conv2d(x, np.ones((1, 3, 4, CHANNELS), np.float32), 1, "SAME"),
    "dilated": lambda x: conv(x, CHANNELS, dilations=(1, 2)),
    "two-branches": lambda x: tf.abs(x) + conv(tf.abs(conv(x, CHANNELS)), CHANNELS),
    "two-cuts": lambda x: tf.abs(conv(tf.abs(x), CHANNELS)),
    "sign": lambda x: tf.sign(x) * tf.nn.relu(tf.abs(x) - 0.1),
    "pack": lambda x: tf.reshape(tf.stack([x, x * 0.5]), (1, 1, 2 * STEPS, CHANNELS)),
}


def converted(form: Callable[[Any], Any], *, per_channel_dense: bool = True) -> bytes:
    spec = tf.TensorSpec((1, 1, STEPS, 2), tf.float32)

    def network(x: Any) -> Any:
        return conv(form(conv(x, CHANNELS)), 3)

    function = tf.function(network, autograph=False).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    windows = np.random.default_rng(0).normal(size=(8, 1, 1, STEPS, 2)).astype(np.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([window] for window in windows)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel_dense
    return bytes(converter.convert())


@pytest.fixture(scope="module")
def forms() -> dict[str, bytes]:
    files = {name: converted(form) for name, form in FORMS.items()}
    return {**files, "dense-per-tensor": converted(dense, per_channel_dense=False)}


def findings(data: bytes, target: str) -> str:
    return "; ".join(lint(data, target).findings)


# Our networks.


@pytest.mark.parametrize("target", TARGETS)
def test_our_network_for_the_edge_tpu_suits_every_target(int8_edgetpu: Any, target: str) -> None:
    report = lint(int8_edgetpu.data, target)
    assert (report.findings, report.target) == ((), target)


@pytest.mark.parametrize("target", ["cpu", "tflite-runtime"])
def test_our_network_for_xnnpack_suits_every_cpu(int8: Any, target: str) -> None:
    assert lint(int8.data, target).findings == ()


def test_our_network_is_one_partition_and_wholly_on_the_edge_tpu(int8: Any, int8_edgetpu: Any) -> None:
    assert xnnpack_placement(read_model(int8.data)).partitions == 1
    file = read_model(int8_edgetpu.data)
    assert xnnpack_placement(file).partitions == 1
    assert edgetpu_mapped(file) == len(file.operators)


def test_an_unknown_target_is_refused(int8: Any) -> None:
    with refused(TargetError, "unknown_target", target="gpu", choices=("cpu", "edgetpu", "tflite-runtime")):
        lint(int8.data, "gpu")


# XNNPACK, against the interpreter.


def test_partitions_are_those_that_the_interpreter_makes(
    forms: dict[str, bytes], int8: Any, int8_edgetpu: Any, tmp_path: Path
) -> None:
    """In a process of its own, as a user's is: nothing of TensorFlow has been loaded there."""
    files = {**forms, "our network": int8.data, "for the Edge TPU": int8_edgetpu.data}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", COUNT_DELEGATES, *(str(tmp_path / name) for name in files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    counted = dict(zip(files, map(int, done.stdout.split()), strict=True))
    assert {name: xnnpack_placement(read_model(data)).partitions for name, data in files.items()} == counted
    assert counted["our network"] == 1 and counted["zero-minus"] == 2 and counted["two-cuts"] == 3


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("zero-minus", "SUB has an input whose scale is"),
        ("maximum", "MAXIMUM has no fast int8 kernel"),
        ("average-pool", "AVERAGE_POOL_2D has no fast int8 kernel"),
        ("max-pool-of-1", "MAX_POOL_2D pools over a single position"),
        ("strided-slice", "STRIDED_SLICE has strides other than 1"),
        ("leaky-by-little", "LEAKY_RELU has slopes of"),
        ("sign", "float island"),
    ],
)
def test_what_leaves_xnnpack_is_named_with_its_reason(forms: dict[str, bytes], form: str, says: str) -> None:
    assert says in findings(forms[form], "cpu")


def test_what_stays_in_xnnpack_has_no_finding(forms: dict[str, bytes]) -> None:
    clean = {name for name, data in forms.items() if not lint(data).findings}
    stays = ("add", "soft-threshold", "one-minus", "mean", "max-pool", "slice", "slice-of-constants", "leaky", "dense")
    assert clean >= {*stays, "leaky-by-much", "grouped"}


# Partitions, by hand.


def chain(*kinds: bool) -> tuple[ModelFile, list[bool]]:
    tensors = tuple(Tensor(str(index), (1,), "INT8", (1.0,), (0,)) for index in range(len(kinds) + 1))
    operators = tuple(Operator("ADD", 1, (index,), (index + 1,)) for index in range(len(kinds)))
    return ModelFile(tensors, operators, (0,), (len(kinds),)), list(kinds)


@pytest.mark.parametrize(
    ("kinds", "partitions"),
    [((), 0), ((False,), 0), ((True, True), 1), ((True, False, True), 2), ((False, True, False, True, True), 2)],
)
def test_partitions_of_a_chain(kinds: tuple[bool, ...], partitions: int) -> None:
    assert count_partitions(*chain(*kinds)) == partitions


def test_an_operator_that_nobody_waits_for_joins_an_earlier_partition() -> None:
    """0 taken, 1 not taken behind 0, 2 taken and free: 0 and 2 are one piece though 1 lies between them."""
    file, _ = chain(True, False, True)
    free = replace(file, operators=(*file.operators[:2], Operator("ADD", 1, (0,), (3,))))
    assert count_partitions(free, [True, False, True]) == 1


def test_a_long_chain_is_counted_in_time() -> None:
    assert count_partitions(*chain(*([True, False] * 20_000))) == 20_000


def test_a_circle_is_refused() -> None:
    file, _ = chain(True)
    with refused(ModelFileError, "circle"):
        count_partitions(replace(file, operators=(Operator("ADD", 1, (1,), (1,)),)), [True])


# The Edge TPU.


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("abs", r"ABS is not among the Edge TPU's operators (operator 2 of 3; it and the 1 behind it run on the CPU)"),
        ("leaky", "LEAKY_RELU is not among"),
        ("grouped", "CONV_2D has version 6; the Edge TPU's compiler knows at most 3"),
        ("dilated", "CONV_2D has different dilations in its two dimensions (1 and 2)"),
        ("dense", "FULLY_CONNECTED is quantized per channel"),
        ("dense-without-bias", "FULLY_CONNECTED has no bias"),
        ("dense-on-rows", "FULLY_CONNECTED has version 5; the Edge TPU's compiler knows at most 4"),
        ("pack", "PACK works on 5 dimensions"),
    ],
)
def test_the_first_operator_that_does_not_map_is_named(forms: dict[str, bytes], form: str, says: str) -> None:
    assert says in lint(forms[form], "edgetpu").findings[0]


@pytest.mark.parametrize("form", ["add", "soft-threshold", "mean", "maximum", "average-pool", "dense-per-tensor"])
def test_what_coral_lists_maps(forms: dict[str, bytes], form: str) -> None:
    file = read_model(forms[form])
    assert lint_file(file, "edgetpu").findings == () and edgetpu_mapped(file) == len(file.operators)


def test_operators_behind_the_first_that_does_not_map_do_not_count(forms: dict[str, bytes]) -> None:
    assert edgetpu_mapped(read_model(forms["abs"])) == 1


def test_several_subgraphs_do_not_suit_the_edge_tpu(int8_edgetpu: Any) -> None:
    file = replace(read_model(int8_edgetpu.data), subgraphs=2)
    assert lint_file(file, "edgetpu").findings == ("the file has 2 sub-graphs, the Edge TPU takes one",)


def test_version_ceilings_and_shapes_are_looked_at_one_by_one(int8_edgetpu: Any) -> None:
    file = read_model(int8_edgetpu.data)

    def changed(name: str, version: int) -> ModelFile:
        newer = [replace(each, version=version) if each.name == name else each for each in file.operators]
        return replace(file, operators=tuple(newer))

    for name, ceiling in (("CONV_2D", 3), ("SUB", 2), ("MUL", 2), ("MEAN", 2), ("LOGISTIC", 2)):
        assert not lint_file(changed(name, ceiling), "edgetpu").findings
        assert f"{name} has version {ceiling + 1}" in lint_file(changed(name, ceiling + 1), "edgetpu").findings[0]
    batched = tuple(
        replace(t, shape=(2, *t.shape[1:])) if len(t.shape) == 4 and not t.data else t for t in file.tensors
    )
    assert "batch of 2" in lint_file(replace(file, tensors=batched), "edgetpu").findings[0]


@pytest.mark.parametrize(("channels", "axes", "says"), [(6, (3,), "6 channels"), (8, (3,), ""), (6, (1, 2), "")])
def test_a_mean_over_channels_needs_a_multiple_of_4(channels: int, axes: tuple[int, ...], says: str) -> None:
    x = Tensor("x", (1, 1, 4, channels), "INT8", (0.1,), (0,))
    which = Tensor("axes", (len(axes),), "INT32", (), (), data=np.array(axes, np.int32).tobytes())
    file = ModelFile((x, which, replace(x, name="y")), (Operator("MEAN", 2, (0, 1), (2,)),), (0,), (2,))
    found = "; ".join(lint_file(file, "edgetpu").findings)
    assert says in found and bool(says) == bool(found)


# tflite-runtime.


def test_versions_that_the_old_runtime_does_not_know_are_named(int8: Any) -> None:
    file = read_model(int8.data)
    newer = tuple(replace(each, version=8) if each.name == "CONV_2D" else each for each in file.operators)
    found = lint_file(replace(file, operators=newer), "tflite-runtime").findings
    assert found == ("CONV_2D has version 8; tflite-runtime 2.14 knows at most 7",)


def test_operators_that_only_xnnpack_lacks_suit_the_old_runtime(forms: dict[str, bytes]) -> None:
    assert lint(forms["maximum"], "cpu").findings and not lint(forms["maximum"], "tflite-runtime").findings


# All of them, on tensors that nobody would write.


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e38, 1e-38])
def test_impossible_scales_raise_nothing_else(int8: Any, target: str, scale: float) -> None:
    file = read_model(int8.data)
    tensors = tuple(replace(each, scales=(scale,) * len(each.scales)) for each in file.tensors)
    try:
        lint_file(replace(file, tensors=tensors), target)
    except QuantizeError:
        pytest.fail("a scale is a finding, not a damaged file")
