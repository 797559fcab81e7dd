"""CastMap, DictVectorizer, ZipMap."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.families.ml.common import WORDS, batch, integers, labels, ml_rule
from diptych.testing.sketch import Sketch
from diptych.testing.values import onnx_name

NUMBERS = ("1", "-2.5", "1e3", "7", "nan", "inf")


def entries(s: Sketch, keys: list[Any], values: Any) -> dict[Any, Any]:
    """A map, not empty, of keys in any order; of equal keys the last counts."""
    return dict(zip(keys, values, strict=True))


@ml_rule("CastMap")
def cast_map(s: Sketch) -> list[Any]:
    """Numbers, or strings that are numbers where they are cast to one."""
    count = s.integer(1, 6)
    to = s.attribute("cast_to", "TO_FLOAT", "TO_INT64", "TO_STRING")
    sparse = s.attribute("map_form", "DENSE", "SPARSE") == "SPARSE"
    if sparse:
        s.set("max_map", s.choose(7, 9, 40))
    keys = [s.integer(0, 6) for _ in range(count)] if sparse else integers(s, count)
    if s.dtype != object:
        return [entries(s, keys, s.tensor((count,)))]
    texts = {"TO_FLOAT": NUMBERS, "TO_INT64": ("1", "-2", "900", "7")}.get(as_text(to), WORDS)
    return [entries(s, keys, [s.choose(*texts) for _ in range(count)])]


def as_text(value: Any) -> str:
    """A string attribute, which is bytes where it is the schema's default."""
    return value.decode() if isinstance(value, bytes) else str(value)


@ml_rule("DictVectorizer")
def dict_vectorizer(s: Sketch) -> list[Any]:
    """A vocabulary with keys that the map has and others."""
    kind = s.choose(*s.row.map_keys(s.row.inputs["X"], onnx_name(s.dtype)))
    count = s.integer(1, 6)
    if kind == "int64":
        keys: list[Any] = integers(s, count)
        s.set("int64_vocabulary", keys[: s.integer(0, count)] + integers(s, s.integer(1, 4)))
    else:
        keys = [s.choose(*WORDS) for _ in range(count)]
        s.set("string_vocabulary", keys[: s.integer(0, count)] + [s.choose(*WORDS) for _ in range(s.integer(1, 4))])
    return [entries(s, keys, s.tensor((count,)))]


@ml_rule("ZipMap")
def zip_map(s: Sketch) -> list[Any]:
    """A label a column."""
    x = batch(s, least=1)
    labels(s, x[-1], "classlabels_int64s", "classlabels_strings")
    return [s.tensor(x, np.float32)]
