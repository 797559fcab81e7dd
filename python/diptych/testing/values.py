"""Tensors with contents that find bugs: plain patterns, random numbers, and a few special values put in by hand.

A seed alone never finds a lost NaN or -0, and drawing thousands of elements one by one is slow and shrinks badly. So a
tensor is a pattern (an iota, small integers, one-hot, normal numbers, numbers of very different size, random bits) with
up to four edits, which Hypothesis deletes one by one when it shrinks.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from onnx import helper

from diptych.testing.draws import Draw
from diptych.testing.shapes import choose, integer

__all__ = ["Array", "is_floating", "numpy_dtype", "onnx_name", "pattern", "special_values", "tensor"]

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for bits in (64, 32, 16, 8) for sign in ("", "u")},
    "bool": np.dtype(np.bool_),
    "string": np.dtype(object),
    "complex64": np.dtype(np.complex64),
    "complex128": np.dtype(np.complex128),
    "float8e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "float8e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "float8e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "float8e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "float4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
    "float6e2m3": np.dtype(ml_dtypes.float6_e2m3fn),
    "float6e3m2": np.dtype(ml_dtypes.float6_e3m2fn),
    **{f"{sign}int{bits}": np.dtype(getattr(ml_dtypes, f"{sign}int{bits}")) for bits in (4, 2) for sign in ("", "u")},
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
STRINGS = ("", "a", "b", "ab", "-1.5", "äöü", "日本", "NaN", "7")
PATTERNS = ("iota", "small", "one_hot", "normal", "spread", "bits")


def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's dtype of an ONNX element type such as `float8e5m2`; strings are object arrays."""
    return DTYPES[name]


def onnx_name(dtype: Any) -> str:
    """ONNX's name of a NumPy dtype."""
    return NAMES[np.dtype(dtype)]


def onnx_number(dtype: Any) -> int:
    """TensorProto.DataType of a NumPy dtype."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


@cache
def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether elements of `dtype` are floating-point numbers of any width."""
    return onnx_name(dtype).startswith(("float", "double", "bfloat"))


@cache
def integer_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Least and greatest value of an integer dtype, sub-byte ones included."""
    info = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return int(info.min), int(info.max)


@cache
def special_values(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Values that break implementations: signed zeros, NaN, infinities, subnormals, extremes, halves, near-ties."""
    if dtype.kind == "O":
        return STRINGS
    if dtype.kind == "b":
        return (False, True)
    if dtype.kind == "c":
        return (complex(0), complex(-0.0, 1), complex(math.nan, 1), complex(math.inf, -1))
    if not is_floating(dtype):
        least, greatest = integer_range(dtype)
        return tuple(sorted({0, 1, greatest, least, max(least, -1), greatest - 1}, key=abs))
    if dtype.itemsize == 1:
        return (0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf)
    info = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    top, tiny, small = (float(v) for v in (info.max, info.smallest_normal, info.smallest_subnormal))
    eps = float(info.eps)
    ordinary = (-0.0, 0.0, 1.0, -1.0, 0.5, 2.5, 1 + eps, -88.7, 709.5)
    # In binary32 ties of float16 and bfloat16; in binary64 just above them, so that rounding twice makes them ties.
    ties = tuple(1 + 2.0**-place + 2.0**-40 for place in (11, 8))
    return (*ordinary, *ties, math.nan, math.inf, -math.inf, top, -top, tiny, small, -small, tiny - small)


def tensor(draw: Draw, dtype: Any, shape: tuple[int, ...], *, specials: bool = True) -> Array:
    """A tensor of any dtype: a pattern with up to four edits. `specials=False`: finite, moderate numbers only."""
    dtype = np.dtype(dtype)
    size = math.prod(shape)
    kinds = PATTERNS if specials else PATTERNS[:4]
    kind = choose(draw, kinds) if size else "iota"
    seed = integer(draw, 0, 0xFFFF) if size and kind != "iota" else 0
    flat = pattern(kind, dtype, size, seed)
    if specials and size:
        for place, value in draw.edits(special_values(dtype)):
            with np.errstate(all="ignore"):
                flat[place % size] = value if dtype.kind == "O" else np.array(value).astype(dtype)
    return flat.reshape(shape)


def pattern(kind: str, dtype: np.dtype[Any], size: int, seed: int) -> Array:
    """A flat array of `size` elements, one of PATTERNS. Random ones depend on `seed` alone."""
    random = np.random.default_rng(seed)
    if dtype.kind == "O":
        picks = np.arange(size) if kind == "iota" else random.integers(0, len(STRINGS), size)
        return np.array([STRINGS[i % len(STRINGS)] for i in picks] + [""], dtype=object)[:size]
    if dtype.kind == "b":
        return np.arange(size) % 2 == 1 if kind == "iota" else random.random(size) < 0.5
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")  # real and imaginary ones side by side
        return np.stack([_floats(kind, part, size, random) for _ in range(2)], axis=-1).view(dtype).reshape(size)
    return _floats(kind, dtype, size, random) if is_floating(dtype) else _integers(kind, dtype, size, random)


def _floats(kind: str, dtype: np.dtype[Any], size: int, random: np.random.Generator) -> Array:
    """Floating-point patterns."""
    if kind == "bits" and ml_dtypes.finfo(dtype).bits >= 8:  # type: ignore[no-untyped-call]
        return np.frombuffer(random.bytes(size * dtype.itemsize), dtype=dtype).copy()
    with np.errstate(all="ignore"):
        return _numbers(kind, size, random).astype(dtype)


def _numbers(kind: str, size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Finite numbers of a pattern, in float64."""
    if kind == "iota":
        return np.arange(size).astype(np.float64)
    if kind == "small":
        return random.integers(-3, 4, size).astype(np.float64)
    if kind == "one_hot":  # a full mantissa times 1 must survive any product bit by bit
        numbers = np.zeros(size)
        numbers[random.integers(0, size)] = 1.0 if random.random() < 0.5 else 1 + random.random()
        return numbers
    normal = random.normal(size=size) * random.choice([1.0, 1.0, 0.01, 30.0])
    exponents = random.integers(-30, 31, size) if kind in ("spread", "bits") else np.zeros(size)
    return np.asarray(normal * np.exp2(exponents), dtype=np.float64)


def _integers(kind: str, dtype: np.dtype[Any], size: int, random: np.random.Generator) -> Array:
    """Integer patterns; what does not fit keeps its low bits."""
    least, greatest = integer_range(dtype)
    if kind == "iota":
        return (np.arange(size) % min(greatest + 1, 1 << 31)).astype(dtype)
    if kind == "small":
        return random.integers(max(-3, least), min(4, greatest + 1), size).astype(dtype)
    if kind == "one_hot":
        numbers = np.zeros(size, dtype)
        numbers[random.integers(0, size)] = 1
        return numbers
    if kind == "normal":
        return random.integers(max(-100, least), min(100, greatest), size, endpoint=True).astype(dtype)
    wide = np.uint64 if least == 0 else np.int64
    return random.integers(least, greatest, size, dtype=wide, endpoint=True).astype(dtype)
