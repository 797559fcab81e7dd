"""Layer normalization with the additions before it, as ONNX Runtime's optimizer fuses them."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect

SCHEMAS = collect()
