"""Quantized weights that are not factors of a product."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect

SCHEMAS = collect()
