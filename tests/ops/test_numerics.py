"""docs/numerics.md, sections 1 to 3, on the left panel: against exact rational arithmetic and mpmath."""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from diptych_reference import numerics

Array = NDArray[Any]
ROOT = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(20)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def same_bits(a: Array, b: Array) -> bool:
    """Equal dtype, shape and bits, or both NaN."""
    unsigned = f"u{a.itemsize}"
    equal = (a.view(unsigned) == b.view(unsigned)) | ((a != a) & (b != b))
    return a.dtype == b.dtype and a.shape == b.shape and bool(equal.all())


def rounded(exact: Fraction, like: float) -> np.float32:
    """`exact` rounded once to binary32; a zero takes the sign of `like`."""
    if exact == 0:
        return np.float32(math.copysign(0.0, like))
    sign, magnitude = (-1, -exact) if exact < 0 else (1, exact)
    exponent = max(magnitude.numerator.bit_length() - magnitude.denominator.bit_length() - 1, -126)
    while magnitude >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - 23)
    steps = round(magnitude / unit)  # Python rounds halves to even
    value = steps * unit
    return np.float32(sign * (math.inf if value >= Fraction(2) ** 128 else float(value)))


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(finite, finite, finite)
@settings(max_examples=400, deadline=None)
def test_fma_is_the_exact_value_rounded_once(a: float, b: float, c: float) -> None:
    check_fma(a, b, c)


@given(finite, finite, st.integers(-40, 40), st.integers(-3, 3))
@settings(max_examples=400, deadline=None)
def test_fma_beside_midpoints(a: float, b: float, shift: int, nudge: int) -> None:
    """Addends near the product and far below it, where rounding twice would show."""
    with np.errstate(all="ignore"):
        product = np.float32(a) * np.float32(b) * np.float32(2.0**shift)
    if np.isfinite(product):
        check_fma(a, b, float(product) * -1)
        check_fma(
            a, b, float((product.view(np.int32) ^ nudge).view(np.float32)) if nudge >= 0 else 2.0 ** (shift - 110)
        )


def check_fma(a: float, b: float, c: float) -> None:
    if not math.isfinite(c):
        return
    got = numerics.fma(np.float32(a), np.float32(b), np.float32(c))
    c = float(np.float32(c))
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    expected = rounded(exact, a * b + c)
    assert same_bits(np.asarray(got), np.asarray(expected))


def test_fma_where_rounding_twice_is_wrong() -> None:
    """The sum lies 2^-70 below a midpoint; binary64 rounds it to the midpoint, and the tie then goes the wrong way."""
    a, b, c = (np.float32(x) for x in (2.0**-12 * (1 + 2.0**-23), 2.0**-12 * (1 - 2.0**-23), 1 + 2.0**-23))
    assert numerics.fma(a, b, c) == np.float32(1 + 2.0**-23)
    assert np.float32(np.float64(a) * np.float64(b) + np.float64(c)) == np.float32(1 + 2.0**-22)


def test_fma_of_random_patterns_is_the_c_librarys() -> None:
    libm = ctypes.CDLL(None)
    if not hasattr(libm, "fmaf"):
        pytest.skip("no C fmaf in this process")
    fmaf = libm.fmaf
    fmaf.restype, fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    a, b, c = RANDOM.integers(0, 2**32, (3, 20_000), np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        c = (
            np.where(
                np.arange(c.size) % 2 == 0,
                c,
                (a * b).view(np.uint32) ^ RANDOM.integers(0, 64, c.size).astype(np.uint32) << 23,
            )
            .astype(np.uint32)
            .view(np.float32)
        )
    expected = np.array([fmaf(x, y, z) for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)], np.float32)
    assert same_bits(numerics.fma(a, b, c), expected)


