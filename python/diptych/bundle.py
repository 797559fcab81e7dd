"""Values of all kinds in one .npz file that is read without pickles.

NumPy's format has plain arrays. What is none goes under keys that say what it is:
`name` an array; `name|bfloat16` the bytes of one of a type that NumPy lacks, with a last axis of its item's bytes;
`name|strings` one of strings; `name|sequence` the length, its items `name|0`, `name|1`, …; `name|none` an optional that
holds nothing; `name|keys` and `name|values` a map.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from diptych.errors import InvalidInputError

__all__ = ["pack", "read_bundle", "unpack", "write_bundle"]


def write_bundle(path: Path, values: Mapping[str, Any]) -> None:
    """Write values by name."""
    with zipfile.ZipFile(path, "w") as file:  # not np.savez, whose keywords are no names for inputs
        for key, array in pack(values).items():
            with file.open(f"{key}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read_bundle(path: Path) -> dict[str, Any]:
    """Values by name. Raises InvalidInputError where the file holds something else."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return unpack(dict(arrays))
    except (ValueError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise InvalidInputError(f"{path}: not a file of values: {error}") from error


def pack(values: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Plain arrays that stand for values."""
    packed: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in values.items():
        if value is None:
            packed[f"{name}|none"] = np.zeros(0)
        elif isinstance(value, list):
            packed[f"{name}|sequence"] = np.asarray(len(value))
            packed.update(pack({f"{name}|{i}": item for i, item in enumerate(value)}))
        elif isinstance(value, Mapping):
            packed |= pack({f"{name}|keys": _vector(list(value)), f"{name}|values": _vector(list(value.values()))})
        else:
            packed.update([_packed(name, np.asarray(value))])
    return packed


def _packed(name: str, array: np.ndarray[Any, Any]) -> tuple[str, np.ndarray[Any, Any]]:
    """An array, under the key that says what it is."""
    if array.dtype.kind in "OSU":
        return f"{name}|strings", np.asarray([str(item) for item in array.flat] or np.empty(0, "U1")).reshape(
            array.shape
        )
    if array.dtype.kind in "biufc" and array.dtype.isbuiltin == 1:
        return name, array
    octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return f"{name}|{array.dtype.name}", octets.reshape(*array.shape, array.dtype.itemsize)


def _vector(items: list[Any]) -> np.ndarray[Any, Any]:
    """Keys or values of a map."""
    return np.asarray(items, dtype=object) if items and isinstance(items[0], str) else np.asarray(items)


def unpack(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Values that plain arrays stand for."""
    values: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    compound = ("sequence", "keys", "values")
    for key, array in arrays.items():
        name, bar, kind = key.partition("|")
        if not bar:
            values[name] = array
        elif kind == "none":
            values[name] = None
        elif kind == "strings":
            values[name] = array.astype(object)
        elif kind[0].isalpha() and kind.partition("|")[0] not in compound:
            values[name] = array.view(np.dtype(getattr(ml_dtypes, kind))).reshape(array.shape[:-1])
        else:
            values.setdefault(name, ())  # keeps the order
            parts.setdefault(name, {})[kind] = array
    for name, found in parts.items():
        values[name] = _assembled(name, found)
    return values


def _assembled(name: str, found: Mapping[str, Any]) -> Any:
    """A sequence or a map of its parts."""
    length = found.get("sequence")
    inner = unpack({key: array for key, array in found.items() if key != "sequence"})
    if length is not None and inner.keys() == {str(i) for i in range(int(length))}:
        return [inner[str(i)] for i in range(int(length))]
    if inner.keys() == {"keys", "values"}:
        return dict(zip(inner["keys"].tolist(), inner["values"], strict=True))
    raise ValueError(f"{name!r}: the file holds parts {sorted(found)}, which make no value")
