from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import FrameError
from firmware_bridge.wire import cobs

EDGES = [b"\1" * n + tail for n in (0, 1, 253, 254, 255, 507, 508, 509, 762) for tail in (b"", b"\0", b"\0\0", b"\0\2")]
# Long runs without a zero are what random bytes never have.
DATA = st.lists(st.binary(max_size=5) | st.integers(250, 260).map(lambda n: b"\xff" * n)).map(b"".join)


@pytest.mark.parametrize("data", EDGES, ids=len)
def test_edges_agree_with_the_reference(data: bytes) -> None:
    reference = pytest.importorskip("cobs.cobs")
    assert cobs.encode(data) == reference.encode(data)
    assert cobs.decode(cobs.encode(data)) == data


@given(DATA)
def test_encoding_agrees_with_the_reference(data: bytes) -> None:
    reference = pytest.importorskip("cobs.cobs")
    encoded = cobs.encode(data)
    assert encoded == reference.encode(data)
    assert cobs.decode(encoded) == data
    assert 0 not in encoded
    assert len(encoded) <= cobs.max_encoded_size(len(data))


@given(DATA)
def test_any_bytes_decode_or_fail_like_the_reference(encoded: bytes) -> None:
    reference = pytest.importorskip("cobs.cobs")
    try:
        expected = reference.decode(encoded)
    except reference.DecodeError:
        with pytest.raises(FrameError):
            cobs.decode(encoded)
    else:
        assert cobs.decode(encoded) == expected


def test_a_redundant_last_group_is_accepted() -> None:
    assert cobs.decode(b"\xff" + b"a" * 254 + b"\x01") == b"a" * 254
