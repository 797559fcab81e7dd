"""Oracles, one module a family of operators. Importing this package fills `ORACLES` and `MOVERS`."""

from tests.ops.oracles import (
    elementwise,
    linear,
    matmul,
    ml,
    normalization,
    quantization,
    random,
    recurrent,
    reduce,
    resize,
    sequence,
    shape,
    text,
    windows,
)
from tests.ops.oracles.base import MOVERS, ORACLES, WIDE, Expected, bounded, wide

__all__ = [
    "MOVERS",
    "ORACLES",
    "WIDE",
    "Expected",
    "bounded",
    "elementwise",
    "linear",
    "matmul",
    "ml",
    "normalization",
    "quantization",
    "random",
    "recurrent",
    "reduce",
    "resize",
    "sequence",
    "shape",
    "text",
    "wide",
    "windows",
]
