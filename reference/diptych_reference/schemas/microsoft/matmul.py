"""Products of matrices: fused, and with weights of a few bits."""

from __future__ import annotations

from diptych_reference.schemas.declaration import Required, collect, declare

SCHEMAS = collect(
    declare(
        "MatMulNBits",
        "A times weights of 2, 4 or 8 bits, which have a scale and a zero point a block along K.",
        inputs="A:T1 B:T2 scales:T1 zero_points?:T3 g_idx?:T4 bias?:T1",
        outputs="Y:T1",
        types={
            "T1": ["float", "float16", "bfloat16"],
            "T2": ["uint8"],
            "T3": ["uint8", "float", "float16", "bfloat16"],
            "T4": ["int32"],
        },
        attributes={
            "K": Required(int),
            "N": Required(int),
            "accuracy_level": 0,
            "bits": 4,
            "block_size": Required(int),
            "weight_prepacked": 0,
        },
    ),
)
