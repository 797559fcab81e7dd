"""Shape rules, one module a family of operators. Importing this package fills `diptych.testing.sketch.RULES`."""

from diptych.testing.families import (
    constant,
    control_flow,
    conv,
    elementwise,
    indexing,
    linear,
    matmul,
    normalization,
    pool,
    quantization,
    random,
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
    "linear",
    "matmul",
    "normalization",
    "pool",
    "quantization",
    "random",
    "recurrent",
    "reduce",
    "resize",
    "shape",
]
