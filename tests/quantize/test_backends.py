from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from refusals import refused

from quantize import backends
from quantize.backends import (
    NUMPY,
    OPTIMISED,
    REFERENCE,
    XNNPACK,
    compare_backends,
    compare_logits,
    open_backends,
    operator_differences,
)
from quantize.engine import Engine
from quantize.errors import MismatchError, ModelFileError


def codes(*rows: list[int]) -> Any:
    return np.array(rows, np.int8)


def test_a_comparison_by_hand() -> None:
    found = compare_logits("a", "b", codes([5, 1], [-128, 127], [3, 3]), codes([5, 2], [127, -128], [3, 4]))
    assert found.windows == 3
    assert found.lsb_differences == {-255: 1, 0: 2, 1: 2, 255: 1}
    assert found.class_flips == 2  # the second window, and the third, whose tie went to the first class
    assert not found.equal


def test_equal_logits() -> None:
    found = compare_logits("a", "b", codes([5, 1]), codes([5, 1]))
    assert (found.lsb_differences, found.class_flips, found.equal) == ({0: 2}, 0, True)


def test_the_backends_of_this_machine_agree(trained: Any, int8: Any) -> None:
    opened = open_backends(int8.data)
    assert list(opened)[:4] == [NUMPY, REFERENCE, OPTIMISED, XNNPACK]
    engine = Engine(int8.data)
    given = engine.quantization(engine.input)
    inputs_q = np.clip(np.rint(trained.inputs / given.scale) + given.zero_point, -128, 127).astype(np.int8)
    found = {(each.first, each.second): each for each in compare_backends(opened, inputs_q)}
    assert len(found) == len(opened) * (len(opened) - 1) // 2
    assert found[NUMPY, REFERENCE].equal
    assert found[NUMPY, XNNPACK].windows == 300
    assert all(sum(each.lsb_differences.values()) == 900 for each in found.values())
    assert all(each.class_flips <= 9 for each in found.values()), found


def test_operators_differ_by_a_rounding_where_they_differ(int8: Any) -> None:
    inputs_q = np.random.default_rng(0).integers(-128, 128, (12, 1, 96, 2)).astype(np.int8)
    found = {
        name: {each.operator: each for each in operator_differences(int8.data, inputs_q, name)}
        for name in (REFERENCE, OPTIMISED, XNNPACK)
    }
    assert all(each.different == each.largest == 0 for each in found[REFERENCE].values())
    assert set(found[REFERENCE]) == set(int8.lint.operators)
    assert max(each.largest for kernels in found.values() for each in kernels.values()) <= 1
    assert found[OPTIMISED]["MEAN"].different > 0
    assert found[OPTIMISED]["ADD"].different == found[OPTIMISED]["MUL"].different == 0


def test_what_is_not_installed_is_left_out(int8: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise ImportError

    monkeypatch.setattr(backends, "_LOADERS", dict.fromkeys(backends._LOADERS, missing))
    assert list(open_backends(int8.data)) == [NUMPY]


def test_an_interpreter_that_refuses_is_named(int8: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> Any:
        raise RuntimeError("no such op")

    monkeypatch.setattr(backends, "_LOADERS", {REFERENCE: lambda: (broken, {})})
    with refused(ModelFileError, "not_loadable", backend="litert-reference", reason="no such op"):
        open_backends(int8.data)


def test_bad_input() -> None:
    with refused(ModelFileError, "not_tflite"):
        open_backends(b"garbage")
    with refused(MismatchError, "no_windows"):
        compare_backends({}, np.zeros((0, 1), np.int8))
    with refused(MismatchError, "logits_shape", first="a", second="b", first_shape=(1, 2), second_shape=(1, 3)):
        compare_logits("a", "b", codes([1, 2]), codes([1, 2, 3]))
