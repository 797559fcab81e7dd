"""The arithmetic that both panels agree on to the last bit: docs/numerics.md, sections 1 to 3, in NumPy.

Everything here is built from IEEE 754 add, subtract, multiply, divide, square root, comparisons and bit views.
NumPy's own `exp`, `sum`, `dot` or `power` are never used: their bits depend on the CPU and on NumPy's version.
"""

from diptych_reference.numerics.conversion import (
    accumulator,
    is_float,
    maximum,
    maximum_over,
    minimum,
    minimum_over,
    round_to,
    to_integer,
    widen,
)
from diptych_reference.numerics.functions import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    cos,
    cosh,
    erf,
    exp,
    log,
    power,
    sigmoid,
    sin,
    sinh,
    softplus,
    tan,
    tanh,
)
from diptych_reference.numerics.multiply_add import fma, fma_chain
from diptych_reference.numerics.sums import lane_product, lane_sum, sequential_product, sequential_sum

__all__ = [
    "accumulator",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "erf",
    "exp",
    "fma",
    "fma_chain",
    "is_float",
    "lane_product",
    "lane_sum",
    "log",
    "maximum",
    "maximum_over",
    "minimum",
    "minimum_over",
    "power",
    "round_to",
    "sequential_product",
    "sequential_sum",
    "sigmoid",
    "sin",
    "sinh",
    "softplus",
    "tan",
    "tanh",
    "to_integer",
    "widen",
]
