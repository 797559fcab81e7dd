"""A case: one operator with attributes and inputs, ready to be run by anybody's engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

from diptych.testing.schema import row
from diptych.testing.values import onnx_number
from diptych_reference.values import NOTHING, sequence_dtype

__all__ = ["Case"]

# The oldest IR whose rules hold for what is built here: initializers need not be inputs.
IR_VERSION = 10
# ONNX's operators beside those of other domains: nodes that come before, nodes of graphs.
ONNX_OPSET = 22


@dataclass(frozen=True)
class Case:
    """`op_type` of `domain` at `opset`, applied to `inputs` (None: absent) for `n_outputs` outputs.

    Inputs are arrays, lists for sequences (`diptych_reference.Sequence` where an empty one has a type), NOTHING for an
    optional that holds nothing. Attributes are ints, floats, strings, lists of one of them, arrays for tensors,
    GraphProto for graphs, TypeProto for types. `outer` are values that graph attributes see by name. `before` are nodes
    of ai.onnx, at opset ONNX_OPSET, that come before it in the graph, for an operator that looks at them.
    """

    op_type: str
    domain: str
    opset: int
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any]
    n_outputs: int
    outer: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[NodeProto, ...] = ()

    @property
    def needs_model(self) -> bool:
        """Whether the case can only be run as a model.

        An attribute is a graph or a type, an input has a type that it does not tell itself, or nodes come before.
        """
        protos = any(isinstance(value, GraphProto | TypeProto) for value in self.attributes.values())
        untold = any(value is NOTHING or (isinstance(value, list) and not value) for value in self.inputs)
        return protos or untold or bool(self.before)

    def feeds(self) -> dict[str, Any]:
        """Inputs of `model()` by name."""
        values = {name: None if value is NOTHING else value for name, value in self._fed().items()}
        return {name: np.asarray(value) if isinstance(value, np.generic) else value for name, value in values.items()}

    def _fed(self) -> dict[str, Any]:
        given = {f"x{i}": value for i, value in enumerate(self.inputs) if value is not None}
        return {**given, **self.outer}

    def model(self) -> ModelProto:
        """A model of this one node. Its inputs are `x0, x1, …` and the outer values, its outputs `y0, y1, …`.

        Shapes are left open; outputs carry no type, which ONNX's checker asks for but its runtimes do not need.
        """
        names = ["" if value is None else f"x{i}" for i, value in enumerate(self.inputs)]
        outputs = [f"y{i}" for i in range(self.n_outputs)]
        node = helper.make_node(self.op_type, names, outputs, domain=self.domain)
        node.attribute.extend(self._attribute(name, value) for name, value in self.attributes.items())
        graph = helper.make_graph(
            [*self.before, node],
            self.op_type,
            [declared(name, value) for name, value in self._fed().items()],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
        )
        opsets = [helper.make_opsetid(self.domain, self.opset)]
        if self.domain and self.needs_model:
            opsets.append(helper.make_opsetid("", ONNX_OPSET))
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)

    def _attribute(self, name: str, value: Any) -> onnx.AttributeProto:
        """An attribute of the node; an empty list has the type that ONNX's schema says."""
        if isinstance(value, np.ndarray):
            value = numpy_helper.from_array(value)
        kind = None
        if value == []:
            schema = row(self.op_type, self.opset, self.domain).schema
            kind = onnx.AttributeProto.AttributeType.Value(str(schema.attributes[name].type).rpartition(".")[2])
        return helper.make_attribute(name, value, attr_type=kind)

    def __repr__(self) -> str:
        """Python that makes the case again, as far as one line can."""
        values = ", ".join(described(value) for value in self.inputs)
        protos = (GraphProto, TypeProto)
        attributes = {n: f"<{type(v).__name__}>" if isinstance(v, protos) else v for n, v in self.attributes.items()}
        return f"Case({self.op_type!r}, opset={self.opset}, [{values}], {attributes}, n_outputs={self.n_outputs})"


def declared(name: str, value: Any) -> onnx.ValueInfoProto:
    """A graph input for `value` of open shape."""
    if isinstance(value, Mapping):
        key, element = (np.asarray(list(items)) for items in (value, value.values()))
        numbers = [onnx_number(object if a.dtype.kind in "UO" else a.dtype) for a in (key, element)]
        return helper.make_value_info(
            name, helper.make_map_type_proto(numbers[0], helper.make_tensor_type_proto(numbers[1], []))
        )
    if isinstance(value, list):
        element = helper.make_tensor_type_proto(onnx_number(sequence_dtype(value) or np.float32), None)
        return helper.make_value_info(name, helper.make_sequence_type_proto(element))
    if value is NOTHING:
        element = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        return helper.make_value_info(name, helper.make_optional_type_proto(element))
    return helper.make_tensor_value_info(name, onnx_number(value.dtype), [None] * value.ndim)


def described(value: Any) -> str:
    """A value in a line: small arrays in full, others by dtype and shape."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(described, value))}]"
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size > 12:
        return f"<{value.dtype.name} {list(value.shape)}>"
    return f"array({value.tolist()!r}, {value.dtype.name!r}, {list(value.shape)})"
