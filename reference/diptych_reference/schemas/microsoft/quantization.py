"""Quantized weights that are not factors of a product."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect, declare

SCHEMAS = collect(
    declare(
        "GatherBlockQuantized",
        "Gather from data that is quantized in blocks along an axis; what is gathered is dequantized.",
        inputs="data:T1 indices:Tind scales:T2 zero_points?:T1",
        outputs="output:T2",
        types={
            "T1": [
                "int4",
                "uint4",
                "uint8",
                "float8e4m3fn",
                "float8e4m3fnuz",
                "float8e5m2",
                "float8e5m2fnuz",
                "float4e2m1",
            ],
            "T2": ["float", "float16", "bfloat16"],
            "Tind": ["int32", "int64"],
        },
        attributes={"bits": 4, "block_size": 128, "gather_axis": 0, "quantize_axis": 1},
    ),
)
