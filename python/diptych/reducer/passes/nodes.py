"""Nodes, their inputs and outputs, functions, and the graphs inside nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from onnx import AttributeProto, ModelProto, TensorProto, helper

from diptych.reducer.bodies import evaluations, inlined
from diptych.reducer.candidate import Candidate, attribute_graphs
from diptych.reducer.passes.names import copied
from diptych.reducer.source import Source

__all__ = ["drop_inputs", "drop_nodes", "drop_outputs", "fold_constants", "inline_functions", "lift_bodies"]

TURNS = 64  # evaluations of a body that are tried by themselves
MANY = 400  # nodes beyond which one by one takes too long


def fold_constants(candidate: Candidate) -> Iterator[Candidate]:
    """Constant nodes as initializers."""
    model = copied(candidate)
    kept = []
    for node in model.graph.node:
        tensor = _constant(node.attribute[0], node.output[0]) if _is_constant(node) else None
        if tensor is None:
            kept.append(node)
        else:
            model.graph.initializer.append(tensor)
    outputs = {value.name for value in model.graph.output}
    if len(kept) < len(model.graph.node) and not outputs & {t.name for t in model.graph.initializer}:
        nodes = [copy for node in kept for copy in [type(node).FromString(node.SerializeToString())]]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        yield replace(candidate.with_model(model), expected=candidate.expected, chained=candidate.chained)


def _is_constant(node: object) -> bool:
    """Whether a node is a Constant of ONNX."""
    return (
        getattr(node, "op_type", "") == "Constant"
        and getattr(node, "domain", "") in ("", "ai.onnx")
        and len(getattr(node, "attribute", ())) == 1
    )


def _constant(attribute: AttributeProto, name: str) -> TensorProto | None:
    """The tensor of a Constant; None where it is sparse."""
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        tensor = TensorProto()
        tensor.CopyFrom(value)
        tensor.name = name
        return tensor
    kinds = {
        "value_int": TensorProto.INT64,
        "value_ints": TensorProto.INT64,
        "value_float": TensorProto.FLOAT,
        "value_floats": TensorProto.FLOAT,
        "value_string": TensorProto.STRING,
        "value_strings": TensorProto.STRING,
    }
    if attribute.name not in kinds:
        return None
    items = list(value) if attribute.name.endswith("s") else [value]
    shape = [len(items)] if attribute.name.endswith("s") else []
    return helper.make_tensor(name, kinds[attribute.name], shape, items)


def inline_functions(candidate: Candidate) -> Iterator[Candidate]:
    """Functions' nodes in the place of calls."""
    if candidate.model.functions:
        yield inlined(candidate)


def drop_nodes(candidate: Candidate) -> Iterator[Candidate | None]:
    """Each node replaced by what it gives, then each node but one."""
    count = len(candidate.model.graph.node)
    if not 1 < count <= MANY:
        return
    source = Source(replace(candidate, path=None))
    try:
        for index in range(count):
            yield source.cut([index])
        for index in range(count):
            yield source.cut([i for i in range(count) if i != index])
    finally:
        source.close()


def lift_bodies(candidate: Candidate) -> Iterator[Candidate]:
    """The evaluations of the graphs inside a single node, each as a model."""
    graph = candidate.model.graph
    if len(graph.node) == 1 and any(attribute_graphs(graph.node[0])):
        yield from islice(evaluations(candidate), TURNS)


def drop_outputs(candidate: Candidate) -> Iterator[Candidate]:
    """One output of the graph alone; then without one of them; then nodes without outputs that nobody reads."""
    graph = candidate.model.graph
    outputs = list(range(len(graph.output)))
    if len(outputs) > 1:
        for kept in ([i] for i in outputs):
            yield _with_outputs(candidate, kept)
        for dropped in outputs:
            yield _with_outputs(candidate, [i for i in outputs if i != dropped])
    used = {value.name for value in graph.output} | {name for node in graph.node for name in node.input}
    for number, node in enumerate(graph.node):
        for place in reversed(range(len(node.output))):
            if node.output[place] and node.output[place] not in used:
                model = copied(candidate)
                names = model.graph.node[number].output
                names[place] = ""
                while names and not names[-1]:
                    names.pop()
                yield candidate.with_model(model)


def _with_outputs(candidate: Candidate, kept: list[int]) -> Candidate:
    """The candidate with some of its outputs."""
    model: ModelProto = copied(candidate)
    outputs = [candidate.model.graph.output[i] for i in kept]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return candidate.with_model(model)


def drop_inputs(candidate: Candidate) -> Iterator[Candidate]:
    """Nodes without one of their inputs; then one input of a node for another that is read already."""
    graph = candidate.model.graph
    for number, node in enumerate(graph.node):
        for place in reversed(range(len(node.input))):
            if not node.input[place]:
                continue
            yield _without_unread(candidate, number, [n if i != place else "" for i, n in enumerate(node.input)])
            if place + 1 < len(node.input):
                yield _without_unread(candidate, number, [n for i, n in enumerate(node.input) if i != place])


def _without_unread(candidate: Candidate, number: int, names: list[str]) -> Candidate:
    """The candidate with other inputs of a node, and without the inputs that nobody reads any longer."""
    model = copied(candidate)
    while names and not names[-1]:
        names.pop()
    model.graph.node[number].input[:] = names
    read = {name for node in model.graph.node for name in node.input} | {v.name for v in model.graph.output}
    if not any(True for node in model.graph.node for _ in attribute_graphs(node)):
        for values in (model.graph.input, model.graph.initializer):
            for index in reversed(range(len(values))):
                if values[index].name not in read:
                    del values[index]
    return candidate.with_model(model)
