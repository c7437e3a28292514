from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from refusals import refused

from quantize.errors import ModelFileError
from quantize.targets.lint import lint
from quantize.targets.names import TARGETS
from quantize.tflite.file import ModelFile, read_model

_TYPES = {np.int8: "INT8", np.int32: "INT32", np.float32: "FLOAT32"}


@pytest.fixture(scope="module")
def float_file() -> bytes:
    """Return a float .tflite file of a small network."""
    inputs = keras.Input((1, 16, 2))
    model = keras.Model(inputs, layers.Flatten()(layers.Conv2D(3, 1)(inputs)))
    spec = tf.TensorSpec((1, 1, 16, 2), tf.float32)
    function = tf.function(lambda x: model(x)).get_concrete_function(spec)
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())


# What it reads, against the interpreter.


def test_tensors_are_what_the_interpreter_says(int8: Any) -> None:
    interpreter = Interpreter(model_content=int8.data)
    file = read_model(int8.data)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    assert len(file.tensors) > 40
    for index, tensor in enumerate(file.tensors):
        detail = details[index]
        assert tensor.name == detail["name"]
        assert tensor.shape == tuple(detail["shape"])
        assert tensor.type == _TYPES[detail["dtype"]]
        np.testing.assert_array_equal(np.array(tensor.scales, np.float32), detail["quantization_parameters"]["scales"])
        np.testing.assert_array_equal(tensor.zero_points, detail["quantization_parameters"]["zero_points"])


def test_inputs_and_outputs_are_what_the_interpreter_says(int8: Any) -> None:
    interpreter = Interpreter(model_content=int8.data)
    file = read_model(int8.data)
    assert file.inputs == tuple(detail["index"] for detail in interpreter.get_input_details())
    assert file.outputs == tuple(detail["index"] for detail in interpreter.get_output_details())


def test_operators_are_what_the_interpreter_says(int8: Any) -> None:
    interpreter = Interpreter(model_content=int8.data)
    expected = [
        (each["op_name"], tuple(each["inputs"]), tuple(each["outputs"]))
        for each in interpreter._get_ops_details()
        if each["op_name"] != "DELEGATE"
    ]
    assert [(op.name, op.inputs, op.outputs) for op in read_model(int8.data).operators] == expected


def test_operator_versions_stay_within_what_old_runtimes_know(int8: Any) -> None:
    assert {op.version for op in read_model(int8.data).operators} <= {1, 2, 3, 4}


# Lint.


def test_a_float_file_is_found_out(float_file: bytes) -> None:
    findings = lint(float_file).findings
    assert any("CONV_2D works on FLOAT32" in finding for finding in findings)
    assert any(finding.startswith("input ") for finding in findings)
    assert any(finding.startswith("output ") for finding in findings)


def test_lint_counts_operators(int8: Any) -> None:
    file = read_model(int8.data)
    assert sum(lint(int8.data).operators.values()) == len(file.operators)
    assert list(lint(int8.data).operators) == sorted(lint(int8.data).operators)


def test_reading_and_lint_need_no_tensorflow(int8: Any, tmp_path: Any) -> None:
    (tmp_path / "model.tflite").write_bytes(int8.data)
    code = (
        "import sys, pathlib, quantize.targets.lint, quantize.quiet\n"
        f"model = pathlib.Path({str(tmp_path / 'model.tflite')!r}).read_bytes()\n"
        "assert not quantize.targets.lint.lint(model).findings\n"
        "heavy = {'tensorflow', 'keras', 'ai_edge_litert', 'drsn_edge', 'firmware_bridge'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 0, done.stderr


# Bad bytes.


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 8, b"PK\3\4TFL3"[:7], b"\x1c\0\0\0TFL4" + b"\0" * 64])
def test_other_bytes_are_no_model(data: bytes) -> None:
    with refused(ModelFileError, "not_tflite"):
        read_model(data)


@given(st.binary(max_size=200))
def test_any_bytes_behind_the_identifier_are_read_or_refused(data: bytes) -> None:
    with suppress(ModelFileError):
        read_model(data[:4].ljust(4, b"\0") + b"TFL3" + data[4:])


