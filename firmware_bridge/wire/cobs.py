"""Consistent Overhead Byte Stuffing (COBS): encodes bytes without zeros, so that a zero can end a frame.

This is written here because the package cobs would add compiled code to each gateway; the tests compare with it.

Source: S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on
Networking 7(2), 1999, doi:10.1109/90.769765.
"""

from __future__ import annotations

from firmware_bridge.errors import FrameError

_FULL = 0xFF
"""Code of a group of 254 bytes that no zero follows; after every other code a zero follows."""

_FULL_BYTES = _FULL - 1


def max_encoded_size(size: int) -> int:
    """Return the largest encoded size of `size` bytes, without the delimiter."""
    return size + size // _FULL_BYTES + 1


def encode(data: bytes) -> bytes:
    """Return `data` encoded without zeros; the delimiter is not appended."""
    parts: list[bytes] = []
    for group in data.split(b"\0"):
        whole = len(group) - len(group) % _FULL_BYTES
        parts += (b"\xff" + group[start : start + _FULL_BYTES] for start in range(0, whole, _FULL_BYTES))
        parts.append(bytes([len(group) - whole + 1]) + group[whole:])
    if len(parts) > 1 and parts[-1] == b"\x01" and len(parts[-2]) == _FULL:
        # The end of the data closes a last full group, so this byte is redundant.
        parts.pop()
    return b"".join(parts)


def decode(encoded: bytes) -> bytes:
    """Decode the bytes between two delimiters.

    Raises:
        FrameError: If the bytes contain a zero, or a code points past the end.
    """
    if 0 in encoded:
        raise FrameError("A zero is inside COBS-encoded bytes.", "zero_inside")
    # Almost every code byte stands where a zero belongs, so it is overwritten in place: one step for each zero, and
    # no copies. Only the codes after a full group stand for no zero and are cut out.
    decoded = bytearray(encoded)
    end = len(decoded)
    position = 0
    joints = []
    while position < end:
        code = encoded[position]
        decoded[position] = 0
        position += code
        if code == _FULL:
            joints.append(position)
    if position != end:
        raise FrameError(
            f"A COBS code points {position - end} bytes past the end.", "code_past_end", bytes=position - end
        )
    for joint in reversed(joints):
        del decoded[joint : joint + 1]
    return bytes(decoded[1:])
