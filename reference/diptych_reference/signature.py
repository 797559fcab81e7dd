"""Types of values: their names in ONNX's schemas, and the checks of inputs against schemas and model signatures."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from diptych_reference.errors import InvalidInputError, InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.maps import Map, as_map
from diptych_reference.model import ELEMENT_NAMES, ValueInfo
from diptych_reference.values import NOTHING, Sequence, sequence_dtype

DTYPE_NAMES: dict[np.dtype[Any], str] = {
    helper.tensor_dtype_to_np_dtype(number): name for number, name in ELEMENT_NAMES.items()
}


def as_input(value: Any, type_name: str = "") -> Any:
    """A fed value: arrays as they are, strings of any NumPy kind as object arrays, lists element by element.

    Dicts become maps, whose numbers take the type that `type_name` declares; without it, NumPy's.
    """
    if value is None or value is NOTHING:
        return value
    if isinstance(value, list):  # an empty one may have a dtype
        return [as_input(item, type_name.removeprefix("seq(")[:-1]) for item in value] or value
    if isinstance(value, Mapping):
        return as_map(value, *map_types(type_name))
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "U" else array


def map_types(type_name: str) -> tuple[np.dtype[Any] | None, np.dtype[Any] | None]:
    """Dtypes of keys and values of a type spelled `map(int64,tensor(float))`; None for any other."""
    if not type_name.startswith("map("):
        return None, None
    key, _, element = type_name.removeprefix("map(")[:-1].partition(",")
    return dtype_named(f"tensor({key})"), dtype_named(element)


def value_type(value: Any) -> str:
    """`tensor(float)`, `seq(tensor(int64))`, `map(int64,tensor(float))`.

    An empty list without a dtype gives `seq()`, NOTHING `optional()`.
    """
    if value is NOTHING:
        return "optional()"
    if isinstance(value, Map):
        return f"map({DTYPE_NAMES[value.key]},tensor({DTYPE_NAMES[value.value]}))"
    if isinstance(value, list):
        if value and isinstance(value[0], Map):
            return f"seq({value_type(value[0])})"
        dtype = sequence_dtype(value)
        return "seq()" if dtype is None else f"seq(tensor({DTYPE_NAMES[dtype]}))"
    if not isinstance(value, np.ndarray) or value.dtype not in DTYPE_NAMES:
        raise InvalidTypeError(f"{type(value).__name__} of dtype {getattr(value, 'dtype', None)} is no ONNX value")
    return f"tensor({DTYPE_NAMES[value.dtype]})"


@cache
def allowed_types(schema: onnx.defs.OpSchema, index: int) -> tuple[str, str, frozenset[str], bool]:
    """Name, type variable and allowed types of input `index`, and whether the variable binds all its uses."""
    parameter = schema.inputs[min(index, len(schema.inputs) - 1)]
    return parameter.name, parameter.type_str, frozenset(parameter.types), parameter.is_homogeneous


def check_inputs(schema: onnx.defs.OpSchema, inputs: Many[Any]) -> None:
    """Every input must have a type its constraint allows, and inputs that share a type variable the same type."""
    bound: dict[str, str] = {}
    for index, value in enumerate(inputs if schema.inputs else ()):
        if value is None:
            continue
        name, variable, types, homogeneous = allowed_types(schema, index)
        actual = value_type(value)
        expected = types if not homogeneous else {bound.get(variable, actual)} & types
        if actual not in expected and not is_loosely(actual, types):
            wanted = bound.get(variable) if homogeneous and variable in bound else f"one of {sorted(types)}"
            where = f"{schema.name}-{schema.since_version}, input {name!r}"
            raise InvalidTypeError(f"{where}: got {actual}, expected {wanted}")
        bound.setdefault(variable, actual)


def is_loosely(actual: str, types: frozenset[str]) -> bool:
    """Whether a value may be one of `types` though its own type is not spelled there.

    An optional that holds a value is that value; a list without a dtype and NOTHING may be of any.
    """
    if actual == "seq()":
        return any(name.startswith(("seq(", "optional(seq(")) for name in types)
    if actual == "optional()":
        return any(name.startswith("optional(") for name in types)
    return f"optional({actual})" in types


ATTRIBUTE_TYPES: dict[str, tuple[type, ...]] = {
    "INT": (int,),
    "FLOAT": (float, int),
    "STRING": (str, bytes),
    "TENSOR": (np.ndarray,),
    "SPARSE_TENSOR": (np.ndarray,),
    "TYPE_PROTO": (str,),
}


def check_attributes(schema: onnx.defs.OpSchema, attributes: Mapping[str, Any]) -> None:
    """Every attribute that the schema knows must have the Python type its values arrive in."""
    for name, value in attributes.items():
        if name not in schema.attributes:
            continue  # the operator's own signature refuses it
        kind = str(schema.attributes[name].type).rpartition(".")[2]
        items = value if kind.endswith("S") and isinstance(value, (list, tuple)) else [value]
        allowed = ATTRIBUTE_TYPES.get(kind.removesuffix("S"))
        wrong = not all(map(callable, items)) if allowed is None else not all(isinstance(v, allowed) for v in items)
        where = f"{schema.name}-{schema.since_version}, attribute {name!r}"
        if wrong or (kind.endswith("S") and not isinstance(value, (list, tuple))):
            raise InvalidModelError(f"{where}: got {type(value).__name__}, expected {kind}")
        if name == "dtype" and kind == "INT":  # of every operator that has it, the element type of its output
            asked, allowed_outputs = value_type(np.empty(0, dtype_of(value))), schema.outputs[0].types
            if not any(asked in output for output in allowed_outputs):
                raise InvalidModelError(f"{where}: got {asked}, expected one of {sorted(allowed_outputs)}")


def check_feed(declared: ValueInfo, value: Any) -> Any:
    """A fed value against the model's signature: type, rank and fixed dimensions. Returns the value."""
    where = f"input {declared.name!r}"
    if value is None:
        if declared.type_name.startswith("optional("):
            return NOTHING
        raise InvalidInputError(f"{where}: got None, expected {declared.type_name}")
    actual = value_type(value)
    inner = declared.type_name.removeprefix("optional(").removesuffix(")" if "optional(" in declared.type_name else "")
    if actual == "seq()" and inner.startswith("seq(tensor("):
        return Sequence([], dtype_named(inner.removeprefix("seq(").removesuffix(")")))
    if actual not in {declared.type_name, inner, ""}:
        raise InvalidTypeError(f"{where}: got {actual}, expected {declared.type_name}")
    if declared.shape is not None and isinstance(value, np.ndarray):
        matches = len(declared.shape) == value.ndim and all(
            not isinstance(d, int) or d == n for d, n in zip(declared.shape, value.shape, strict=True)
        )
        if not matches:
            raise ShapeError(f"{where}: got shape {list(value.shape)}, expected {list(declared.shape)}")
    return value


def dtype_of(element_type: int) -> np.dtype[Any]:
    """NumPy's dtype of a TensorProto.DataType; strings are object arrays."""
    if element_type not in ELEMENT_NAMES or element_type == TensorProto.UNDEFINED:
        raise InvalidInputError(f"{element_type} is no TensorProto.DataType")
    return helper.tensor_dtype_to_np_dtype(element_type)


def dtype_named(type_name: str) -> np.dtype[Any]:
    """NumPy's dtype of a type as schemas write it, `tensor(float)`."""
    for dtype, name in DTYPE_NAMES.items():
        if type_name == f"tensor({name})":
            return dtype
    raise InvalidTypeError(f"{type_name or 'an undeclared type'}: expected a tensor type")
