"""Cast: every element type into every other (docs/numerics.md, section 1).

The small types (float8, float6, float4, int4, int2) hold few values, so each has its own answer to what does not fit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto

from diptych_reference.errors import InvalidInputError, InvalidModelError
from diptych_reference.numerics import is_float, round_to, to_integer
from diptych_reference.numerics.conversion import round_to_odd
from diptych_reference.operator import Array, operator
from diptych_reference.signature import DTYPE_NAMES, dtype_of

SMALL_INTEGERS = {np.dtype(t): bits for t, bits in ((ml_dtypes.int4, 4), (ml_dtypes.int2, 2))}
SMALL_UNSIGNED = {np.dtype(t): bits for t, bits in ((ml_dtypes.uint4, 4), (ml_dtypes.uint2, 2))}
SMALL_FLOATS = {
    np.dtype(getattr(ml_dtypes, name))
    for name in (
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float6_e2m3fn",
        "float6_e3m2fn",
        "float4_e2m1fn",
    )
}
ELEMENT_NUMBERS = dict(TensorProto.DataType.items())
E8M0 = np.dtype(ml_dtypes.float8_e8m0fnu)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE | re.ASCII)
INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


@operator("Cast", since=(6, 9, 13, 19, 21, 23, 24, 25, 28))
def cast(input: Array, *, to: int, saturate: int = 1, round_mode: str = "up") -> Array:
    """`input` as element type `to`.

    `saturate` (19) is for float8 alone, `round_mode` (24; up, down, nearest) for float8e8m0.
    """
    return converted(input, dtype_of(to), saturate, round_mode)


def converted(input: Array, dtype: np.dtype[Any], saturate: int, round_mode: str) -> Array:
    """`input` as `dtype`."""
    if round_mode not in ("up", "down", "nearest"):
        raise InvalidModelError(f"round_mode {round_mode!r}: expected up, down or nearest")
    if input.dtype == dtype:
        return input.copy()
    if input.dtype.kind == "O":
        return from_strings(input, dtype, saturate, round_mode)
    if dtype.kind == "O":
        return to_strings(input)
    return cast_numbers(input, dtype, saturate, round_mode)


def cast_numbers(x: Array, dtype: np.dtype[Any], saturate: int, round_mode: str) -> Array:
    """Between types of numbers."""
    if dtype.kind == "b":
        return np.asarray(exact(x) != 0)
    if dtype.kind in "iu" or dtype in SMALL_INTEGERS or dtype in SMALL_UNSIGNED:
        return to_integers(exact(x), dtype)
    if is_float(dtype):
        return to_floats(exact(x), dtype)
    if dtype == E8M0:
        return to_e8m0(exact(x), saturate, round_mode)
    return to_small_floats(exact(x), dtype, saturate)


def exact(x: Array) -> Array:
    """The same numbers in a type NumPy computes in: int64 or uint64 for integers, float32 or float64 for floats."""
    if x.dtype in SMALL_INTEGERS or x.dtype in SMALL_UNSIGNED or x.dtype == bool:
        return x.astype(np.int64)
    if x.dtype.kind in "iu":
        return x.astype(np.uint64 if x.dtype.kind == "u" else np.int64)
    return x if x.dtype == np.float64 else x.astype(np.float32)


def to_integers(x: Array, dtype: np.dtype[Any]) -> Array:
    """Integers keep their low bits; floats go toward zero and saturate, NaN gives 0.

    Floats go to the 4- and 2-bit types by way of int8, whose low bits are kept.
    """
    bits = SMALL_INTEGERS.get(dtype) or SMALL_UNSIGNED.get(dtype)
    if bits is None:
        return to_integer(x, dtype) if x.dtype.kind == "f" else x.astype(dtype)
    whole = to_integer(x, np.int8) if x.dtype.kind == "f" else x.astype(np.int8)
    kept = whole & np.int8((1 << bits) - 1)
    negative = dtype in SMALL_INTEGERS and (kept >> np.int8(bits - 1)) == 1
    return np.where(negative, kept - np.int8(1 << bits), kept).astype(dtype)


def to_floats(x: Array, dtype: np.dtype[Any]) -> Array:
    """`rn(x)` in float16, bfloat16, float32 or float64."""
    if x.dtype.kind == "f":
        return round_to(x, dtype)
    return x.astype(dtype) if dtype.itemsize > 2 else round_to(odd_float64(x), dtype)


def odd_float64(x: Array) -> Array:
    """64-bit integers in binary64, rounded to odd where 53 bits are too few: a later rounding acts as the only one."""
    wide = (x >> 53 != 0) & (x >> 53 != -1) if x.dtype == np.int64 else x >> np.uint64(53) != 0
    one, eleven = x.dtype.type(1), x.dtype.type(11)
    sticky = ((x & x.dtype.type(0x7FF)) != 0).astype(x.dtype)
    return np.where(wide, ((x >> eleven) | (sticky & one)) << eleven, x).astype(np.float64)


def odd_float32(x: Array) -> Array:
    """Numbers in binary32, rounded to odd where 24 bits are too few."""
    return round_to_odd(x.astype(np.float64) if x.dtype.kind == "f" else odd_float64(x))


def to_small_floats(x: Array, dtype: np.dtype[Any], saturate: int) -> Array:
    """`rn(x)` in a float of 4, 6 or 8 bits. Saturating, infinity and all that is too great become the greatest number.

    Not saturating, they become what the type has for them: infinity, else NaN. The 4- and 6-bit types have neither:
    they always saturate, and NaN gives -0.
    """
    near = odd_float32(x)
    if not dtype.name.startswith("float8"):
        near, saturate = np.where(np.isnan(near), np.float32(-0.0), near), 1
    top = np.float32(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
    return (np.clip(near, -top, top) if saturate else near).astype(dtype)


def to_e8m0(x: Array, saturate: int, round_mode: str) -> Array:
    """Powers of two 2**-127 .. 2**127, no sign: |x| rounded up, down or to the nearest (ties up) power; NaN stays.

    Saturating, infinity and what is too great become 2**127, zero and what is too small 2**-127; else NaN.
    """
    size = np.abs(odd_float32(x)).astype(np.float64)
    fraction, exponent = np.frexp(size)  # size = fraction * 2**exponent, fraction in [1/2, 1)
    power = exponent.astype(np.int64) - 1
    above = {"up": fraction > 0.5, "down": np.zeros(x.shape, bool), "nearest": fraction >= 0.75}[round_mode]
    code = power + above + 127
    small, great = (code < 0) | (size == 0), (code > 254) | np.isinf(size)
    code = np.where(small, 0 if saturate else 255, np.where(great, 254 if saturate else 255, code))
    return np.where(np.isnan(size), 255, code).astype(np.uint8).view(E8M0)


def to_strings(x: Array) -> Array:
    """The shortest decimal that reads back as the same number; NaN, INF, -INF; 1 and 0 for bool."""
    wide = x if is_float(x.dtype) and x.dtype.kind == "f" else exact(x)
    result = np.empty(x.size, dtype=object)
    result[:] = [spelled(value) for value in wide.reshape(-1)]
    return result.reshape(x.shape)


def spelled(value: Any) -> str:
    """One number as text: digits in place from 1e-4 to 1e16, else with an exponent, whatever NumPy's `str` likes."""
    if not isinstance(value, np.floating):
        return str(value)
    if not np.isfinite(value):
        return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    if value == 0 or 1e-4 <= abs(float(value)) < 1e16:
        return np.format_float_positional(value, unique=True, trim="0")
    return np.format_float_scientific(value, unique=True, trim="-", exp_digits=2)


