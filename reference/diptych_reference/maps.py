"""ONNX's maps: a dict whose keys are integers or strings, and whose values are numbers of one type or strings.

A `Map` knows its types even when it is empty. Keys are kept in ascending order, as ONNX Runtime iterates them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError

Pair = tuple[Any, Any]


class Map(dict[Any, Any]):
    """A dict of NumPy scalars (or str) of the dtype `value`, under keys of the dtype `key`: int64, object for str."""

    def __init__(self, items: Mapping[Any, Any] | Iterable[Pair], key: np.dtype[Any], value: np.dtype[Any]) -> None:
        super().__init__(sorted(dict(items).items(), key=lambda pair: pair[0]))
        self.key, self.value = key, value


def as_map(value: Mapping[Any, Any], key: np.dtype[Any] | None = None, element: np.dtype[Any] | None = None) -> Map:
    """A dict as a Map; types that are not given are those of its keys and values."""
    if isinstance(value, Map):
        return value
    keys, key = column(list(value), key, "keys")
    if key not in (np.dtype(np.int64), np.dtype(object)):
        raise InvalidInputError(f"a map has keys of {key}, expected int64 or str")
    items, element = column(list(value.values()), element, "values")
    return Map(zip(keys, items, strict=True), key, element)


def column(values: list[Any], dtype: np.dtype[Any] | None, what: str) -> tuple[list[Any], np.dtype[Any]]:
    """Scalars of one dtype: Python's strings and integers as they are, other numbers as NumPy's."""
    if not values and dtype is None:
        raise InvalidInputError(f"an empty map does not say of what type its {what} are")
    strings = {isinstance(value, str) for value in values}
    if dtype is None:
        dtype = np.dtype(object) if strings == {True} else np.asarray(values).dtype
    if not strings <= {dtype.kind == "O"}:
        raise InvalidInputError(f"a map's {what} are not all {'strings' if dtype.kind == 'O' else dtype}")
    if dtype.kind == "O":
        return [str(value) for value in values], dtype
    given = np.asarray(values if values else np.zeros(0, dtype))
    if given.ndim != 1 or given.dtype.kind not in ("iu" if dtype.kind == "i" else "iuf"):
        raise InvalidInputError(f"a map's {what} are not all scalars of {dtype}")
    array = given.astype(dtype)
    return ([int(v) for v in array] if what == "keys" else list(array)), dtype
