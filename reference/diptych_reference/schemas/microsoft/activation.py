"""Activations, as ONNX Runtime's optimizer fuses them."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect, declare

TYPES = {"T": ["float", "double", "float16", "bfloat16"]}

SCHEMAS = collect(
    declare("Gelu", "x / 2 * (1 + erf(x / sqrt(2))).", inputs="X:T", outputs="Y:T", types=TYPES),
    declare("BiasGelu", "Gelu of A + B.", inputs="A:T B:T", outputs="C:T", types=TYPES),
    declare("FastGelu", "Gelu with tanh, of X + bias.", inputs="X:T bias?:T", outputs="Y:T", types=TYPES),
    declare(
        "QuickGelu",
        "x * sigmoid(alpha * x).",
        inputs="X:T",
        outputs="Y:T",
        types=TYPES,
        attributes={"alpha": 1.702},
    ),
)
