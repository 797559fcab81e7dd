"""Categories to other categories: LabelEncoder, CategoryMapper, OneHotEncoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, InvalidTypeError
from diptych_reference.numerics import to_integer
from diptych_reference.operator import Array
from diptych_reference.ops.ml.common import ml_operator


def looked_up(x: Array, table: dict[Any, Any], default: Any, dtype: np.dtype[Any], key: Callable[[Any], Any]) -> Array:
    """`table[key(element)]`, or the default, for each element of x."""
    y = np.empty(x.size, dtype=dtype)
    for i, element in enumerate(x.reshape(-1)):
        y[i] = table.get(key(element), default)
    return y.reshape(x.shape)


def as_is(value: Any) -> Any:
    """Strings and integers are their own keys."""
    return value


def bits(value: Any) -> Any:
    """A float as its bits: -0 is not 0, and a NaN is a NaN of the same payload alone."""
    return value.tobytes() if isinstance(value, np.floating) else value


def number_or_nan(value: Any) -> Any:
    """A float by its value: -0 is 0, and every NaN is one key."""
    return "NaN" if isinstance(value, np.floating) and math.isnan(value) else value


@ml_operator("LabelEncoder", since=1)
def label_encoder_1(
    x: Array,
    *,
    classes_strings: Sequence[str] | None = None,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> Array:
    """Strings to their places in the list (the last of equals), or places to strings."""
    if classes_strings is None:
        raise InvalidModelError("classes_strings is missing")
    if x.dtype == object:
        table: dict[Any, Any] = {label: place for place, label in enumerate(classes_strings)}
        return looked_up(x, table, default_int64, np.dtype(np.int64), as_is)
    return looked_up(x, dict(enumerate(classes_strings)), default_string, np.dtype(object), as_is)


@ml_operator("LabelEncoder", since=2)
def label_encoder_2(
    x: Array,
    *,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    keys_floats: Sequence[float] | None = None,
    keys_int64s: Sequence[int] | None = None,
    keys_strings: Sequence[str] | None = None,
    values_floats: Sequence[float] | None = None,
    values_int64s: Sequence[int] | None = None,
    values_strings: Sequence[str] | None = None,
) -> Array:
    """As version 4, but keys are compared bit by bit."""
    keys = the_one("keys", typed("keys", keys_floats, keys_int64s, keys_strings))
    values = the_one("values", typed("values", values_floats, values_int64s, values_strings))
    default = {"f": default_float, "i": default_int64, "O": default_string}[values.dtype.kind]
    return encoded(x, keys, values, default, bits)


@ml_operator("LabelEncoder", since=4)
def label_encoder(
    x: Array,
    *,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: Array | None = None,
    keys_floats: Sequence[float] | None = None,
    keys_int64s: Sequence[int] | None = None,
    keys_strings: Sequence[str] | None = None,
    keys_tensor: Array | None = None,
    values_floats: Sequence[float] | None = None,
    values_int64s: Sequence[int] | None = None,
    values_strings: Sequence[str] | None = None,
    values_tensor: Array | None = None,
) -> Array:
    """Each element's value in the table of keys and values, or the default. The last of equal keys counts.

    A NaN matches every NaN. The default is `default_tensor`, else the `default_*` of the values' type; for the types
    that have none it is -1 or -0.
    """
    keys = the_one("keys", typed("keys", keys_floats, keys_int64s, keys_strings, keys_tensor))
    values = the_one("values", typed("values", values_floats, values_int64s, values_strings, values_tensor))
    if default_tensor is not None:
        if default_tensor.dtype != values.dtype or default_tensor.size != 1:
            got = f"{default_tensor.dtype} {list(default_tensor.shape)}"
            raise InvalidModelError(f"default_tensor is {got}, expected one element of {values.dtype}")
        default: Any = default_tensor.reshape(-1)[0]
    else:
        defaults = {"float32": default_float, "int64": default_int64, "object": default_string, "float64": -0.0}
        default = defaults.get(values.dtype.name, -1)
    return encoded(x, keys, values, default, number_or_nan)


def typed(what: str, floats: Any, integers: Any, strings: Any, tensor: Array | None = None) -> list[Array]:
    """The lists that are not empty, and the tensor, as arrays."""
    found = [
        np.array(items, dtype=dtype)
        for items, dtype in ((floats, np.float32), (integers, np.int64), (strings, object))
        if items
    ]
    if tensor is not None:
        if tensor.ndim != 1 or tensor.dtype.name not in ("float32", "float64", "int64", "int32", "int16", "object"):
            raise InvalidModelError(f"{what}_tensor is {tensor.dtype} {list(tensor.shape)}, expected a list of labels")
        found.append(tensor)
    return found


def the_one(what: str, found: list[Array]) -> Array:
    """The only array of the list."""
    if len(found) != 1:
        raise InvalidModelError(f"{len(found)} of the {what}_* attributes are given, expected one")
    return found[0]


def encoded(x: Array, keys: Array, values: Array, default: Any, key: Callable[[Any], Any]) -> Array:
    """Look every element up."""
    if len(keys) != len(values):
        raise InvalidModelError(f"{len(keys)} keys and {len(values)} values, expected as many")
    if x.dtype != keys.dtype:
        raise InvalidTypeError(f"X is {x.dtype}, the keys are {keys.dtype}")
    table = {key(k): value for k, value in zip(keys, values, strict=True)}
    return looked_up(x, table, default, values.dtype, key)


@ml_operator("CategoryMapper")
def category_mapper(
    x: Array,
    *,
    cats_int64s: Sequence[int] | None = None,
    cats_strings: Sequence[str] | None = None,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> Array:
    """Strings to integers or integers to strings, by two parallel lists. The last of equal keys counts."""
    integers, strings = cats_int64s or [], cats_strings or []
    if len(integers) != len(strings):
        raise InvalidModelError(f"{len(integers)} cats_int64s and {len(strings)} cats_strings, expected as many")
    if x.dtype == object:
        table: dict[Any, Any] = dict(zip(strings, integers, strict=True))
        return looked_up(x, table, default_int64, np.dtype(np.int64), as_is)
    table = dict(zip(integers, strings, strict=True))
    return looked_up(x, table, default_string, np.dtype(object), as_is)


@ml_operator("OneHotEncoder")
def one_hot_encoder(
    x: Array,
    *,
    cats_int64s: Sequence[int] | None = None,
    cats_strings: Sequence[str] | None = None,
    zeros: int = 1,
) -> Array:
    """Float, one more axis than X: 1 at the place of the element's category (the last of equals), else 0.

    Numbers are cast to int64 first. An unknown category gives zeros, or without `zeros` an error.
    """
    if bool(cats_int64s) == bool(cats_strings):
        raise InvalidModelError("one of cats_int64s and cats_strings must be given")
    if (x.dtype == object) != bool(cats_strings):
        raise InvalidTypeError(f"X is {x.dtype}, which is not what the categories are")
    categories = cats_strings or cats_int64s or ()
    table = {category: place for place, category in enumerate(categories)}
    x = to_integer(x, np.int64) if x.dtype.kind == "f" else x
    places = looked_up(x, table, -1, np.dtype(np.int64), as_is)
    if not zeros and (places < 0).any():
        raise InvalidInputError("an element is of no known category, and zeros is 0")
    return np.asarray(places[..., None] == np.arange(len(categories)), dtype=np.float32)
