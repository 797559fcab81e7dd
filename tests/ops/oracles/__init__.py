"""Oracles, one module a family of operators. Importing this package fills `ORACLES` and `MOVERS`."""

from tests.ops.oracles import (
    activation,
    elementwise,
    loss,
    matmul,
    normalization,
    quantization,
    recurrent,
    reduce,
    resize,
    shape,
    training,
    windows,
)
from tests.ops.oracles.base import MOVERS, ORACLES, WIDE, Expected, bounded, wide

__all__ = [
    "MOVERS",
    "ORACLES",
    "WIDE",
    "Expected",
    "activation",
    "bounded",
    "elementwise",
    "loss",
    "matmul",
    "normalization",
    "quantization",
    "recurrent",
    "reduce",
    "resize",
    "shape",
    "training",
    "wide",
    "windows",
]
