"""Oracles, one module a family of operators. Importing this package fills `ORACLES` and `MOVERS`."""

from tests.ops.oracles import (
    detection,
    elementwise,
    image,
    matmul,
    normalization,
    quantization,
    recurrent,
    reduce,
    resize,
    shape,
    windows,
)
from tests.ops.oracles.base import MOVERS, ORACLES, WIDE, Expected, bounded, wide

__all__ = [
    "MOVERS",
    "ORACLES",
    "WIDE",
    "Expected",
    "bounded",
    "detection",
    "elementwise",
    "image",
    "matmul",
    "normalization",
    "quantization",
    "recurrent",
    "reduce",
    "resize",
    "shape",
    "wide",
    "windows",
]
