"""When are two results equal? docs/numerics.md: same dtype, same shape, each element bit-equal or both NaN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """How `actual` compares with `expected`.

    `problem` is "" for equal results, else one line that names the first difference. `differing` of `elements` elements
    differ; both are 0 where the kinds, dtypes or shapes already differ.
    """

    problem: str = ""
    elements: int = 0
    differing: int = 0
    index: tuple[int, ...] | None = None

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.problem


def compare(expected: Any, actual: Any) -> Comparison:
    """Compare two values as a model returns them: arrays, lists of values, dicts of numbers or strings, None."""
    if isinstance(expected, np.ndarray) and isinstance(actual, np.ndarray):
        return _compare_arrays(expected, actual)
    if isinstance(expected, list) and isinstance(actual, list):
        return _compare_lists(expected, actual)
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _compare_maps(expected, actual)
    if expected is None and actual is None:
        return Comparison()
    return Comparison(f"a {type(actual).__name__}, expected a {type(expected).__name__}")


def _compare_lists(expected: list[Any], actual: list[Any]) -> Comparison:
    """Sequences are equal if their lengths are and their items, one by one."""
    if len(expected) != len(actual):
        return Comparison(f"a sequence of {len(actual)}, expected {len(expected)}")
    items = [compare(e, a) for e, a in zip(expected, actual, strict=True)]
    problem = next((f"item {i}: {item.problem}" for i, item in enumerate(items) if item.problem), "")
    return Comparison(problem, sum(i.elements for i in items), sum(i.differing for i in items))


def _compare_maps(expected: dict[Any, Any], actual: dict[Any, Any]) -> Comparison:
    """Maps are equal if their keys are and the values under them.

    A Python number has no element type: it is that of the other side's, if it is one of its values.
    """
    if expected.keys() != actual.keys():
        return Comparison(f"a map with the keys {sorted(actual)[:9]}, expected {sorted(expected)[:9]}")
    items = [_compare_scalars(value, actual[key]) for key, value in expected.items()]
    problem = next((f"key {k!r}: {i.problem}" for k, i in zip(expected, items, strict=True) if i.problem), "")
    return Comparison(problem, sum(i.elements for i in items), sum(i.differing for i in items))


def _compare_scalars(expected: Any, actual: Any) -> Comparison:
    """Numbers of NumPy or of Python, or strings."""
    if isinstance(expected, str) or isinstance(actual, str):
        equal = type(expected) is type(actual) and expected == actual
        return Comparison("" if equal else f"{actual!r}, expected {expected!r}", 1, int(not equal))
    sides = [np.asarray(expected), np.asarray(actual)]
    for side, value in enumerate((expected, actual)):
        other = sides[1 - side]
        if not isinstance(value, np.generic) and sides[side].dtype.kind == other.dtype.kind:
            with np.errstate(all="ignore"):
                narrow = sides[side].astype(other.dtype)
            if _compare_arrays(sides[side], narrow.astype(sides[side].dtype)).equal:
                sides[side] = narrow
    return _compare_arrays(sides[0], sides[1])


def _compare_arrays(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any]) -> Comparison:
    """Dtype, shape, then bits."""
    if expected.dtype != actual.dtype:
        return Comparison(f"dtype {actual.dtype.name}, expected {expected.dtype.name}")
    if expected.shape != actual.shape:
        return Comparison(f"shape {list(actual.shape)}, expected {list(expected.shape)}")
    differs = _differs(expected, actual)
    count = int(np.count_nonzero(differs))
    if not count:
        return Comparison(elements=expected.size)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(differs)), expected.shape))
    problem = (
        f"{count} of {expected.size} elements differ; at {list(index)} {_shown(actual[index])}, "
        f"expected {_shown(expected[index])}"
    )
    return Comparison(problem, expected.size, count, index)


def _differs(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return True where two arrays of one dtype and shape are neither bit-equal nor both NaN."""
    dtype = expected.dtype
    if dtype.kind in "OSU" or dtype.name in ("int2", "uint2", "int4", "uint4"):
        return np.asarray(expected != actual, dtype=np.bool_)  # strings; packed integers, whose upper bits mean nothing
    width = np.dtype(f"u{min(dtype.itemsize, 8)}")
    parts = (*expected.shape, dtype.itemsize // width.itemsize)  # complex128 is two words
    bits = [np.ascontiguousarray(a).reshape(-1).view(width).reshape(parts) for a in (expected, actual)]
    differs: np.ndarray[Any, np.dtype[np.bool_]] = (bits[0] != bits[1]).any(axis=-1)
    if dtype.kind in "fcV" and differs.any():
        differs &= ~(_is_nan(expected) & _is_nan(actual))
    return differs


def _is_nan(array: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return where a float array is NaN.

    ml_dtypes' own `isnan` compares, at which a signalling bfloat16 raises IEEE 754's invalid operation and NumPy warns;
    binary32 holds all its types exactly.
    """
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.isnan(
        array.astype(np.float32) if array.dtype.kind == "V" else array
    )
    return found


def _shown(value: Any) -> str:
    """Show an element with its bits, so that -0 and the last digit can be seen."""
    array = np.asarray(value)
    if array.dtype.kind in "OSUbiu":
        return repr(value.item() if isinstance(value, np.generic) else value)
    return f"{array[()]!s} (0x{array.tobytes()[::-1].hex()})"
