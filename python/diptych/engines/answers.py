"""What other engines return, as Diptych's sessions return it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["as_values"]


def as_values(outputs: Sequence[Any]) -> list[Any]:
    """Return outputs with strings as object arrays and NumPy's scalars as arrays of rank 0."""
    return [_value(output) for output in outputs]


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return as_values(value)
    if value is None or isinstance(value, dict):
        return value
    result = np.asarray(value)
    return result.astype(object) if result.dtype.kind in "US" else result
