"""LabelEncoder, CategoryMapper, OneHotEncoder: keys of which some are X's, and some twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.families.ml.common import integers, ml_rule, picks, strings
from diptych.testing.sketch import Sketch
from diptych.testing.values import Array

LISTS = {"float32": "floats", "int64": "int64s", "object": "strings"}


def keys_of(s: Sketch, x: Array, count: int) -> Array:
    """Keys of the type of x."""
    return picks(s, x, count, s.tensor((count,), x.dtype))


@ml_rule("LabelEncoder")
def label_encoder(s: Sketch) -> list[Any]:
    """Version 1 has one list of strings; later ones have lists or tensors of keys and of values."""
    x = s.tensor(s.shape((0, 3), limit=200))
    if s.since == 1:
        s.set("classes_strings", strings(s, s.integer(0, 5)))
        s.attribute("default_string", "_Unused", "ß")
        s.attribute("default_int64", -1, 7)
        return [x]
    count = s.choose(3, 1, 2, 9, 40)
    give(s, "keys", keys_of(s, x, count))
    kind = s.choose(*s.row.types("T2"))
    values = s.tensor((count,), kind)
    give(s, "values", values)
    if s.has("default_tensor") and s.coin():
        s.set("default_tensor", s.tensor(s.choose((1,), (), (1, 1)), kind))
    s.attribute("default_string", "_Unused", "ß")
    s.attribute("default_int64", -1, 7)
    s.attribute("default_float", -0.0, 1.5)
    return [x]


def give(s: Sketch, what: str, values: Array) -> None:
    """Set keys or values, as a list where there is one for the type, else as a tensor."""
    name = LISTS.get(values.dtype.name)
    if name is None or (s.has(f"{what}_tensor") and s.coin()):
        s.set(f"{what}_tensor", values)
    else:
        s.set(f"{what}_{name}", values.tolist())


@ml_rule("CategoryMapper")
def category_mapper(s: Sketch) -> list[Any]:
    """Two parallel lists."""
    x = s.tensor(s.shape((0, 3), limit=200))
    count = s.integer(0, 6)
    texts = keys_of(s, x, count).tolist() if x.dtype == object else strings(s, count)
    numbers = keys_of(s, x, count).tolist() if x.dtype != object else integers(s, count)
    s.set("cats_strings", texts)
    s.set("cats_int64s", numbers)
    s.attribute("default_string", "_Unused", "ß")
    s.attribute("default_int64", -1, 7)
    return [x]


@ml_rule("OneHotEncoder")
def one_hot_encoder(s: Sketch) -> list[Any]:
    """Categories of X's kind; without `zeros` they hold every element."""
    x = s.tensor(s.shape((0, 3), limit=100))
    zeros = s.attribute("zeros", 1, 0)
    if x.dtype == object:
        found = strings(s, s.integer(1, 6)) + ([] if zeros else sorted(set(x.reshape(-1).tolist())))
        s.set("cats_strings", found)
        return [x]
    if not zeros:  # few small categories, all of them listed
        x = (s.tensor(x.shape, np.int8) % 5).astype(x.dtype)
        s.set("cats_int64s", [3, 1, 4, 0, 2])
        return [x]
    with np.errstate(all="ignore"):
        s.set("cats_int64s", picks(s, x, 5, s.tensor((5,), np.int64)).astype(np.int64).tolist())
    return [x]
