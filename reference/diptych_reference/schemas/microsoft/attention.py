"""Attention over packed or cached keys and values, and its rotary embedding."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect

SCHEMAS = collect()
