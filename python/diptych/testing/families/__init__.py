"""Shape rules, one module a family of operators. Importing this package fills `diptych.testing.sketch.RULES`."""

from diptych.testing.families import (
    attention,
    constant,
    control_flow,
    conv,
    elementwise,
    indexing,
    matmul,
    normalization,
    pool,
    quantization,
    recurrent,
    reduce,
    resize,
    shape,
    signal,
)

__all__ = [
    "attention",
    "constant",
    "control_flow",
    "conv",
    "elementwise",
    "indexing",
    "matmul",
    "normalization",
    "pool",
    "quantization",
    "recurrent",
    "reduce",
    "resize",
    "shape",
    "signal",
]
