"""Products of matrices: fused, and with weights of a few bits."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect

SCHEMAS = collect()
