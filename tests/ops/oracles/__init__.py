"""Oracles, one module a family of operators. Importing this package fills `ORACLES` and `MOVERS`."""

from tests.ops.oracles import (
    attention,
    elementwise,
    matmul,
    normalization,
    quantization,
    recurrent,
    reduce,
    resize,
    shape,
    signal,
    windows,
)
from tests.ops.oracles.base import MOVERS, ORACLES, WIDE, Expected, bounded, wide

__all__ = [
    "MOVERS",
    "ORACLES",
    "WIDE",
    "Expected",
    "attention",
    "bounded",
    "elementwise",
    "matmul",
    "normalization",
    "quantization",
    "recurrent",
    "reduce",
    "resize",
    "shape",
    "signal",
    "wide",
    "windows",
]