def test_chains_are_steps_whatever_the_tiling() -> None:
    a = RANDOM.standard_normal((5, 300, 1)).astype(np.float32)
    b = RANDOM.standard_normal((5, 1, 257)).astype(np.float32)
    acc = np.zeros((300, 257), np.float32)
    for k in range(5):
        acc = numerics.fma(a[k], b[k], acc)
    assert same_bits(numerics.fma_chain(a, b, np.zeros((300, 257), np.float32)), acc)
    for dtype in (np.float64, np.int32, np.uint8):
        left, right = (x.astype(dtype) for x in (a * 100 if dtype != np.uint8 else np.abs(a) * 100, np.abs(b) * 100))
        acc = np.zeros((300, 257), dtype)
        with np.errstate(all="ignore"):
            for k in range(5):
                acc = acc + left[k] * right[k]
        assert same_bits(numerics.fma_chain(left, right, np.zeros((300, 257), dtype)), acc)


def test_chains_of_nothing() -> None:
    acc = np.float32([[1, 2]])
    assert numerics.fma_chain(np.zeros((0, 1, 1), np.float32), np.zeros((0, 1, 2), np.float32), acc).tolist() == [
        [1, 2]
    ]
    assert numerics.fma(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3))).shape == (0, 3)
    assert numerics.fma(np.float32(2), np.float32(3), np.float32(1)) == 7
    with pytest.raises(TypeError, match="float16"):
        numerics.fma(np.float16(1), np.float16(1), np.float16(1))
    with pytest.raises(ValueError, match="2 factors"):
        numerics.fma_chain(np.zeros((2, 1)), np.zeros((3, 1)), np.zeros(1))


def lane_sum_by_hand(terms: list[np.float32]) -> np.float32:
    """Section 2, word for word: lanes without a term take no part."""
    if not terms:
        return np.float32(0)
    sums: list[np.float32] = []
    for start in range(0, len(terms), 4096):
        lanes: list[np.float32 | None] = [None] * 16
        for r, x in enumerate(terms[start : start + 4096]):
            lane = lanes[r % 16]
            lanes[r % 16] = x if lane is None else lane + x
        for half in (8, 4, 2, 1):
            for i in range(half):
                low, high = lanes[i], lanes[i + half]
                lanes[i] = low if high is None else high if low is None else low + high
        assert lanes[0] is not None
        sums.append(lanes[0])
    return sums[0] if len(sums) == 1 else lane_sum_by_hand(sums)


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 100, 4095, 4096, 4097, 9000])
def test_lane_sum(count: int) -> None:
    x = (RANDOM.standard_normal(count) * 10.0 ** RANDOM.integers(-3, 3, count)).astype(np.float32)
    expected = lane_sum_by_hand(list(x))
    assert same_bits(numerics.lane_sum(x), np.asarray(expected))
    block = np.stack([x, -x], axis=-1)[None]
    got = numerics.lane_sum(block, (1,), keepdims=True)
    assert got.shape == (1, 1, 2)
    assert same_bits(got[0, 0, 0], np.asarray(expected))


def test_sums_keep_negative_zero_and_wrap() -> None:
    assert np.signbit(numerics.lane_sum(np.full(40, -0.0, np.float32)))
    assert not np.signbit(numerics.lane_sum(np.zeros(0, np.float32)))
    assert numerics.lane_product(np.zeros((0, 2), np.float32), (0,)).tolist() == [1, 1]
    assert numerics.lane_sum(np.full(3, 2**31 - 1, np.int32)) == np.int32(2**31 - 3)
    assert numerics.lane_sum(np.ones(3000, np.float16)).dtype == np.float32
    assert numerics.sequential_sum(np.float32([1e8, 1, -1e8]), 0).tolist() == [1e8, 1e8, 0]


def test_order_of_zeros_and_nan() -> None:
    for dtype in (np.float16, BFLOAT16, np.float32, np.float64):
        a, b = np.array([0.0, -0.0, np.nan, 1.0], dtype), np.array([-0.0, 0.0, 1.0, np.nan], dtype)
        for x, y in ((a, b), (b, a)):
            greater, lesser = numerics.maximum(x, y), numerics.minimum(x, y)
            assert np.signbit(greater[:2].astype(np.float32)).tolist() == [False, False]
            assert np.signbit(lesser[:2].astype(np.float32)).tolist() == [True, True]
            assert np.isnan(greater[2:].astype(np.float32)).all()
            assert np.isnan(lesser[2:].astype(np.float32)).all()
        assert not np.signbit(numerics.maximum_over(a[:2], (0,)).astype(np.float32))
        assert np.signbit(numerics.minimum_over(a[:2], (0,)).astype(np.float32))
        assert np.isnan(numerics.maximum_over(a, (0,)).astype(np.float32))


