"""The MATLAB 5 reader against SciPy's writer, and against bytes laid out by hand."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from refusals import refused

from drsn_edge.recordings.readers.matlab5 import read_matlab5
from drsn_edge.recordings.readers.variables import Closed, Group, Leaf, Node, Texts, found_at, plain_value
from drsn_edge.support.invalid import InvalidValueError

SHAPE = b"\x01\x00\x00\x00\x02\x00\x00\x00"
NUMERIC_TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def saved(variables: dict[str, Any], do_compression: bool = False) -> bytes:
    """Return what SciPy writes for these variables."""
    scipy_io = pytest.importorskip("scipy.io")
    file = io.BytesIO()
    scipy_io.savemat(file, variables, do_compression=do_compression)
    return file.getvalue()


def values_of(node: Node) -> Any:
    """Return an array whole."""
    assert isinstance(node, Leaf)
    with node.opened() as values:
        return values[:]


def at(variables: dict[str, Node], path: str) -> Node:
    """Return what a path leads to."""
    found = found_at(Group(variables), path)
    assert found is not None, path
    return found


def by_hand(order: str, name: bytes = b"speed") -> bytes:
    """Return a 1 x 2 matrix of class double that is stored in 16 bits, as MATLAB does, in a small element."""
    parts = [
        struct.pack(f"{order}IIII", 6, 8, 6, 0),
        struct.pack(f"{order}IIii", 5, 8, 1, 2),
        struct.pack(f"{order}II8s", 1, len(name), name),
        struct.pack(f"{order}IHH", 4 << 16 | 4, 1797, 1750),
    ]
    body = b"".join(parts)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}HH", 0x0100, 0x4D49)
    return header + struct.pack(f"{order}II", 14, len(body)) + body


@pytest.mark.parametrize("do_compression", [False, True])
@pytest.mark.parametrize("dtype", NUMERIC_TYPES)
def test_agrees_with_scipy(dtype: str, do_compression: bool) -> None:
    values = np.arange(15).reshape(3, 5).astype(dtype)
    written = {"first": values, "a_longer_name": values[:1, :1], "empty": values[:0]}
    variables = read_matlab5(saved(written, do_compression))
    assert list(variables) == list(written)
    for name, expected in written.items():
        found = variables[name]
        assert isinstance(found, Leaf) and found.dtype == dtype
        np.testing.assert_array_equal(values_of(found), expected)


def test_text_flags_structs_and_cells() -> None:
    variables = read_matlab5(
        saved(
            {
                "text": ["abc", "d"],
                "flag": np.array([[True]]),
                "z": np.array([[1j]]),
                "s": {"a": 1, "b": {"c": "d"}},
                "c": np.array(["x", 2.0], dtype=object),
                "many": np.array([(1, "p"), (2, "q")], dtype=[("n", object), ("t", object)]),
            }
        )
    )
    assert variables["text"] == Texts(("abc", "d"))
    assert plain_value(variables["flag"]) is True
    assert variables["z"] == Closed("complex numbers")
    assert plain_value(at(variables, "s.a")) == 1 and at(variables, "s.b.c") == Texts(("d",))
    assert at(variables, "c[0]") == Texts(("x",)) and plain_value(at(variables, "c[1]")) == 2.0
    assert [plain_value(at(variables, f"many[{k}].n")) for k in (0, 1)] == [1, 2]
    assert at(variables, "many(2).t") == Texts(("q",)) and found_at(Group(variables), "many[2]") is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_narrow_storage(order: str) -> None:
    speed = values_of(read_matlab5(by_hand(order))["speed"])
    assert speed.dtype == np.float64
    np.testing.assert_array_equal(speed, [[1797.0, 1750.0]])


@pytest.mark.parametrize(
    ("find", "put", "problem", "facts"),
    [
        (SHAPE, b"\x01\x00\x00\x00\x03\x00\x00\x00", "wrong_shape", {"name": "speed", "shape": [1, 3], "values": 2}),
        (SHAPE, b"\xff\xff\xff\xff\xfe\xff\xff\xff", "wrong_shape", {"name": "speed", "shape": (-1, -2)}),
        (b"\x04\x00\x04\x00", b"\x04\x00\x05\x00", "element_size", {"got": 5, "left": 4}),
        (b"\x04\x00\x04\x00", b"\x08\x00\x04\x00", "unknown_type", {"name": "speed", "got": 8}),
        (b"\x0e\x00\x00\x00", b"\x06\x00\x00\x00", "not_a_matrix", {"got": 6}),
        (b"IM", b"??", "no_header", {}),
    ],
)
def test_refuses(find: bytes, put: bytes, problem: str, facts: dict[str, Any]) -> None:
    data = by_hand("<")
    assert data.count(find) == 1
    with refused(InvalidValueError, problem, **facts):
        read_matlab5(data.replace(find, put))


def test_a_compressed_variable_is_unpacked_up_to_the_limit() -> None:
    """One compressed megabyte may hold a thousand; more than the limit is never in memory."""
    data = by_hand("<")
    packed = zlib.compress(data[128:] + bytes(10_000_000))
    bomb = data[:128] + struct.pack("<II", 15, len(packed)) + packed
    with refused(InvalidValueError, "too_large", limit=1_000_000):
        read_matlab5(bomb, 1_000_000)
    small = zlib.compress(data[128:])
    element = struct.pack("<II", 15, len(small)) + small
    assert read_matlab5(data[:128] + element, 1000)["speed"] is not None
    with refused(InvalidValueError, "too_large"):  # the limit is for all variables together
        read_matlab5(data[:128] + element * 20, 1000)
    with pytest.raises((ValueError, zlib.error)):
        read_matlab5(data[:128] + struct.pack("<II", 15, len(small) - 5) + small[:-5], 1000)


def test_variables_inside_variables_are_bounded() -> None:
    deep: Any = np.zeros((1, 1))
    for _ in range(20):
        deep = {"a": deep}
    with refused(InvalidValueError, "too_many_variables"):
        read_matlab5(saved({"deep": deep}))
    with refused(InvalidValueError, "too_many_variables"):
        read_matlab5(saved({"many": np.array([1.0] * 10_001, dtype=object)}, do_compression=True))
