"""Traps of operators that work element by element."""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from .both import answer, refusals, same

NAN, INF = np.nan, np.inf
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
FLOATS = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)


def numbers(values: list[float], dtype: object) -> np.ndarray:
    """An array that keeps the sign of zeros."""
    return np.array(values, np.float64).astype(dtype)


@pytest.mark.parametrize("dtype", SIGNED)
def test_integer_division_is_toward_zero_and_total(dtype: str) -> None:
    """Nothing traps: x / 0 is 0, and the least integer / -1 wraps."""
    least = np.iinfo(dtype).min
    a, b = np.array([7, -7, 7, -7, 5, 0, least, least], dtype), np.array([2, 2, -2, -2, 0, 0, -1, 0], dtype)
    for opset in (14,) if dtype in ("int8", "int16") else (7, 13, 14):
        same(answer("Div", [a, b], opset=opset), [3, -3, -3, 3, 0, 0, least, 0], dtype)
    same(answer("Div", [np.array([200], "uint8"), np.array([0], "uint8")], opset=14), [0], "uint8")


@pytest.mark.parametrize("opset", [10, 13, 28])
@pytest.mark.parametrize("dtype", SIGNED)
def test_mod_of_integers(dtype: str, opset: int) -> None:
    """fmod=0 has the divisor's sign, fmod=1 the dividend's; x mod 0 is 0 and the least integer mod -1 does not trap."""
    least = np.iinfo(dtype).min
    a, b = np.array([7, -7, 7, -7, 6, -6, 5, 0, least], dtype), np.array([3, 3, -3, -3, -3, 3, 0, 0, -1], dtype)
    same(answer("Mod", [a, b], opset=opset), [1, 2, -2, -1, 0, 0, 0, 0, 0], dtype)
    same(answer("Mod", [a, b], {"fmod": 1}, opset=opset), [1, -1, 1, -1, 0, 0, 0, 0, 0], dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_mod_of_floats_with_truncation(dtype: type) -> None:
    """C's fmod: exact, with the sign of the dividend, a zero's too."""
    a = numbers([5.5, -5.5, 5.5, -5.5, 0.0, -0.0, INF, 3, -3, 3, NAN, 1, 6, -6], dtype)
    b = numbers([2, 2, -2, -2, 3, 3, 2, INF, INF, 0, 1, NAN, -3, 3], dtype)
    expected = [1.5, -1.5, 1.5, -1.5, 0.0, -0.0, NAN, 3, -3, NAN, NAN, NAN, 0.0, -0.0]
    for opset in (13, 28):
        got = answer("Mod", [a, b], {"fmod": 1}, opset=opset)
        assert got.dtype == dtype
        wide = got.astype(np.float64)
        assert np.array_equal(wide, expected, equal_nan=True)
        assert [bool(s) for s, x in zip(np.signbit(wide), expected, strict=True) if x == x] == [
            bool(np.signbit(x)) for x in expected if x == x
        ]


def test_mod_is_exact_where_the_quotient_is_huge() -> None:
    """2^1000 mod 3 is 1: a rounded quotient has no digit of it."""
    a, b = [2.0**1000, 1e300, -1e300, 5e-324], [3.0, 7e-300, 1e-308, 3e-323]
    exact = [Fraction(x) - math.trunc(Fraction(x) / Fraction(y)) * Fraction(y) for x, y in zip(a, b, strict=True)]
    same(answer("Mod", [np.array(a), np.array(b)], {"fmod": 1}, opset=13), [float(rest) for rest in exact])
    assert exact[0] == 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_mod_of_floats_with_floor(dtype: type) -> None:
    """Opset 28's table, row by row: the result has the sign of the divisor."""
    a = numbers([5.5, -5.5, 5.5, -5.5, 0.0, -0.0, 0.0, -0.0, INF, -INF, 3, 0, 3, -3, 3, -3, NAN, 1, 6], dtype)
    b = numbers([2, 2, -2, -2, 3, 3, -3, -3, 2, INF, 0, 0, INF, INF, -INF, -INF, 1, NAN, -3], dtype)
    expected = [1.5, 0.5, -0.5, -1.5, 0.0, 0.0, -0.0, -0.0, NAN, NAN, NAN, NAN, 3, INF, -INF, -3, NAN, NAN, -0.0]
    wide = answer("Mod", [a, b], opset=28).astype(np.float64)
    assert np.array_equal(wide, expected, equal_nan=True)
    for got, want in zip(wide, expected, strict=True):
        assert want != want or np.signbit(got) == np.signbit(want)


def test_mod_of_floats_needs_fmod_before_opset_28() -> None:
    x = np.ones(2, np.float32)
    for opset in (10, 13):
        refusals("Mod", [x, x], opset=opset)
        refusals("Mod", [x, x], {"fmod": 0}, opset=opset)
    refusals("Mod", [x, x], {"fmod": 2}, opset=28)


@pytest.mark.parametrize("dtype", SIGNED)
def test_right_shift_of_signed_types_is_arithmetic(dtype: str) -> None:
    """Copies of the sign bit move in; counts that are negative or not below the width move everything out."""
    width, least, greatest = 8 * np.dtype(dtype).itemsize, np.iinfo(dtype).min, np.iinfo(dtype).max
    counts = np.array([0, 1, width - 1, width, width + 1, greatest, -1, least], dtype)
    shift = {"direction": "RIGHT"}
    same(answer("BitShift", [np.array(-5, dtype), counts], shift, opset=28), [-5, -3, -1, -1, -1, -1, -1, -1], dtype)
    same(answer("BitShift", [np.array(5, dtype), counts], shift, opset=28), [5, 2, 0, 0, 0, 0, 0, 0], dtype)
    left = answer("BitShift", [np.array(-1, dtype), counts], {"direction": "LEFT"}, opset=28)
    same(left, [-1, -2, least, 0, 0, 0, 0, 0], dtype)


@pytest.mark.parametrize("opset", [11, 28])
@pytest.mark.parametrize("dtype", UNSIGNED)
def test_shifts_by_the_width_leave_nothing(dtype: str, opset: int) -> None:
    """An x86 CPU masks the count, so that a shift by the width would be none. Before opset 28 the text is silent."""
    width, greatest = 8 * np.dtype(dtype).itemsize, np.iinfo(dtype).max
    counts = np.array([0, 1, width - 1, width, width + 1, 2 * width, greatest], dtype)
    x = np.array(greatest, dtype)
    right = answer("BitShift", [x, counts], {"direction": "RIGHT"}, opset=opset)
    same(right, [greatest, greatest // 2, 1, 0, 0, 0, 0], dtype)
    left = answer("BitShift", [x, counts], {"direction": "LEFT"}, opset=opset)
    same(left, [greatest, greatest - 1, 1 << (width - 1), 0, 0, 0, 0], dtype)


def test_shifts_need_a_direction_and_signed_types_opset_28() -> None:
    x = np.ones(2, np.uint8)
    refusals("BitShift", [x, x], opset=11)
    refusals("BitShift", [x, x], {"direction": "right"}, opset=11)
    refusals("BitShift", [x.astype(np.int8), x.astype(np.int8)], {"direction": "RIGHT"}, opset=11)


def test_pow_has_the_type_of_the_base() -> None:
    assert answer("Pow", [np.int32([2, 3]), np.float64([2.5, 2])], opset=13).dtype == np.int32
    same(answer("Pow", [np.int32([2, 3]), np.float32([2.5, 2])], opset=13), [5, 9], np.int32)
    same(
        answer("Pow", [np.float32([2, 9]), np.int64([3, -1])], opset=13), np.float32([8, np.float32(1) / np.float32(9)])
    )
    assert answer("Pow", [np.float16([2]), np.float64([0.5])], opset=13).dtype == np.float16


def test_negative_powers_of_integers() -> None:
    """1 and -1 have them; others are 0, as 1 / x toward zero."""
    base, exponent = np.int32([2, -2, 1, -1, -1, 0, 3]), np.int32([-1, -3, -9, -3, -4, -1, 0])
    same(answer("Pow", [base, exponent], opset=13), [0, 0, 1, -1, 1, 0, 1], np.int32)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_nan_wins_in_max_and_min_wherever_it_stands(op_type: str, dtype: type) -> None:
    a, b = numbers([NAN, 1, NAN, 0.0, -0.0], dtype), numbers([1, NAN, NAN, -0.0, 0.0], dtype)
    for inputs in ([a, b], [b, a], [a, b, a], [b, b, a]):
        got = answer(op_type, inputs, opset=13).astype(np.float64)
        assert np.isnan(got[:3]).all()
        assert np.signbit(got[3:]).tolist() == [op_type == "Min"] * 2  # -0 is below +0


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_passes_through_clip_and_relu(dtype: type) -> None:
    x, low, high = (
        numbers([NAN, 5, -5, -0.0], dtype),
        numbers([-1], dtype)[0:1].reshape(()),
        numbers([2], dtype).reshape(()),
    )
    same(answer("Clip", [x, low, high], opset=13).astype(np.float32), np.float32([NAN, 2, -1, -0.0]))
    same(answer("Relu", [x], opset=14).astype(np.float32), np.float32([NAN, 5, 0, 0.0]))
    nan = numbers([NAN], dtype).reshape(())
    assert np.isnan(answer("Clip", [x, nan, high], opset=13).astype(np.float32)).all()


def test_clip_with_crossed_bounds_is_the_maximum() -> None:
    x, low, high = np.float32([-5, 0, 5, 1.5]), np.float32(2), np.float32(1)
    same(answer("Clip", [x, low, high], opset=13), [1, 1, 1, 1])
    same(answer("Clip", [x], {"min": 2.0, "max": 1.0}, opset=6), [1, 1, 1, 1])
    same(answer("Clip", [np.int64([-5, 5]), np.int64(2), np.int64(1)], opset=13), [1, 1])


def test_clip_without_bounds_keeps_infinity() -> None:
    x = np.float32([-INF, INF, NAN])
    same(answer("Clip", [x], opset=13), x)
    same(answer("Clip", [x, None, np.float32(0)], opset=13), [-INF, 0, NAN])
    same(answer("Clip", [np.uint8([0, 255])], opset=13), [0, 255])


@pytest.mark.parametrize("dtype", FLOATS)
def test_round_goes_to_even_and_keeps_what_has_no_fraction(dtype: type) -> None:
    x = numbers([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.0, -0.0, INF, -INF, NAN, -0.25], dtype)
    expected = [0, 2, 2, -0.0, -2, -2, 0.0, -0.0, INF, -INF, NAN, -0.0]
    same(answer("Round", [x], opset=11 if dtype != ml_dtypes.bfloat16 else 22).astype(np.float32), np.float32(expected))


def test_mean_is_a_sum_and_one_division() -> None:
    """Left to right, then by the count; a mean of float16 does not overflow on the way."""
    x = [np.float16([60000]), np.float16([60000]), np.float16([60000])]
    same(answer("Mean", x, opset=13), [60000], np.float16)
    same(
        answer("Mean", [np.float32([[1], [2]]), np.float32([3, 5, 7])], opset=8),
        [[2, 3, 4], [2.5, 3.5, 4.5]],
        np.float32,
    )
    refusals("Mean", [np.zeros((2, 1), np.float32), np.zeros((2, 3), np.float32)], opset=6)


def test_infinities_and_nans_of_float8() -> None:
    """Every code of every type, against the numbers that they stand for."""
    every = np.arange(256, dtype=np.uint8)
    for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"):
        x = every.view(getattr(ml_dtypes, name))
        wide = x.astype(np.float32)
        assert np.array_equal(answer("IsNaN", [x], opset=20), np.isnan(wide))
        for negative in (0, 1):
            for positive in (0, 1):
                got = answer("IsInf", [x], {"detect_negative": negative, "detect_positive": positive}, opset=20)
                assert np.array_equal(got, ((wide == INF) & (positive == 1)) | ((wide == -INF) & (negative == 1)))
    assert answer("IsInf", [np.uint8([0x7C, 0xFC, 0x7D]).view(ml_dtypes.float8_e5m2)], opset=20).tolist() == [
        True,
        True,
        False,
    ]


def test_bitcast_keeps_bits() -> None:
    bits = np.uint32([0x7F800001, 0xFFC12345, 0x80000000, 1])
    got = answer("BitCast", [bits], {"to": 1}, opset=26)
    assert got.dtype == np.float32
    assert got.view(np.uint32).tolist() == bits.tolist()  # a signalling NaN too
    codes = np.array([-8, -1, 7], ml_dtypes.int4)
    assert answer("BitCast", [codes], {"to": 21}, opset=26).astype(int).tolist() == [8, 15, 7]
    assert answer("BitCast", [np.complex64([1 - 2j])], {"to": 7}, opset=26).view(np.float32).tolist() == [1, -2]
    refusals("BitCast", [bits], {"to": 7}, opset=26)
    refusals("BitCast", [np.zeros((2, 2), np.uint8)], {"to": 21}, opset=26)  # not two elements of 4 bits for one of 8
    refusals("BitCast", [np.array(["a"], object)], {"to": 8}, opset=26)