def test_conversions_saturate_and_round_once() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 2.9, -2.9, 255.5])
    assert numerics.to_integer(x, np.uint8).tolist() == [0, 255, 0, 255, 0, 2, 0, 255]
    assert numerics.to_integer(x, np.int64).tolist()[1:3] == [2**63 - 1, -(2**63)]
    midpoint = np.array([1 + 2.0**-8])  # of bfloat16
    assert numerics.round_to(midpoint, BFLOAT16).astype(float).tolist() == [1.0]
    assert numerics.round_to(midpoint + 2.0**-45, BFLOAT16).astype(float).tolist() == [1 + 2.0**-7]
    assert numerics.round_to(-midpoint - 2.0**-45, BFLOAT16).astype(float).tolist() == [-1 - 2.0**-7]


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    # name: (exact, bound in ULP of binary32, of binary64); docs/numerics.md, 3.5
    "exp": (mp.exp, 1, 1),
    "log": (mp.log, 1, 1),
    "erf": (mp.erf, 1.5, 1.5),
    "tanh": (mp.tanh, 1.5, 1.5),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), 2, 2),
    "softplus": (lambda x: mp.log1p(mp.exp(x)), 2, 2),
    "sin": (mp.sin, 1, 1),
    "cos": (mp.cos, 1, 1),
    "tan": (mp.tan, 1, 1.5),
    "asin": (mp.asin, 1, 1),
    "acos": (mp.acos, 1, 1),
    "atan": (mp.atan, 1, 1),
    "sinh": (mp.sinh, 1, 1.5),
    "cosh": (mp.cosh, 1, 1.5),
    "asinh": (mp.asinh, 1, 1),
    "acosh": (mp.acosh, 1, 1),
    "atanh": (mp.atanh, 1, 1),
}


def ulps(got: float, exact: Any, dtype: type) -> float:
    """The distance of `got` from `exact` in units of the last place of `exact`; 0 for a right overflow."""
    info = np.finfo(dtype)
    if abs(exact) >= mp.mpf(float(info.max)) * (1 + mp.mpf(2) ** -(info.nmant + 2)):
        return 0.0 if math.isinf(got) else math.inf
    least = mp.mpf(float(info.smallest_subnormal))
    unit = least if exact == 0 else max(mp.mpf(2) ** (mp.floor(mp.log(abs(exact), 2)) - info.nmant), least)
    return float(abs(mp.mpf(got) - exact) / unit)


def samples(name: str, dtype: type) -> Array:
    scales = [1.0, 5.0, 30.0, 110.0] + ([750.0] if dtype is np.float64 else [])
    parts = [RANDOM.uniform(-s, s, 150) for s in scales]
    parts.append(RANDOM.choice([-1, 1], 150) * 10.0 ** RANDOM.uniform(-30, 0, 150))
    if name in ("asin", "acos", "atanh"):  # what is inside [-1, 1], and numbers next to its ends
        ends = 1 - 10.0 ** RANDOM.uniform(-16, 0, 300)
        return np.concatenate([parts[0], parts[-1], ends, -ends]).astype(dtype)
    if name == "acosh":
        parts = [1 + 10.0 ** RANDOM.uniform(-16, 2, 450), 10.0 ** RANDOM.uniform(0, 38, 150)]
    if name in ("sin", "cos", "tan"):
        parts.append(RANDOM.integers(1, 10**6, 150) * (np.pi / 2))
        parts.append(10.0 ** RANDOM.uniform(0, 38 if dtype is np.float32 else 300, 150))
    x = np.concatenate(parts).astype(dtype)
    return np.concatenate([np.abs(x), 1 + x[:150] / 1000]) if name == "log" else x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_keep_their_bound(name: str, dtype: type) -> None:
    exact, *bounds = FUNCTIONS[name]
    x = samples(name, dtype)
    y = getattr(numerics, name)(x)
    assert y.dtype == dtype
    with mp.workdps(60):
        worst = max(ulps(got, exact(mp.mpf(at)), dtype) for at, got in zip(x.tolist(), y.tolist(), strict=True))
    assert worst <= bounds[dtype is np.float64]


