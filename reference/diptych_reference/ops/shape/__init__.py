"""Operators that arrange elements anew and compute nothing: each output element is an input element, bit for bit.

Rounding program of the whole family: moves elements (NaN payloads and the sign of zero are kept). Every element type,
strings included. Shape and Size count.
"""

from diptych_reference.ops.shape import blocks, join, pad, repeat, rows, slices, transpose, view
from diptych_reference.ops.shape.arguments import integers, normalize_axes, normalize_axis

__all__ = [
    "blocks",
    "integers",
    "join",
    "normalize_axes",
    "normalize_axis",
    "pad",
    "repeat",
    "rows",
    "slices",
    "transpose",
    "view",
]
