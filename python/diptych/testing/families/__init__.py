"""Shape rules, one module a family of operators. Importing this package fills `diptych.testing.sketch.RULES`."""

from diptych.testing.families import (
    constant,
    control_flow,
    conv,
    detection,
    elementwise,
    image,
    indexing,
    matmul,
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
    "detection",
    "elementwise",
    "image",
    "indexing",
    "matmul",
    "normalization",
    "pool",
    "quantization",
    "recurrent",
    "reduce",
    "resize",
    "shape",
]