def reads_or_refuses(data: bytes) -> bool:
    """Tell whether data was read; anything but a ModelFileError escapes and fails the test."""
    try:
        for target in TARGETS:
            lint(data, target)
    except ModelFileError:
        return False
    return True


def test_every_truncation_of_the_tables_is_refused_or_read_in_time(int8: Any) -> None:
    lengths = [*range(0, 400), *range(400, len(int8.data), max(1, len(int8.data) // 600))]
    started = time.monotonic()
    outcomes = [reads_or_refuses(int8.data[:length]) for length in lengths]
    assert time.monotonic() - started < 10
    assert not any(outcomes[: len(outcomes) // 2])


def test_damaged_files_raise_nothing_but_model_file_errors(int8: Any) -> None:
    """Flip, overwrite, move, cut out and insert bytes; the interesting ones are the tables at both ends."""
    rng = random.Random(1)
    started = time.process_time()
    refused = 0
    for _ in range(2000):
        data = bytearray(int8.data)
        for _ in range(rng.choice((1, 1, 1, 4, 16))):
            mutate(data, rng)
        one = time.process_time()
        refused += not reads_or_refuses(bytes(data))
        assert time.process_time() - one < 2
    assert time.process_time() - started < 30
    assert refused > 200  # the mutations do reach the tables


def mutate(data: bytearray, rng: random.Random) -> None:
    position = rng.choice(
        (rng.randrange(8, len(data)), rng.randrange(8, 200), rng.randrange(len(data) - 9000, len(data)))
    )
    kind = rng.randrange(5)
    if kind == 0:
        data[position] ^= 1 << rng.randrange(8)
    elif kind == 1:
        extreme = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, rng.randrange(len(data))))
        struct.pack_into("<I", data, min(position & ~3, len(data) - 4), extreme)
    elif kind == 2:
        other = rng.randrange(8, len(data) - 64)
        data[position : position + 16] = data[other : other + 16]
    elif kind == 3:
        del data[position : position + rng.randrange(1, 64)]
    else:
        data[position:position] = rng.randbytes(rng.randrange(1, 64))


def shared_vectors(n: int) -> bytes:
    """Return a file of 8 n bytes and some, whose n operators are one table with n inputs and as many outputs."""
    data = bytearray(b"\0\0\0\0TFL3")

    def put(content: bytes) -> int:
        data.extend(content)
        return len(data) - len(content)

    def table(fields: int) -> int:
        """Put a table of 4-byte fields, all present, behind its vtable."""
        vtable = put(struct.pack(f"<{2 + fields}H", 4 + 2 * fields, 4 + 4 * fields, *range(4, 4 + 4 * fields, 4)))
        position = put(bytes(4 + 4 * fields))
        struct.pack_into("<i", data, position, position - vtable)
        return position

    def point(at: int, target: int) -> None:
        struct.pack_into("<I", data, at, target - at)

    root = table(3)
    codes, graphs = put(struct.pack("<II", 1, 0)), put(struct.pack("<II", 1, 0))
    code, graph = table(4), table(4)
    operators = put(struct.pack("<I", n) + bytes(4 * n))
    operator = table(3)
    indices = put(struct.pack("<I", n) + b"\xff" * 4 * n)
    nothing = put(bytes(4))
    links = [(0, root), (codes + 4, code), (graphs + 4, graph)]
    links += [(root + 8, codes), (root + 12, graphs)]
    links += [(graph + 4, nothing), (graph + 8, nothing), (graph + 12, nothing), (graph + 16, operators)]
    links += [(operator + 8, indices), (operator + 12, indices)]
    links += [(operators + 4 + 4 * index, operator) for index in range(n)]
    for at, target in links:
        point(at, target)
    return bytes(data)


def test_vectors_that_many_tables_share_do_not_multiply_the_work() -> None:
    """800 kB whose 100,000 operators share 100,000 indices would otherwise take 80 GB."""
    assert len(read_model(shared_vectors(1)).operators) == 1  # such a file is well formed
    started = time.monotonic()
    with pytest.raises(ModelFileError):
        read_model(shared_vectors(100_000))
    assert time.monotonic() - started < 5


def test_a_model_file_is_a_plain_value(int8: Any) -> None:
    assert isinstance(read_model(int8.data), ModelFile)
    assert read_model(int8.data) == read_model(int8.data)
