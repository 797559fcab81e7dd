"""How big is a candidate? Only a smaller one replaces the best so far, so that every reduction ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, helper, numpy_helper

from diptych.reducer.candidate import Candidate, attribute_graphs, is_open, names_of

__all__ = ["complexity", "describe", "measure"]

# Element types, the plainest first; what is not here comes last.
PLAIN = ("float32", "int64", "bool", "int32", "float64", "object", "uint8", "int8")
SMALL = 9


def measure(candidate: Candidate) -> tuple[int, ...]:
    """Nodes before their inputs and attributes, those before elements, those before what the elements are."""
    model, graph, tensors = candidate.model, candidate.model.graph, candidate.tensors.values()
    functions = sum(len(function.node) for function in model.functions)
    nodes = list(graph.node)
    arguments = sum(sum(map(bool, node.input)) + sum(map(bool, node.output)) for node in nodes)
    attributes = [attribute for node in nodes for attribute in node.attribute]
    return (
        _count(graph) + functions,
        len(model.functions),
        arguments + len(graph.output) + len(graph.input) + len(graph.initializer),
        len(attributes),
        sum(_weight(attribute) for attribute in attributes),
        sum(array.size for array in tensors) + len(tensors),
        sum(array.ndim for array in tensors),
        sum(map(complexity, tensors)),
        sum(PLAIN.index(a.dtype.name) if a.dtype.name in PLAIN else len(PLAIN) for a in tensors),
        sum(map(is_open, graph.input)),
        sum(opset.version for opset in model.opset_import) + 100 * len(model.opset_import),
        model.ir_version,
        sum(map(len, names_of(graph))) + len(graph.name),
        model.ByteSize() if candidate.path is None else 1 << 62,
    )


def describe(candidate: Candidate) -> str:
    """A few words for people."""
    nodes = _count(candidate.model.graph)
    elements = sum(array.size for array in candidate.tensors.values())
    return f"{nodes} node{'s' * (nodes != 1)}, {elements} element{'s' * (elements != 1)}"


def complexity(array: np.ndarray[Any, Any]) -> int:
    """Zeros weigh nothing, small integers 1, other integers 2, three binary digits behind the point 3, the rest 4."""
    if array.dtype.kind == "O":
        return sum(min(len(str(item)), 4) for item in array.flat)
    if array.dtype.kind == "b":
        return int(np.count_nonzero(array))
    values = np.abs(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64))
    with np.errstate(all="ignore"):
        whole, eighths = values == np.rint(values), values * 8 == np.rint(values * 8)
        plain = (values == 0) & ~np.signbit(array.astype(np.float64).real if array.dtype.kind != "c" else array.real)
    weights = np.select([plain, ~np.isfinite(values), whole & (values <= SMALL), whole, eighths], [0, 2, 1, 2, 3], 4)
    return int(weights.sum())


def _count(graph: GraphProto) -> int:
    """Nodes of a graph and the graphs in it."""
    return len(graph.node) + sum(_count(inner) for node in graph.node for inner in attribute_graphs(node))


def _weight(attribute: AttributeProto) -> int:
    """What an attribute's value weighs."""
    value = helper.get_attribute_value(attribute)
    match attribute.type:
        case AttributeProto.INT | AttributeProto.FLOAT:
            return complexity(np.asarray(value))
        case AttributeProto.INTS | AttributeProto.FLOATS:
            return len(value) + sum(complexity(np.asarray(item)) for item in value)
        case AttributeProto.TENSOR:
            array = numpy_helper.to_array(value)
            return int(array.size) + complexity(array)
        case AttributeProto.STRINGS:
            return len(value) + sum(map(len, value))
        case _:
            return 1
