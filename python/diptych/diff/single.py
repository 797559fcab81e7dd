"""A model of one node, with the values that the node had in the run of a larger model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

from diptych_reference.maps import as_map
from diptych_reference.model import Node
from diptych_reference.session import Observed
from diptych_reference.values import NOTHING, sequence_dtype
from diptych_reference.write import Writer, tensor, type_proto

__all__ = ["captured", "element_number", "plain", "single_model"]

IR_VERSION = 10  # the oldest whose rules hold for what is built here
LARGE = 1 << 28  # bytes: an initializer beyond is fed, since a message holds two gigabytes


def single_model(
    step: Observed, inputs: list[Any], outputs: list[Any], constants: Collection[str], ir_version: int = IR_VERSION
) -> tuple[bytes, dict[str, Any]]:
    """Return a model of the node of `step` and its feeds; `constants` names the values that are initializers in it.

    Its inputs and outputs have the names of the larger model, shapes of inputs are fixed. `inputs` and `outputs` (whose
    types are declared) stand in the place of the step's own. Raises UnsupportedOperatorError where one file cannot say
    it: graphs inside whose nodes belong to several opsets.
    """
    node, opsets = step.node, {name: version for name, version in step.opsets.items() if version}
    given = {name: value for name, value in zip(node.inputs, inputs, strict=True) if name}
    given.update((name, value) for name, value in captured(step).items() if name not in given)
    graph = onnx.GraphProto(name=node.op_type)
    feeds: dict[str, Any] = {}
    for name, value in given.items():
        if name in constants and isinstance(value, np.ndarray) and value.nbytes <= LARGE:
            graph.initializer.append(tensor(value, name))
        else:
            graph.input.append(_declared(name, value, node, opsets))
            feeds[name] = plain(value)
    graph.node.append(_node(node, opsets))
    for name, value in zip(node.outputs, outputs, strict=True):
        if name:
            graph.output.append(_result(name, value, node))
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=max(IR_VERSION, ir_version))
    return bytes(model.SerializeToString()), feeds


def captured(step: Observed) -> dict[str, Any]:
    """What the graphs of a node read from around it."""
    own = {name for name in step.node.inputs if name}
    return {name: step.scope[name] for name in sorted(step.node.reads() - own) if name in step.scope}


def plain(value: Any) -> Any:
    """A value of the reference as engines take and give it: arrays, lists, dicts, None."""
    if value is NOTHING:
        return None
    if isinstance(value, Mapping):
        return dict(value)
    return [plain(item) for item in value] if isinstance(value, list) else value


def element_number(dtype: np.dtype[Any]) -> int:
    """ONNX's number of an element type."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def _node(node: Node, opsets: dict[str, int]) -> onnx.NodeProto:
    """The node; its own opset imports are those of the model."""
    own = Node(**{**vars(node), "opsets": None})
    proto = Writer(opsets).node(own)
    for attribute in proto.attribute:  # types are read as text
        if node.op_type == "Optional" and attribute.name == "type":
            kind = type_proto(node.attributes["type"])
            attribute.CopyFrom(helper.make_attribute("type", kind))
    return proto


def _declared(name: str, value: Any, node: Node, opsets: Mapping[str, int]) -> onnx.ValueInfoProto:
    """A graph input of the type and shape of a value."""
    kind = _type(value, fixed=True)
    if node.op_type in ("OptionalHasElement", "OptionalGetElement") and (
        value is NOTHING or opsets.get(node.domain, 0) < 18
    ):
        kind = helper.make_optional_type_proto(kind)
    return helper.make_value_info(name, kind)


def _result(name: str, value: Any, node: Node) -> onnx.ValueInfoProto:
    """A graph output of the type of a value; optionals are left open, since a value does not tell that it is one."""
    optional = node.op_type == "Optional" or any(node.graphs())
    if optional or value is NOTHING or value is None:
        return onnx.ValueInfoProto(name=name)
    return helper.make_value_info(name, _type(value, fixed=False))


def _type(value: Any, fixed: bool) -> onnx.TypeProto:
    """The type of a value, with its shape if `fixed`."""
    if isinstance(value, np.ndarray):
        return helper.make_tensor_type_proto(element_number(value.dtype), value.shape if fixed else None)
    if isinstance(value, Mapping):
        entries = as_map(value)
        element = helper.make_tensor_type_proto(element_number(entries.value), [])
        return helper.make_map_type_proto(element_number(entries.key), element)
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return helper.make_sequence_type_proto(_type(value[0], fixed))
    dtype = sequence_dtype(value) if isinstance(value, list) else None
    element = helper.make_tensor_type_proto(element_number(dtype or np.dtype(np.float32)), None)
    return helper.make_sequence_type_proto(element) if isinstance(value, list) else element
