"""Products of matrices: fused, and with weights of a few bits."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect, declare

SCHEMAS = collect(
    declare(
        "FusedMatMul",
        "MatMul of operands that may be transposed, times a factor.",
        inputs="A:T B:T",
        outputs="Y:T",
        types={"T": ["float", "double", "float16", "bfloat16"]},
        attributes={"alpha": 1.0, "transA": 0, "transB": 0, "transBatchA": 0, "transBatchB": 0},
    ),
)
