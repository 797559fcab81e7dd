"""Values as Python source that makes them again to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["literal"]


def literal(value: Any) -> str:
    """Source of an array, a list of arrays, a dict, None; `np` and `ml_dtypes` are names in it."""
    if value is None:
        return "None"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {literal(np.asarray(item))}" for key, item in value.items()) + "}"
    return _array(np.asarray(value))


def _array(array: np.ndarray[Any, Any]) -> str:
    """Source of an array; its shape is written where the brackets do not tell."""
    name = array.dtype.name
    dtype = "object" if array.dtype.kind in "OSU" else f"ml_dtypes.{name}" if array.dtype.kind == "V" else f"np.{name}"
    if array.dtype.isbuiltin != 1 and array.dtype.kind != "O":
        dtype = f"ml_dtypes.{name}"
    dtype = "np.bool_" if name == "bool" else dtype
    if array.size == 0:
        return f"np.empty({list(array.shape)}, {dtype})"
    return f"np.array({_nested(array)}, {dtype})"


def _nested(array: np.ndarray[Any, Any]) -> str:
    """Brackets around brackets around elements."""
    if array.ndim == 0:
        return _element(array)
    return f"[{', '.join(_nested(np.asarray(item, dtype=array.dtype)) for item in array)}]"


def _element(array: np.ndarray[Any, Any]) -> str:
    """One element: the shortest text that gives it back."""
    kind, name = array.dtype.kind, array.dtype.name
    if kind == "O":
        return repr(str(array[()]))
    if kind == "c":
        return f"complex({_number(array.real)}, {_number(array.imag)})"
    if kind in "biu" or (kind == "V" and "float" not in name):
        return repr(array.item() if kind != "V" else int(array[()]))
    return _number(array)


def _number(array: np.ndarray[Any, Any]) -> str:
    """A float."""
    number = float(array[()])
    if np.isnan(number):
        return "np.nan"
    if np.isinf(number):
        return "np.inf" if number > 0 else "-np.inf"
    short = str(array[()])
    short = short if any(mark in short for mark in ".e") else f"{short}.0"  # -0 would be an integer
    return short if np.asarray(float(short)).astype(array.dtype) == array and "np." not in short else repr(number)
