"""Writing: a loaded model as a `ModelProto` again."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from diptych_reference.errors import UnsupportedOperatorError
from diptych_reference.inline import inline
from diptych_reference.model import ELEMENT_NAMES, AttributeReference, Graph, Model, Node, ValueInfo
from diptych_reference.operator import Array

NUMBERS = {name: number for number, name in ELEMENT_NAMES.items()}


def to_proto(model: Model) -> onnx.ModelProto:
    """The model as ONNX, its functions expanded; tensors lie inside.

    Raises UnsupportedOperatorError where nodes belong to different opsets of one domain, which one file cannot say.
    """
    model = inline(model)
    opsets = dict(model.opsets)
    proto = onnx.ModelProto()
    proto.CopyFrom(model.header)
    proto.ir_version = model.ir_version
    proto.graph.CopyFrom(Writer(opsets).graph(model.graph))
    proto.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in opsets.items())
    return proto


class Writer:
    """Translates graphs; `opsets` takes up what nodes of functions import."""

    def __init__(self, opsets: dict[str, int]) -> None:
        self.opsets = opsets

    def graph(self, graph: Graph) -> onnx.GraphProto:
        """A graph with its initializers."""
        proto = onnx.GraphProto(name=graph.name)
        proto.input.extend(map(value_info, graph.inputs))
        proto.output.extend(map(value_info, graph.outputs))
        proto.initializer.extend(tensor(value, name) for name, value in graph.initializers.items())
        proto.node.extend(map(self.node, graph.nodes))
        return proto

    def node(self, node: Node) -> onnx.NodeProto:
        """A node, whose opset must be the model's or mean the same."""
        if node.opsets is not None:
            self.check_opset(node, node.opsets.get(node.domain, 0))
        proto = onnx.NodeProto(op_type=node.op_type, domain=node.domain, overload=node.overload, name=node.name)
        proto.input.extend(node.inputs)
        proto.output.extend(node.outputs)
        proto.attribute.extend(self.attribute(name, value) for name, value in node.attributes.items())
        return proto

    def check_opset(self, node: Node, version: int) -> None:
        """Nodes that came from functions may import another version, if the operator's schema is the same in both."""
        known = self.opsets.setdefault(node.domain, version)
        if known == version:
            return
        try:
            same = onnx.defs.get_schema(node.op_type, known, node.domain).since_version == (
                onnx.defs.get_schema(node.op_type, version, node.domain).since_version
            )
        except onnx.defs.SchemaError:
            same = False
        if not same:
            raise UnsupportedOperatorError(
                f"{node.label}: it is of opset {version}, the model of {known}; one file cannot say both"
            )

    def attribute(self, name: str, value: Any) -> AttributeProto:
        """An attribute; an empty list is one of integers."""
        if isinstance(value, AttributeReference):
            raise UnsupportedOperatorError(f"attribute {name!r} refers to one of a function")
        if isinstance(value, Graph):
            return helper.make_attribute(name, self.graph(value))
        if isinstance(value, np.ndarray):
            return helper.make_attribute(name, tensor(value, ""))
        if isinstance(value, list):
            if not value:
                return AttributeProto(name=name, type=AttributeProto.INTS)
            if isinstance(value[0], Graph):
                return helper.make_attribute(name, [self.graph(item) for item in value])
            if isinstance(value[0], np.ndarray):
                return helper.make_attribute(name, [tensor(item, "") for item in value])
        if isinstance(value, float):
            return AttributeProto(name=name, type=AttributeProto.FLOAT, f=value)
        return helper.make_attribute(name, value)


def tensor(value: Array, name: str) -> TensorProto:
    """An array of any element type."""
    if value.dtype == object:
        proto = TensorProto(name=name, data_type=TensorProto.STRING, dims=value.shape)
        proto.string_data.extend(text.encode() for text in value.reshape(-1))
        return proto
    return numpy_helper.from_array(value, name)


def value_info(value: ValueInfo) -> onnx.ValueInfoProto:
    """A declared value."""
    proto = onnx.ValueInfoProto(name=value.name)
    if value.type_name:
        proto.type.CopyFrom(type_proto(value.type_name, value.shape))
    return proto


def type_proto(name: str, shape: tuple[int | str | None, ...] | None = None) -> onnx.TypeProto:
    """A type from its spelling in onnx.defs."""
    if found := re.fullmatch(r"seq\((.*)\)", name):
        return helper.make_sequence_type_proto(type_proto(found[1]))
    if found := re.fullmatch(r"optional\((.*)\)", name):
        return helper.make_optional_type_proto(type_proto(found[1]))
    if found := re.fullmatch(r"map\((\w+),(.*)\)", name):
        return helper.make_map_type_proto(NUMBERS[found[1]], type_proto(found[2]))
    if found := re.fullmatch(r"tensor\((\w+)\)", name):
        return helper.make_tensor_type_proto(NUMBERS[found[1]], shape)
    return onnx.TypeProto()
