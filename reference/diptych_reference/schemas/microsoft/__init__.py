"""Operators of ONNX Runtime, as its docs/ContribOperators.md declares them: `com.microsoft`, and its own in ai.onnx."""

from diptych_reference.schemas.microsoft import (
    activation,
    attention,
    matmul,
    normalization,
    qlinear,
    quantization,
    recurrent,
)

SCHEMAS = {
    **activation.SCHEMAS,
    **attention.SCHEMAS,
    **matmul.SCHEMAS,
    **normalization.SCHEMAS,
    **qlinear.SCHEMAS,
    **quantization.SCHEMAS,
    **recurrent.SCHEMAS,
}
