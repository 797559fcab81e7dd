"""What goes into and comes out of a model: descriptions of its values, and the checks of what a caller feeds.

Arrays are never cast: an array of another element type is refused, as in ONNX Runtime. Lists and Python numbers, which
have no element type of their own, take the declared one where no value is lost but precision.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from diptych.errors import InvalidInputError

__all__ = ["NodeArg", "as_array", "as_value", "numpy_type"]

# ONNX's element type names (onnx.proto, TensorProto.DataType) where NumPy calls the type otherwise.
_NUMPY_NAMES = {"float": "float32", "double": "float64"}
_STANDARD = frozenset(
    [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
    + ["float16", "float32", "float64", "bool", "complex64", "complex128"]
)
_ML_DTYPES = {
    "bfloat16": "bfloat16",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float8e8m0": "float8_e8m0fnu",
    "float4e2m1": "float4_e2m1fn",
    "int4": "int4",
    "uint4": "uint4",
    "int2": "int2",
    "uint2": "uint2",
}


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
    name = _NUMPY_NAMES.get(element, element)
    if name in _STANDARD:
        return np.dtype(name)
    if name == "string":
        return np.dtype(object)
    if name in _ML_DTYPES:
        import ml_dtypes  # only models with such types pay for it

        extension: np.dtype[Any] = np.dtype(getattr(ml_dtypes, _ML_DTYPES[name]))
        return extension
    raise InvalidInputError(f"element type {element!r} has no NumPy counterpart")


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
    if outer == "tensor":
        return _as_tensor(name, inner, value)
    raise InvalidInputError(f"input {name!r} is declared {type}, which cannot be fed from Python")


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
