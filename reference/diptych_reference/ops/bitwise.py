"""Operators on bit patterns: connectives and shifts of integers, and BitCast. Nothing is rounded."""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import InvalidModelError
from diptych_reference.operator import Array, operator
from diptych_reference.signature import DTYPE_NAMES, dtype_of


@operator("BitwiseNot", since=18)
def bitwise_not(x: Array) -> Array:
    """Every bit flipped."""
    return np.invert(x)


@operator("BitwiseAnd", since=18)
def bitwise_and(a: Array, b: Array) -> Array:
    """Bit by bit `a and b`."""
    return np.bitwise_and(a, b)


@operator("BitwiseOr", since=18)
def bitwise_or(a: Array, b: Array) -> Array:
    """Bit by bit `a or b`."""
    return np.bitwise_or(a, b)


@operator("BitwiseXor", since=18)
def bitwise_xor(a: Array, b: Array) -> Array:
    """Bit by bit `a xor b`."""
    return np.bitwise_xor(a, b)


@operator("BitShift", since=(11, 28))
def bit_shift(x: Array, y: Array, *, direction: str) -> Array:
    """`x` shifted by `y` bits to the LEFT or the RIGHT, where copies of the sign bit move in (0 for unsigned types).

    A count that is negative or not below the type's width moves all bits out: only what moves in is left.
    """
    if direction not in ("LEFT", "RIGHT"):
        raise InvalidModelError(f"direction is {direction!r}, expected LEFT or RIGHT")
    width = 8 * x.dtype.itemsize
    inside = (y >= 0) & (y < width)
    count = np.where(inside, y, np.zeros_like(y))  # NumPy leaves other counts to the CPU
    if direction == "LEFT":
        return np.where(inside, np.left_shift(x, count), np.zeros_like(x))
    return np.where(inside, np.right_shift(x, count), np.where(x < 0, ~np.zeros_like(x), np.zeros_like(x)))


BITS = {name: 8 * dtype.itemsize for dtype, name in DTYPE_NAMES.items() if dtype.kind != "O"}
BITS |= {"int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2, "float6e2m3": 6, "float6e3m2": 6}


@operator("BitCast", since=26)
def bit_cast(input: Array, *, to: int) -> Array:
    """The same bits as element type `to`, which has as many."""
    dtype = dtype_of(to)
    source, target = DTYPE_NAMES[input.dtype], DTYPE_NAMES[dtype]
    if BITS.get(source) != BITS.get(target):
        raise InvalidModelError(f"BitCast from {source} to {target}: the types must have equally many bits")
    return input.copy().view(dtype)
