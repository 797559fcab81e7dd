"""Maps to tensors and back: CastMap, DictVectorizer, ZipMap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from diptych_reference.errors import InvalidInputError, InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.maps import Map
from diptych_reference.operator import Array
from diptych_reference.ops.cast import cast
from diptych_reference.ops.ml.common import class_labels, ml_operator

CASTS = {"TO_FLOAT": TensorProto.FLOAT, "TO_STRING": TensorProto.STRING, "TO_INT64": TensorProto.INT64}
ABSENT = {"TO_FLOAT": 0.0, "TO_STRING": "0.f", "TO_INT64": 0}  # ONNX Runtime's


def filled(values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
    """A vector of scalars or strings."""
    y = np.empty(len(values), dtype=dtype)
    for i, value in enumerate(values):
        y[i] = value
    return y


@ml_operator("CastMap")
def cast_map(x: Map, *, cast_to: str = "TO_FLOAT", map_form: str = "DENSE", max_map: int = 1) -> Array:
    """The values in ascending order of their keys, cast as Cast does, as one row [1, n].

    DENSE: one column an entry. SPARSE: `max_map` columns, a value in the column that its key says, else 0 or "0.f".
    """
    if cast_to not in CASTS:
        raise InvalidModelError(f"cast_to is {cast_to!r}, expected TO_FLOAT, TO_STRING or TO_INT64")
    if map_form not in ("DENSE", "SPARSE"):
        raise InvalidModelError(f"map_form is {map_form!r}, expected DENSE or SPARSE")
    values = cast(filled(list(x.values()), x.value), to=CASTS[cast_to])
    if map_form == "DENSE":
        return values[None]
    if max_map < 0:
        raise InvalidModelError(f"max_map is {max_map}, expected at least 0")
    if any(not 0 <= key < max_map for key in x):
        raise InvalidInputError(f"a key is outside [0, {max_map})")
    y = np.full(max_map, ABSENT[cast_to], dtype=values.dtype)
    for key, value in zip(x, values, strict=True):
        y[key] = value
    return y[None]


@ml_operator("DictVectorizer")
def dict_vectorizer(
    x: Map,
    *,
    int64_vocabulary: Sequence[int] | None = None,
    string_vocabulary: Sequence[str] | None = None,
) -> Array:
    """The values of the vocabulary's keys as a vector; 0 (or "") for keys that X lacks. Other keys are left out."""
    if bool(int64_vocabulary) == bool(string_vocabulary):
        raise InvalidModelError("one of int64_vocabulary and string_vocabulary must be given")
    if (x.key.kind == "O") != bool(string_vocabulary):
        raise InvalidTypeError(f"the map's keys are {x.key}, which is not what the vocabulary is")
    absent = "" if x.value.kind == "O" else x.value.type(0)
    return filled([x.get(key, absent) for key in string_vocabulary or int64_vocabulary or ()], x.value)


@ml_operator("ZipMap")
def zip_map(
    x: Array,
    *,
    classlabels_int64s: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
) -> list[Map]:
    """A map from labels to scores for each row of X [N, C]; a vector is one row. The last of equal labels counts."""
    labels = class_labels(classlabels_int64s, classlabels_strings)
    if x.ndim not in (1, 2) or x.shape[-1] != len(labels):
        raise ShapeError(f"X has shape {list(x.shape)}, expected [N, {len(labels)}] or [{len(labels)}]")
    keys = labels.tolist()
    return [Map(zip(keys, row, strict=True), labels.dtype, x.dtype) for row in x.reshape(-1, len(labels))]
