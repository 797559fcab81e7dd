"""What goes into and comes out of a model: descriptions of its values, and the checks of what a caller feeds.

Arrays are never cast: an array of another element type is refused, as in ONNX Runtime. Lists and Python numbers, which
have no element type of their own, take the declared one where no value is lost but precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from diptych.errors import InvalidInputError

__all__ = ["ELEMENT_TYPES", "NodeArg", "as_array", "as_map", "as_value", "element_type", "numpy_type"]

# ONNX's element types (onnx.proto, TensorProto.DataType): name -> (number, NumPy's or ml_dtypes' name of the type).
ELEMENT_TYPES = {
    "float": (1, "float32"),
    "uint8": (2, "uint8"),
    "int8": (3, "int8"),
    "uint16": (4, "uint16"),
    "int16": (5, "int16"),
    "int32": (6, "int32"),
    "int64": (7, "int64"),
    "string": (8, "object"),
    "bool": (9, "bool"),
    "float16": (10, "float16"),
    "double": (11, "float64"),
    "uint32": (12, "uint32"),
    "uint64": (13, "uint64"),
    "complex64": (14, "complex64"),
    "complex128": (15, "complex128"),
    "bfloat16": (16, "bfloat16"),
    "float8e4m3fn": (17, "float8_e4m3fn"),
    "float8e4m3fnuz": (18, "float8_e4m3fnuz"),
    "float8e5m2": (19, "float8_e5m2"),
    "float8e5m2fnuz": (20, "float8_e5m2fnuz"),
    "uint4": (21, "uint4"),
    "int4": (22, "int4"),
    "float4e2m1": (23, "float4_e2m1fn"),
    "float8e8m0": (24, "float8_e8m0fnu"),
    "uint2": (25, "uint2"),
    "int2": (26, "int2"),
    "float6e2m3": (27, "float6_e2m3fn"),
    "float6e3m2": (28, "float6_e3m2fn"),
}
_FIRST_OF_ML_DTYPES = 16


class NodeArg:
    """Name, type and declared shape of an input or an output of a model.

    `type` is ONNX Runtime's spelling, such as "tensor(float)" or "seq(tensor(int64))". `shape` lists an int for a fixed
    dimension, a str for a symbolic one and None for an unknown one; it is empty for a scalar and for an undeclared
    shape, which `has_shape` tells apart.
    """

    __slots__ = ("has_shape", "name", "shape", "type")

    def __init__(self, name: str, type: str, shape: list[int | str | None] | None) -> None:
        self.name = name
        self.type = type
        self.shape: list[int | str | None] = shape or []
        self.has_shape = shape is not None

    def __repr__(self) -> str:
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


@cache
def numpy_type(element: str) -> np.dtype[Any]:
    """NumPy's dtype of an ONNX element type name, such as "float", "int64" or "string" (an object array of str)."""
    if element not in ELEMENT_TYPES:
        raise InvalidInputError(f"element type {element!r} has no NumPy counterpart")
    number, name = ELEMENT_TYPES[element]
    if number < _FIRST_OF_ML_DTYPES:
        return np.dtype(name)
    import ml_dtypes  # only models with such types pay for it

    extension: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return extension


def element_type(dtype: np.dtype[Any]) -> str:
    """ONNX's name of a NumPy dtype; strings of all kinds are "string"."""
    name = "object" if dtype.kind in "SUO" else dtype.name
    for element, (_, numpy_name) in ELEMENT_TYPES.items():
        if numpy_name == name:
            return element
    raise InvalidInputError(f"NumPy's {dtype} has no ONNX counterpart")


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """`value` as a C-contiguous array in native byte order: arrays, DLPack exporters, nested lists and numbers."""
    if not isinstance(value, np.ndarray | np.generic) and hasattr(value, "__dlpack__"):
        value = np.from_dlpack(value)
    array = np.asarray(value, order="C")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return strings(array) if array.dtype.kind in "USOT" else array


