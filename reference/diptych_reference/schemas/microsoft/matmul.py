"""Products of matrices: fused, and with weights of a few bits."""

from __future__ import annotations

from diptych_reference.schemas.declaration import Required, collect, declare

SCHEMAS = collect(
    declare(
        "FusedMatMul",
        "MatMul of operands that may be transposed, times a factor.",
        inputs="A:T B:T",
        outputs="Y:T",
        types={"T": ["float", "double", "float16", "bfloat16"]},
        attributes={"alpha": 1.0, "transA": 0, "transB": 0, "transBatchA": 0, "transBatchB": 0},
    ),
    declare(
        "MatMulIntegerToFloat",
        "MatMulInteger whose result is scaled to floating point, plus a bias.",
        inputs="A:T1 B:T2 a_scale:T3 b_scale:T3 a_zero_point?:T1 b_zero_point?:T2 bias?:T3",
        outputs="Y:T3",
        types={"T1": ["int8", "uint8"], "T2": ["int8", "uint8"], "T3": ["float", "float16"]},
    ),
    declare(
        "DynamicQuantizeMatMul",
        "MatMul of A, quantized as it comes, and a quantized B, plus a bias.",
        inputs="A:T1 B:T2 b_scale:T1 b_zero_point?:T2 bias?:T1",
        outputs="Y:T1",
        types={"T1": ["float"], "T2": ["int8", "uint8"]},
    ),
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
