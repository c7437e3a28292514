"""Real factors as integers: the arithmetic that all int8 operators share.

A real factor M > 0 becomes an int32 mantissa m in [2^30, 2^31) and a shift s with M = m * 2^(s - 31). An accumulator
x is then scaled by

    MultiplyByQuantizedMultiplier(x, m, s) = RDP(SRDHM(x * 2^max(s, 0), m), max(-s, 0))
    SRDHM(a, m) = floor((a m + 2^30) / 2^31)          the high half of 2 a m, a tie towards plus infinity
    RDP(a, e)   = a / 2^e to the nearest integer      a tie away from zero

with two roundings, as TensorFlow 2.21 and LiteRT 2.3 are built (measured: the alternative, TFLITE_SINGLE_ROUNDING,
gives different codes). gemmlowp writes SRDHM as a truncated division with an offset that depends on the sign; the floor
above is the same number. gemmlowp's form saturates at a = m = -2^31, which no mantissa here reaches.

Accumulators are int64 here and int32 in TFLite. A value that leaves int32 when scaled saturates here and wraps in
TFLite; no value of a calibrated file does.

Source: tensorflow/lite/kernels/internal/common.cc, quantization_util.cc; gemmlowp fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int8Array = NDArray[np.int8]
Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float32]

INT8_MIN, INT8_MAX = -128, 127
_MAX_SHIFT = 30


@dataclass(frozen=True)
class Multiplier:
    """One factor, or one per output channel: M = mantissa * 2^(shift - 31).

    Attributes:
        mantissa: int64 array, shape () or (channels,).
        left: max(shift, 0), the same shape.
        right: max(-shift, 0), the same shape.
        ties: Half of 2^right, 0 without a shift, the same shape.
        any_left: Whether at least one factor shifts left.
        any_right: Whether at least one factor shifts right.
        all_right: Whether all factors shift right.
    """

    mantissa: Int64Array
    left: Int64Array
    right: Int64Array
    ties: Int64Array
    any_left: bool
    any_right: bool
    all_right: bool


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (mantissa, shift) of a factor; (0, 0) for a factor that is 0 or below 2^-32.

    Raises:
        OverflowError: If the factor is not finite, or is 2^30 or above.

    Source: QuantizeMultiplier in tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    if not math.isfinite(real):
        raise OverflowError(f"a factor of {real}")
    fraction, shift = math.frexp(real)
    mantissa = round_half_away(fraction * 2.0**31)
    if abs(mantissa) == 2**31:
        mantissa, shift = mantissa // 2, shift + 1
    if shift < -31:
        return 0, 0
    if shift > _MAX_SHIFT:
        raise OverflowError(f"a factor of {real}")
    return mantissa, shift


def multiplier(reals: float | Sequence[float] | NDArray[np.float64]) -> Multiplier:
    """Return one factor, or one for each channel, in the form that `scale` takes."""
    pairs = [quantize_multiplier(real) for real in np.atleast_1d(np.asarray(reals, np.float64)).tolist()]
    mantissa, shift = (np.array(part, np.int64).reshape(np.shape(reals)) for part in zip(*pairs, strict=True))
    return ready(mantissa, shift)


def ready(mantissa: Int64Array, shift: Int64Array) -> Multiplier:
    """Return the factor with a mantissa and a shift, or the factors of all channels."""
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    return Multiplier(mantissa, left, right, (1 << right) >> 1, bool(left.any()), bool(right.any()), bool(right.all()))


def saturating_rounding_doubling_high_mul(a: Int64Array, mantissa: Int64Array | int) -> Int64Array:
    """Return floor((a * mantissa + 2^30) / 2^31), for int32 values in int64 arrays."""
    product = a * np.int64(mantissa) if isinstance(mantissa, int) else a * mantissa
    product += 1 << 30
    product >>= 31
    return product


def rounding_divide_by_pot(a: Int64Array, exponent: Int64Array | int) -> Int64Array:
    """Return a / 2^exponent to the nearest integer, a tie away from zero."""
    exponent = np.asarray(exponent, np.int64)
    half = (1 << exponent) >> 1
    return (a + half - ((a < 0) & (half > 0))) >> exponent


def scale(x: Int64Array, by: Multiplier) -> Int64Array:
    """Return MultiplyByQuantizedMultiplier of x; with one factor per channel, channels are the last axis of x."""
    if by.any_left:
        x = np.clip(x << by.left, -(2**31), 2**31 - 1)
    high = saturating_rounding_doubling_high_mul(x, by.mantissa)
    if not by.any_right:
        return high
    # RDP: a negative number is lowered by one before the shift, so that a tie rounds away from zero.
    high += (high >> 63) if by.all_right else -((high < 0) & (by.ties > 0)).astype(np.int64)
    high += by.ties
    high >>= by.right
    return high


def clamp(x: Int64Array, bounds: tuple[int, int]) -> Int8Array:
    """Return int8 codes limited to `bounds`; x is overwritten."""
    np.maximum(x, bounds[0], out=x)  # twice as fast as np.clip for a single window
    return np.minimum(x, bounds[1], out=x).astype(np.int8)


def round_half_away(x: float) -> int:
    """Return the nearest integer, a tie away from zero, like round() in C; Python's round() differs."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def nearest_half_away(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest integers, ties away from zero; adding 0.5 would round up values just below 0.5."""
    whole = np.trunc(x)
    return whole + np.copysign(np.abs(x - whole) >= 0.5, x)


def activation_bounds(activation: str, output_scale: float, zero_point: int) -> tuple[int, int]:
    """Return the lowest and the highest code of a fused activation.

    Source: CalculateActivationRangeQuantized in tensorflow/lite/kernels/kernel_util.cc.
    """
    low, high = REAL_BOUNDS[activation]

    def code(real: float) -> int:
        return zero_point + round_half_away(float(np.float32(real) / np.float32(output_scale)))

    return (
        INT8_MIN if low == -math.inf else max(INT8_MIN, code(low)),
        INT8_MAX if high == math.inf else min(INT8_MAX, code(high)),
    )


REAL_BOUNDS: dict[Any, tuple[float, float]] = {
    "NONE": (-math.inf, math.inf),
    "RELU": (0.0, math.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}
"""The activations that int8 kernels fuse, as bounds on real values."""
