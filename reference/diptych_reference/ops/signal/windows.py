"""Window functions: sums of cosines of fractions of the circle, in binary64, converted once to the output's type."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError
from diptych_reference.numerics import is_float, round_to, to_integer
from diptych_reference.numerics.circle import circle
from diptych_reference.operator import Array, operator
from diptych_reference.ops.signal.fourier import scalar
from diptych_reference.signature import dtype_of


@operator("HannWindow", since=17)
def hann_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """`0.5 - 0.5 cos`."""
    return window(size, output_datatype, periodic, (0.5, 0.5, 0.0))


@operator("HammingWindow", since=17)
def hamming_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """`25/46 - 21/46 cos`, the factors rounded to binary64."""
    return window(size, output_datatype, periodic, (25 / 46, 21 / 46, 0.0))


@operator("BlackmanWindow", since=17)
def blackman_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """`(0.42 + 0.08 cos of the double angle) - 0.5 cos`: in this order the ends are 0 and the peak is 1."""
    return window(size, output_datatype, periodic, (0.42, 0.5, 0.08))


def window(size: Array, output_datatype: int, periodic: int, factors: tuple[float, float, float]) -> Array:
    """Element k: `rn(rn(a0 + rn(a2 * cos(4 pi k / N))) - rn(a1 * cos(2 pi k / N)))`, a0 alone in front if a2 is 0.

    N is the size of a periodic window, one less of a symmetric one; a symmetric window of one element is 1.
    """
    dtype = number_type(output_datatype)
    count = scalar(size, "size")
    if periodic not in (0, 1) or count < 0:
        raise InvalidInputError(f"a window of size {count} with periodic={periodic}: expected 0 or more, and 0 or 1")
    n = count if periodic else count - 1
    if count == 1 and n == 0:
        return converted(np.ones(1), dtype)
    a0, a1, a2 = factors
    k = np.arange(count, dtype=np.int64) % max(n, 1)
    level = a0 + a2 * circle(2 * k % max(n, 1), max(n, 1))[0] if a2 else a0
    return converted(level - a1 * circle(k, max(n, 1))[0], dtype)


def number_type(output_datatype: int) -> np.dtype[Any]:
    """The output's type: a floating-point number of 16 bits or more, or an integer of 8 bits or more."""
    dtype = dtype_of(output_datatype)
    if not is_float(dtype) and (dtype.kind not in "iu" or dtype.num >= 256):
        raise InvalidModelError(f"output_datatype {output_datatype} ({dtype}), expected a type of numbers")
    return dtype


def converted(values: Array, dtype: np.dtype[Any]) -> Array:
    """binary64 in the output's type: rounded once, or toward zero."""
    return round_to(values, dtype) if is_float(dtype) else to_integer(values, dtype)