def strings(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the array as a C-contiguous object array of str; bytes are UTF-8."""
    result = np.empty(array.shape, dtype=object)
    for index, item in np.ndenumerate(array):
        if isinstance(item, bytes):
            try:
                item = item.decode()
            except UnicodeDecodeError as error:
                raise InvalidInputError(f"a string tensor holds bytes that are no UTF-8: {error}") from None
        if not isinstance(item, str):
            raise InvalidInputError(f"a string tensor holds a {type(item).__name__}; expected str")
        result[index] = str(item)
    return result


def as_value(declared: NodeArg, value: Any) -> Any:
    """Return `value` as the engine takes it, held against the declared type and shape of the input.

    Raises InvalidInputError for another element type, rank or fixed dimension. A declared rank of 0 is not checked.
    """
    converted = _as_type(declared.name, declared.type, value)
    if isinstance(converted, np.ndarray) and declared.shape:
        _check_shape(declared, converted.shape)
    return converted


def _as_type(name: str, type: str, value: Any) -> Any:
    """Convert one value of a declared type; `type` nests as in "optional(seq(tensor(float)))"."""
    outer, _, rest = type.partition("(")
    inner = rest.removesuffix(")")
    if outer == "optional":
        return None if value is None else _as_type(name, inner, value)
    if value is None:
        raise InvalidInputError(f"input {name!r} is None; expected {type}")
    if outer == "seq":
        if not isinstance(value, list | tuple):
            raise InvalidInputError(f"input {name!r} is a {value.__class__.__name__}; expected a list, {type}")
        return [_as_type(name, inner, item) for item in value]
    if outer == "map":
        key, _, element = inner.partition(",")
        if not isinstance(value, Mapping):
            raise InvalidInputError(f"input {name!r} is a {value.__class__.__name__}; expected a dict, {type}")
        return as_map(name, value, key, element.removeprefix("tensor(").removesuffix(")"))
    if outer == "tensor":
        return _as_tensor(name, inner, value)
    raise InvalidInputError(f"input {name!r} is declared {type}, which cannot be fed from Python")


def as_map(name: str, value: Mapping[Any, Any], key: str = "", element: str = "") -> tuple[Any, Any]:
    """Return keys and values of a dict as the engine takes a map: two vectors. Types not given are NumPy's."""
    found = []
    for what, items, kind in (("keys", list(value), key), ("values", list(value.values()), element)):
        if not items and not kind:
            raise InvalidInputError(f"{name!r} is an empty map, which does not say of what type its {what} are")
        if not kind:
            kind = "string" if all(isinstance(item, str) for item in items) else element_type(np.asarray(items).dtype)
        vector = _from_python(f"{name}, {what}", kind, numpy_type(kind), items)
        if vector.ndim != 1:
            raise InvalidInputError(f"{what} of the map {name!r} have the shape {list(vector.shape)}; expected scalars")
        found.append(vector)
    return found[0], found[1]


def _as_tensor(name: str, element: str, value: Any) -> np.ndarray[Any, Any]:
    """Convert a value to an array of the declared element type."""
    expected = numpy_type(element)
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__dlpack__") or hasattr(value, "__array__"):
        array = as_array(value)
        if array.dtype == expected:
            return array
        raise InvalidInputError(
            f"input {name!r}: unexpected element type, got {array.dtype.name}, expected tensor({element}); "
            f"arrays are not cast, use .astype({expected.name!r})"
        )
    return _from_python(name, element, expected, value)


def _from_python(name: str, element: str, expected: np.dtype[Any], value: Any) -> np.ndarray[Any, Any]:
    """Convert a number, a string or a nested list; integers may become floats, floats never integers."""
    try:
        found = np.asarray(value)
        if expected.kind == "O":
            return strings(found)
        ranks = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}  # V: ml_dtypes' floats
        if found.size and ranks.get(found.dtype.kind, 9) > ranks[expected.kind]:
            raise InvalidInputError(f"input {name!r} holds {found.dtype.name} values; expected tensor({element})")
        return np.asarray(value, dtype=expected, order="C")
    except (TypeError, OverflowError) as error:
        raise InvalidInputError(f"input {name!r} does not convert to tensor({element}): {error}") from error
    except ValueError as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"input {name!r} is no rectangular array: {error}") from error


def _check_shape(declared: NodeArg, shape: tuple[int, ...]) -> None:
    """Hold a shape against the declared one: same rank, equal fixed dimensions."""
    if len(shape) != len(declared.shape):
        raise InvalidInputError(
            f"invalid rank for input {declared.name!r}: got {len(shape)} {list(shape)}, "
            f"expected {len(declared.shape)} {declared.shape}"
        )
    wrong = [i for i, (n, d) in enumerate(zip(shape, declared.shape, strict=True)) if isinstance(d, int) and n != d]
    if wrong:
        raise InvalidInputError(
            f"invalid dimensions for input {declared.name!r}: got {list(shape)}, expected {declared.shape} "
            f"(indices {wrong} differ)"
        )