def from_strings(x: Array, dtype: np.dtype[Any], saturate: int, round_mode: str) -> Array:
    """Decimal numbers as `dtype`: integers must be written as such and fit, others go through the nearest binary64."""
    strings = [str(value).strip() for value in x.reshape(-1)]
    if dtype.kind in "iu":
        values: list[Any] = [parsed(text, INTEGER, int) for text in strings]
        ends = np.iinfo(dtype)
        if any(not ends.min <= value <= ends.max for value in values):
            raise InvalidInputError(f"a number does not fit {DTYPE_NAMES[dtype]}")
        return np.array(values, dtype=dtype).reshape(x.shape)
    numbers = np.array([parsed(text, NUMBER, float) for text in strings], dtype=np.float64).reshape(x.shape)
    return numbers if dtype == np.float64 else cast_numbers(numbers, dtype, saturate, round_mode)


def parsed(text: str, pattern: re.Pattern[str], convert: Callable[[str], Any]) -> Any:
    """`text` as a number; InvalidInputError where it is none."""
    if not pattern.fullmatch(text):
        raise InvalidInputError(f"{text[:40]!r} is no {'integer' if convert is int else 'number'}")
    try:
        return convert(text)
    except ValueError as error:  # Python bounds the digits of an int
        raise InvalidInputError(f"{text[:40]!r}…: {error}") from error


@operator("CastLike", since=(15, 19, 21, 23, 24, 25))
def cast_like(input: Array, target_type: Array, *, saturate: int = 1, round_mode: str = "up") -> Array:
    """Cast to the element type of `target_type`, whose elements do not matter."""
    return converted(input, target_type.dtype, saturate, round_mode)


@operator("Cast", since=1)
def cast_1(input: Array, *, to: str) -> Array:
    """Cast whose `to` is the name of the type as TensorProto has it, like FLOAT or INT64."""
    if to.upper() not in ELEMENT_NUMBERS:
        raise InvalidModelError(f"to = {to!r}: expected the name of a TensorProto.DataType")
    return cast(input, to=ELEMENT_NUMBERS[to.upper()])
