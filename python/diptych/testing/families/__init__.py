"""Shape rules, one module a family of operators. Importing this package fills `diptych.testing.sketch.RULES`."""

from diptych.testing.families import (
    constant,
    control_flow,
    conv,
    elementwise,
    indexing,
    matmul,
    ml,
    normalization,
    pool,
    quantization,
    recurrent,
    reduce,
    resize,
    shape,
)

__all__ = [
    "constant",
    "control_flow",
    "conv",
    "elementwise",
    "indexing",
    "matmul",
    "ml",
    "normalization",
    "pool",
    "quantization",
    "recurrent",
    "reduce",
    "resize",
    "shape",
]
