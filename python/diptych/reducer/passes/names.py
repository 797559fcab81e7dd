"""What is written around a model: documentation, names, versions."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import GraphProto, ModelProto, helper

from diptych.reducer.candidate import Candidate, attribute_graphs, names_of, read_names
from diptych.reducer.source import needed_functions

__all__ = ["lower_versions", "rename", "strip"]


def copied(candidate: Candidate) -> ModelProto:
    """A copy of a candidate's model."""
    model = ModelProto()
    model.CopyFrom(candidate.model)
    return model


def strip(candidate: Candidate) -> Iterator[Candidate]:
    """Without documentation, metadata, declared inner values, unused constants, inputs, functions and opsets."""
    model = ModelProto(ir_version=candidate.model.ir_version)
    graph = model.graph
    graph.name = "reduced"
    graph.node.extend(candidate.model.graph.node)
    graph.output.extend(candidate.model.graph.output)
    read = {name for node in graph.node for name in read_names(node)} | {value.name for value in graph.output}
    graph.input.extend(value for value in candidate.model.graph.input if value.name in read)
    graph.initializer.extend(tensor for tensor in candidate.model.graph.initializer if tensor.name in read)
    graph.sparse_initializer.extend(t for t in candidate.model.graph.sparse_initializer if t.values.name in read)
    model.functions.extend(needed_functions(candidate.model, graph.node))
    domains = _domains(graph) | {normal(node.domain) for f in model.functions for node in f.node}
    model.opset_import.extend(o for o in candidate.model.opset_import if normal(o.domain) in domains)
    _strip_texts(graph)
    yield candidate.with_model(model)


def normal(domain: str) -> str:
    """The domain, ONNX's in its short spelling."""
    return "" if domain == "ai.onnx" else domain


def _domains(graph: GraphProto) -> set[str]:
    """Domains of the nodes of a graph and the graphs in it."""
    inner = (_domains(g) for node in graph.node for g in attribute_graphs(node))
    return {normal(node.domain) for node in graph.node}.union(*inner)


def _strip_texts(graph: GraphProto) -> None:
    """Remove documentation and metadata of nodes, values and inner graphs."""
    graph.ClearField("value_info")
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.node):
        value.ClearField("doc_string")
        value.ClearField("metadata_props")
    for node in graph.node:
        for inner in attribute_graphs(node):
            inner.ClearField("doc_string")
            _strip_texts(inner)


def lower_versions(candidate: Candidate) -> Iterator[Candidate]:
    """The opset at which the operators have the version that they have, and the oldest format that carries it."""
    oldest: dict[str, int] = {}
    opsets = {normal(opset.domain): opset.version for opset in candidate.model.opset_import}
    for domain, name in _operators(candidate.model.graph):
        if onnx.defs.has(name, max_inclusive_version=opsets.get(domain, 1), domain=domain):
            since = onnx.defs.get_schema(name, opsets.get(domain, 1), domain).since_version
            oldest[domain] = max(oldest.get(domain, 1), since)
    lower = not candidate.model.functions and oldest.keys() >= opsets.keys()
    for floor in (1, 7, 8, 9, 11, 13, None):  # old readers refuse what is older still
        model = copied(candidate)
        for opset in model.opset_import:
            domain = normal(opset.domain)
            if lower and floor is not None:
                opset.version = max(oldest[domain], min(floor if not domain else 1, opset.version))
        for ir_version in (_oldest_format(model), candidate.model.ir_version):
            model.ir_version = ir_version
            yield candidate.with_model(copied(Candidate(model, {})))


def _oldest_format(model: ModelProto) -> int:
    """The oldest version of the format that carries a model's opsets, and constants that are no inputs."""
    try:
        return max(int(helper.find_min_ir_version_for(list(model.opset_import), ignore_unknown=True)), 4)
    except ValueError:  # a domain or a version that onnx does not know
        return int(model.ir_version)


def _operators(graph: GraphProto) -> Iterator[tuple[str, str]]:
    """Domain and operator of all nodes."""
    for node in graph.node:
        yield normal(node.domain), node.op_type
        for inner in attribute_graphs(node):
            yield from _operators(inner)


def rename(candidate: Candidate) -> Iterator[Candidate]:
    """Inputs x0, x1, …; constants c0, …; outputs y0, …; values between v0, …; nodes without names.

    Models with functions or graphs inside keep their names.
    """
    graph = candidate.model.graph
    if candidate.model.functions or any(True for node in graph.node for _ in attribute_graphs(node)):
        return
    new: dict[str, str] = {}
    outputs = [value.name for value in graph.output]
    constants = [*(t.name for t in graph.initializer), *(t.values.name for t in graph.sparse_initializer)]
    for letter, names in (
        ("x", [value.name for value in graph.input]),
        ("c", constants),
        ("y", outputs),
        ("v", [name for node in graph.node for name in node.output if name]),
    ):
        fresh = [name for name in dict.fromkeys(names) if name not in new]
        new.update((name, f"{letter}{i}") for i, name in enumerate(fresh))
    model = copied(candidate)
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = new[value.name]
    for sparse in model.graph.sparse_initializer:
        sparse.values.name = new[sparse.values.name]
    for node in model.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
        node.ClearField("name")
    if names_of(model.graph) != names_of(graph):
        feeds = {new[name]: value for name, value in candidate.feeds.items()}
        yield Candidate(model, feeds, candidate.expected, candidate.chained)