CIRCULAR = ("tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
LIBM = {name: getattr(np, name.replace("as", "arcs").replace("ac", "arcc").replace("at", "arct")) for name in CIRCULAR}


def worst_ulps(name: str, x: Array, wide: Any) -> float:
    """The largest error of a function in ULP of x's type, against the C library's in a wider type."""
    y = getattr(numerics, name)(x)
    with np.errstate(all="ignore"):
        exact = LIBM[name](x.astype(wide))
        rounded_exact = exact.astype(x.dtype)
    assert (np.isnan(exact) == np.isnan(y.astype(wide))).all()
    finite = np.isfinite(y) & np.isfinite(rounded_exact)
    same = (y == rounded_exact) | (y != y)
    assert same[~finite].all()
    info = ml_dtypes.finfo(x.dtype)  # type: ignore[no-untyped-call]
    exponent = np.frexp(np.abs(exact[finite]))[1] - (info.nmant + 1)
    unit = np.ldexp(wide(1), np.maximum(exponent, round(math.log2(float(info.smallest_subnormal)))))
    return float(np.max(np.abs(y[finite].astype(wide) - exact[finite]) / unit, initial=0))


@pytest.mark.parametrize("name", CIRCULAR)
def test_circular_functions_of_every_16_bit_number(name: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    for dtype in (np.dtype(np.float16), BFLOAT16):
        assert worst_ulps(name, every.view(dtype), np.float64) <= 0.501


@pytest.mark.parametrize("name", CIRCULAR)
def test_circular_functions_of_many_numbers(name: str) -> None:
    """Random patterns, numbers about 1 and -1, and some of moderate size: nearly all rounded right in binary32."""
    near = np.concatenate(
        [RANDOM.uniform(-1, 1, 200_000), RANDOM.uniform(-100, 100, 200_000), np.linspace(0.999, 1.001, 100_000)]
    )
    patterns = RANDOM.integers(0, 2**32, 1_000_000, np.uint32).view(np.float32)
    assert worst_ulps(name, np.concatenate([patterns, near.astype(np.float32)]), np.float64) <= 0.502
    wide = np.concatenate([near, RANDOM.uniform(-720, 720, 50_000), 10.0 ** RANDOM.uniform(-300, 8, 50_000)])
    assert worst_ulps(name, wide, np.longdouble) <= FUNCTIONS[name][2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tangent_beside_its_poles(dtype: type) -> None:
    """The numbers next to odd multiples of pi/2, of every size, where the result is greatest."""
    with mp.workdps(400):
        places = [mp.mpf(2 * int(10**k) + 1) * mp.pi / 2 for k in np.linspace(0, 37, 120)]
        x = np.array([float(place) for place in places]).astype(dtype)
        x = np.concatenate([x, np.nextafter(x, dtype(0)), np.nextafter(x, dtype(np.inf))])
        exact = [mp.tan(mp.mpf(value)) for value in x.tolist()]
        got = numerics.tan(x).tolist()
        assert (
            max(ulps(y, want, dtype) for y, want in zip(got, exact, strict=True))
            <= FUNCTIONS["tan"][1 + (dtype is np.float64)]
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_power_keeps_its_bound(dtype: type) -> None:
    x = np.concatenate(
        [RANDOM.uniform(0, 4, 300), 10.0 ** RANDOM.uniform(-30, 30, 300), 1 + RANDOM.uniform(-1e-4, 1e-4, 200)]
    )
    y = np.concatenate([RANDOM.uniform(-9, 9, 300), RANDOM.uniform(-8, 8, 300), RANDOM.uniform(-3e5, 3e5, 200)])
    x, y = x.astype(dtype), y.astype(dtype)
    with mp.workdps(60):
        results = zip(x.tolist(), y.tolist(), numerics.power(x, y).tolist(), strict=True)
        assert max(ulps(got, mp.mpf(a) ** mp.mpf(b), dtype) for a, b, got in results) <= 1


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32, np.float64])
def test_special_values(dtype: Any) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)
    nan, inf = math.nan, math.inf
    expected = {
        "exp": [1, 1, inf, 0, nan],
        "log": [-inf, -inf, inf, nan, nan],
        "erf": [0.0, -0.0, 1, -1, nan],
        "tanh": [0.0, -0.0, 1, -1, nan],
        "sigmoid": [0.5, 0.5, 1, 0, nan],
        "sin": [0.0, -0.0, nan, nan, nan],
        "cos": [1, 1, nan, nan, nan],
        "tan": [0.0, -0.0, nan, nan, nan],
        "asin": [0.0, -0.0, nan, nan, nan],
        "atan": [0.0, -0.0, math.pi / 2, -math.pi / 2, nan],
        "sinh": [0.0, -0.0, inf, -inf, nan],
        "cosh": [1, 1, inf, inf, nan],
        "asinh": [0.0, -0.0, inf, -inf, nan],
        "acosh": [nan, nan, inf, nan, nan],
        "atanh": [0.0, -0.0, nan, nan, nan],
    }
    for name, values in expected.items():
        assert same_bits(getattr(numerics, name)(x), np.array(values, dtype)), name
    assert same_bits(numerics.softplus(x)[2:], np.array([inf, 0, nan], dtype))
    ends = np.array([1, -1, 2, -2], dtype)
    assert same_bits(numerics.acosh(ends)[[0, 1, 3]], np.array([0.0, nan, nan], dtype))
    assert same_bits(numerics.atanh(ends), np.array([inf, -inf, nan, nan], dtype))
    assert same_bits(numerics.acos(ends), np.array([0.0, math.pi, nan, nan], dtype))
    assert same_bits(numerics.asin(ends), np.array([math.pi / 2, -math.pi / 2, nan, nan], dtype))


def test_thresholds_of_exp() -> None:
    x = np.float32([88.72283, 88.722839, 88.72284, -87.33655, -103.97207, -103.97208, -103.97209])
    y = numerics.exp(x)
    assert np.isfinite(y[0])
    assert y[2] == np.inf
    assert 0 < y[3] < 2.0**-125
    assert y[4:].tolist() == [2.0**-149, 2.0**-149, 0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_power_has_the_special_cases_of_c(dtype: type) -> None:
    values = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2, -2, 0.5, -0.5, 3, -3], dtype)
    base, exponent = (grid.ravel() for grid in np.meshgrid(values, values))
    got = numerics.power(base, exponent)
    for a, b, y in zip(base.tolist(), exponent.tolist(), got.tolist(), strict=True):
        try:
            expected = math.pow(a, b)
        except ValueError:  # Python raises where C returns NaN or, for a zero base, infinity
            expected = math.nan if a != 0 else math.copysign(math.inf, a if b % 2 == 1 else 1.0)
        close = dtype(expected)
        assert y == pytest.approx(float(close), rel=float(np.finfo(dtype).eps), nan_ok=True), (a, b)
        if not math.isnan(expected):
            assert math.copysign(1, y) == math.copysign(1, expected), (a, b)


def test_power_of_integers_and_mixed_types() -> None:
    x = np.array([2, -1, -1, 3, 0, 1, -2, 0], np.int32)
    y = np.array([-1, -3, -2, 40, 0, -9, 31, -2], np.int64)
    assert numerics.power(x, y).tolist() == [0, -1, 1, 3**40 % 2**32, 1, 1, -(2**31), 0]
    assert numerics.power(np.int64([2, 9]), np.float32([0.5, 0.5])).tolist() == [1, 3]
    assert numerics.power(np.float32([3]), np.int64([3])).dtype == np.float32
    x = np.float32([1.1, 3.3e-20])
    assert same_bits(numerics.power(x, np.float32([2, 2])), x * x)
    assert numerics.power(np.float32([-1]), np.int64([2**24 + 1])).tolist() == [-1]


def test_coefficients_are_those_of_the_tool() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/coefficients.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
