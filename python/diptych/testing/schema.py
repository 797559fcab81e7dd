"""What its schema says about an operator: its versions, the types of its inputs, its attributes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import onnx
from onnx.defs import OpSchema

from diptych.testing.values import DTYPES
from diptych_reference.schemas import find_schema

__all__ = ["Row", "row"]

# The parameter whose element type names a case, where it is not the first input: the one with a choice of types.
LEADING = {
    "Where": "X",
    "If": "outputs",
    "ConstantOfShape": "output",
    "Constant": "output",
    "Loop": "v_initial",
    "Scan": "initial_state_and_scan_inputs",
    "EmbedLayerNormalization": "word_embedding",
    "QLinearConcat": "Y_zero_point",
    "QLinearWhere": "X",
}


@dataclass(frozen=True)
class Row:
    """One (domain, operator, since_version) of ONNX."""

    domain: str
    op_type: str
    since: int

    @cached_property
    def schema(self) -> OpSchema:
        """ONNX's schema of this version."""
        schema = find_schema(self.domain, self.op_type, self.since)
        assert schema is not None
        return schema

    @property
    def name(self) -> str:
        """`Conv-11`."""
        return f"{self.domain + '.' if self.domain else ''}{self.op_type}-{self.since}"

    @cached_property
    def leading(self) -> str:
        """Type variable (`T`) or type (`tensor(float)`) of the parameter that names a case's dtype."""
        parameters = {p.name: p.type_str for p in (*self.schema.outputs, *self.schema.inputs)}
        first = self.schema.inputs[0].name if self.schema.inputs else self.schema.outputs[0].name
        return parameters[LEADING.get(self.op_type, first)]

    @property
    def dtypes(self) -> tuple[np.dtype[Any], ...]:
        """Element types a case of this row can have, the commonest first."""
        return self.types(self.leading)

    def types(self, variable: str) -> tuple[np.dtype[Any], ...]:
        """Element types of dense tensors that a type variable may stand for, in the order of DTYPES.

        Of the tensors in sequences or optionals, or those of a map's values, if it stands for those alone.
        """
        allowed = self._constraints.get(variable, frozenset({variable}))
        if all(name.startswith("map(") for name in allowed):
            return tuple(dtype for name, dtype in DTYPES.items() if self.map_keys(variable, name))
        dense = tuple(dtype for name, dtype in DTYPES.items() if f"tensor({name})" in allowed)
        inner = {spelled.rpartition("(")[2].rstrip(")") for spelled in allowed}
        return dense or tuple(dtype for name, dtype in DTYPES.items() if name in inner)

    def allows(self, variable: str, spelled: str) -> bool:
        """Whether a type variable may stand for a type such as `seq(tensor(float))`."""
        return spelled in self._constraints.get(variable, frozenset({variable}))

    @property
    def takes_graphs(self) -> bool:
        """Whether an attribute is a graph, so that cases can only be run as models."""
        return any(attribute.type == OpSchema.AttrType.GRAPH for attribute in self.schema.attributes.values())

    def map_keys(self, variable: str, value: str) -> tuple[str, ...]:
        """The types of keys, int64 or string, of the maps to `value` that a type variable may stand for."""
        allowed = self._constraints.get(variable, frozenset({variable}))
        return tuple(key for key in ("int64", "string") if f"map({key}, {value})" in allowed)

    @cached_property
    def _constraints(self) -> dict[str, frozenset[str]]:
        return {c.type_param_str: frozenset(c.allowed_type_strs) for c in self.schema.type_constraints}

    @cached_property
    def attributes(self) -> dict[str, OpSchema.Attribute]:
        """Attributes by name."""
        return dict(self.schema.attributes)

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Type variable of each input, by its name."""
        return {parameter.name: parameter.type_str for parameter in self.schema.inputs}

    def default(self, attribute: str) -> Any:
        """The schema's default of an attribute, None where there is none."""
        proto = self.attributes[attribute].default_value
        if proto.type == onnx.AttributeProto.UNDEFINED:
            return None
        value = onnx.helper.get_attribute_value(proto)
        return value.decode() if isinstance(value, bytes) else value


@cache
def row(op_type: str, since: int, domain: str = "") -> Row:
    """The row of exactly that since_version; ValueError where ONNX has none."""
    found = find_schema(domain, op_type, since)
    if found is None:
        raise ValueError(f"{domain or 'ai.onnx'}.{op_type} has no version in force at {since}")
    if found.since_version != since:
        raise ValueError(f"{op_type} has no since_version {since}; version {found.since_version} is in force there")
    return Row(domain, op_type, since)
