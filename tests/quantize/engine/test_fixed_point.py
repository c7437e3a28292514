"""The arithmetic against slow integers of unbounded size, written after gemmlowp's text instead of our closed form."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantize.engine.fixed_point import (
    activation_bounds,
    clamp,
    multiplier,
    nearest_half_away,
    quantize_multiplier,
    round_half_away,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    scale,
)
from quantize.engine.reduction import mean_multiplier

INT32 = st.integers(-(2**31), 2**31 - 1)
MANTISSAS = st.integers(2**30, 2**31 - 1)


def truncated(numerator: int, denominator: int) -> int:
    """Return the quotient as C has it: cut off towards zero."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def slow_high_mul(a: int, b: int) -> int:
    """gemmlowp's SaturatingRoundingDoublingHighMul, but for a = b = -2^31."""
    nudge = 2**30 if a * b >= 0 else 1 - 2**30
    return truncated(a * b + nudge, 2**31)


def slow_divide(x: int, exponent: int) -> int:
    """gemmlowp's RoundingDivideByPOT."""
    mask = 2**exponent - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


def slow_scale(x: int, mantissa: int, shift: int) -> int:
    """TFLite's MultiplyByQuantizedMultiplier."""
    return slow_divide(slow_high_mul(x * 2 ** max(shift, 0), mantissa), max(-shift, 0))


def as_array(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@given(st.lists(INT32, min_size=1), st.integers(-(2**31) + 1, 2**31 - 1))
def test_high_mul(values: list[int], mantissa: int) -> None:
    found = saturating_rounding_doubling_high_mul(as_array(*values), mantissa)
    assert found.tolist() == [slow_high_mul(value, mantissa) for value in values]


def test_high_mul_by_hand() -> None:
    half = 2**30  # stands for 0.5: products are halved, a tie goes up
    assert saturating_rounding_doubling_high_mul(as_array(3, 1, -1, -3, 4, 0), half).tolist() == [2, 1, 0, -1, 2, 0]


@given(st.lists(INT32, min_size=1), st.integers(0, 31))
def test_divide_by_a_power_of_two(values: list[int], exponent: int) -> None:
    found = rounding_divide_by_pot(as_array(*values), exponent)
    assert found.tolist() == [slow_divide(value, exponent) for value in values]


def test_divide_by_a_power_of_two_by_hand() -> None:
    assert rounding_divide_by_pot(as_array(6, 5, 2, 1, -1, -2, -5, -6), 2).tolist() == [2, 1, 1, 0, 0, -1, -1, -2]
    assert rounding_divide_by_pot(as_array(7, -7), 0).tolist() == [7, -7]


@given(st.floats(2**-31, 2**29))
def test_a_factor_is_kept_to_31_bits(real: float) -> None:
    mantissa, shift = quantize_multiplier(real)
    assert 2**30 <= mantissa < 2**31
    assert abs(Fraction(mantissa) * Fraction(2) ** (shift - 31) / Fraction(real) - 1) <= Fraction(1, 2**31)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (0.75, (3 * 2**29, 0)),
        (1 - 2.0**-40, (2**30, 1)),  # rounds up to 1, whose mantissa is the least again
        (-1.0, (-(2**30), 1)),
        (0.0, (0, 0)),
        (2.0**-33, (0, 0)),
        (2.0**-32, (2**30, -31)),
        (2.0**29, (2**30, 30)),
    ],
)
def test_factors_by_hand(real: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [math.inf, -math.inf, math.nan, 2.0**30, 1e300])
def test_factors_that_cannot_be(real: float) -> None:
    with pytest.raises(OverflowError):
        quantize_multiplier(real)


@given(st.lists(st.tuples(st.integers(-(2**26), 2**26), st.floats(2**-20, 16)), min_size=1, max_size=8))
def test_scaling_by_channel(pairs: list[tuple[int, float]]) -> None:
    values, reals = zip(*pairs, strict=True)
    found = scale(as_array(*values)[None], multiplier(list(reals)))
    assert found.tolist() == [[slow_scale(x, *quantize_multiplier(real)) for x, real in pairs]]


@given(st.integers(-(2**26), 2**26), st.floats(2**-24, 16))
def test_scaling_is_the_real_product_rounded(value: int, real: float) -> None:
    (found,) = scale(as_array(value), multiplier(real)).tolist()
    assert abs(Fraction(value) * Fraction(real) - found) <= 1 + Fraction(abs(value)) * Fraction(real) / 2**30


def test_scaling_leaves_its_operand_alone() -> None:
    values = as_array(5, -5)
    scale(values, multiplier(0.3))
    scale(values, multiplier(3.0))
    assert values.tolist() == [5, -5]


def test_what_leaves_int32_saturates() -> None:
    assert scale(as_array(2**30, -(2**30)), multiplier(2.0**20)).tolist() == [2**30, -(2**30)]


@given(st.integers(1, 5000), st.floats(2**-12, 2**6), st.integers(-(2**20), 2**20))
def test_the_mean_is_the_real_one_rounded_twice(count: int, real: float, total: int) -> None:
    """Up to 3/4 away: half of the first rounding may be halved once before the second one."""
    (found,) = scale(as_array(total), mean_multiplier(real, count)).tolist()
    exact = Fraction(total) * Fraction(real) / count
    assert abs(exact - found) <= Fraction(3, 4) + abs(exact) / 2**28


def test_the_factor_of_a_mean_by_hand() -> None:
    """1 / 3: the mantissa of 1 is 2^30, k = 1, so 2^31 / 3 cut off; 1 / 4 is exact."""
    third, quarter = mean_multiplier(1.0, 3), mean_multiplier(1.0, 4)
    assert (int(third.mantissa), int(third.left), int(third.right)) == (2**31 // 3, 0, 0)
    assert (int(quarter.mantissa), int(quarter.left), int(quarter.right)) == (2**30, 0, 1)


def test_rounding_as_c_does() -> None:
    assert [round_half_away(x) for x in (0.5, 1.5, 2.5, -0.5, -1.5, 0.49, -0.49, 0.0)] == [1, 2, 3, -1, -2, 0, 0, 0]


def test_rounding_of_arrays() -> None:
    just_below = 0.49999999999999994
    given = np.array([0.5, 1.5, -0.5, -1.5, just_below, -just_below, 2.0, 1e300, 2.0**52 + 1])
    assert nearest_half_away(given).tolist() == [1, 2, -1, -2, 0, 0, 2, 1e300, 2**52 + 1]


def test_clamp() -> None:
    found = clamp(as_array(-1000, -129, -5, 0, 127, 128), (-128, 127))
    assert found.dtype == np.int8
    assert found.tolist() == [-128, -128, -5, 0, 127, 127]


@pytest.mark.parametrize(
    ("activation", "scale_y", "zero_point", "expected"),
    [
        ("NONE", 0.1, 3, (-128, 127)),
        ("RELU", 0.1, 3, (3, 127)),
        ("RELU", 0.1, -128, (-128, 127)),
        ("RELU6", 0.1, -128, (-128, -68)),
        ("RELU6", 0.01, 0, (0, 127)),
        ("RELU_N1_TO_1", 0.25, 10, (6, 14)),
        ("RELU_N1_TO_1", 0.4, 0, (-3, 3)),  # 2.5 steps: half away from zero
    ],
)
def test_bounds_of_activations(activation: str, scale_y: float, zero_point: int, expected: tuple[int, int]) -> None:
    assert activation_bounds(activation, scale_y, zero_point) == expected
