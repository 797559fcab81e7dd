"""Lowering: the one place where the meaning of a model may be chosen (docs/quantization.md).

A product between DequantizeLinear nodes means a product of floats. With `quantized="integer"` it becomes a product of
the integers themselves, which differs in its roundings; with "float" it stays, and MatMulNBits computes in floats too.
The rules are a table: `RULES` maps an operator to what it becomes. A pattern that no rule takes stays as it is, and the
list of `Lowered` says why.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from diptych_reference.errors import InvalidInputError
from diptych_reference.inline import inline
from diptych_reference.lowering.pattern import Kept, Rewrite, Scope
from diptych_reference.lowering.products import conv, conv_transpose, gemm, matmul
from diptych_reference.model import Graph, Model, Node, finish, load
from diptych_reference.write import to_proto

__all__ = ["SETTINGS", "Lowered", "lower", "lowered_model"]

SETTINGS = ("integer", "float")
Rule = Callable[[Scope, Node], Rewrite]
RULES: dict[str, Rule] = {"Conv": conv, "ConvTranspose": conv_transpose, "MatMul": matmul, "Gemm": gemm}


@dataclass(frozen=True)
class Lowered:
    """One product with a dequantized operand, and what became of it.

    `graph` is "" for the main graph, else such as "loop_1.body/if_2.then_branch". `nodes_in` are the (name, op_type)
    that the pattern is made of (some of which others may read too), `nodes_out` those that stand for them. `reason`
    says why the pattern stays floating point; it is empty where it does not.
    """

    graph: str
    node: str
    op_type: str
    meaning: str  # "integer" or "float"
    nodes_in: tuple[tuple[str, str], ...]
    nodes_out: tuple[tuple[str, str], ...]
    reason: str = ""


def lower(model: Model, quantized: str = "integer") -> tuple[Model, list[Lowered]]:
    """The model with its meaning chosen, and the list of what was found. `model` itself stays as it is.

    Raises InvalidInputError where `quantized` is neither "integer" nor "float".
    """
    if quantized not in SETTINGS:
        raise InvalidInputError(f"quantized is {quantized!r}; expected one of {', '.join(SETTINGS)}")
    if not any(concerns(node, quantized) for node in all_nodes(model)):
        return model, []
    model = inline(model)
    found: list[Lowered] = []
    taken = {name for graph in all_graphs(model.graph) for name in defined(graph)}
    graph = Lowering(model, quantized, found, taken).graph(model.graph, None, "")
    return replace(model, graph=graph), sorted(found, key=lambda entry: (entry.graph, entry.node))


def lowered_model(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto, quantized: str = "integer"
) -> onnx.ModelProto:
    """The model that a session with this setting evaluates, as ONNX: to save, to look at, for other engines.

    Functions are expanded. Raises UnsupportedOperatorError where they import other opsets than the model.
    """
    return to_proto(lower(load(source), quantized)[0])


def all_graphs(graph: Graph) -> Iterator[Graph]:
    """A graph and those inside its nodes."""
    yield graph
    for node in graph.nodes:
        for inner in node.graphs():
            yield from all_graphs(inner)


def all_nodes(model: Model) -> Iterator[Node]:
    """The nodes of a model, its functions included."""
    for top in (model.graph, *(body.graph for body in model.functions.values())):
        yield from itertools.chain.from_iterable(graph.nodes for graph in all_graphs(top))


def concerns(node: Node, quantized: str) -> bool:
    """Whether a model with this node has anything to lower."""
    if quantized == "integer":
        return (node.domain, node.op_type) == ("", "DequantizeLinear")
    return (node.domain, node.op_type) == ("com.microsoft", "MatMulNBits")


def defined(graph: Graph) -> set[str]:
    """Names of the values that a graph defines."""
    names = {value.name for value in graph.inputs} | graph.initializers.keys()
    return names.union(*(node.outputs for node in graph.nodes))


class Lowering:
    """The lowering of one model: what it found, and the names that are taken."""

    def __init__(self, model: Model, quantized: str, found: list[Lowered], taken: set[str]) -> None:
        self.opsets, self.quantized, self.found, self.taken = model.opsets, quantized, found, taken

    def graph(self, graph: Graph, outer: Scope | None, path: str) -> Graph:
        """`graph` lowered, with the graphs inside."""
        if any(node.op_type == "Gradient" for node in graph.nodes):  # it differentiates the nodes as they are written
            return graph
        scope = Scope(graph, self.opsets, outer, self.taken)
        rewrites = {id(node): self.rewrite(scope, node, path) for node in graph.nodes}
        gone = {id(node) for rewrite in rewrites.values() if rewrite is not None for node in rewrite.removed}
        nodes: list[Node] = []
        for node in graph.nodes:
            rewrite = rewrites[id(node)]
            if rewrite is not None:
                nodes += rewrite.nodes
            elif id(node) not in gone:
                nodes.append(self.with_graphs(node, scope, path))
        idle = {id(node) for rewrite in rewrites.values() if rewrite is not None for node in rewrite.operands}
        return rebuilt(graph, nodes, idle, scope.constants)

    def rewrite(self, scope: Scope, node: Node, path: str) -> Rewrite | None:
        """What `node` becomes, if a rule takes it; notes what it found."""
        if self.quantized == "float":
            return self.float_bits(node, path)
        named = not node.domain and node.op_type in RULES and len(node.inputs) > 1 and node.outputs
        if not named or not any(map(scope.is_dequantized, node.inputs[:2])):
            return None
        try:
            with np.errstate(all="ignore"):
                rewrite = RULES[node.op_type](scope, node)
        except Kept as kept:
            self.note(path, node, "float", [node], [node], str(kept))
            return None
        self.note(path, node, "integer", rewrite.pattern, rewrite.nodes)
        return rewrite

    def float_bits(self, node: Node, path: str) -> Rewrite | None:
        """MatMulNBits whose `accuracy_level` lets it quantize A: level 1, binary32."""
        level = node.attributes.get("accuracy_level", 0)
        named = (node.domain, node.op_type) == ("com.microsoft", "MatMulNBits")
        if not named or not isinstance(level, int) or level in (0, 1):
            return None
        exact = replace(node, attributes={**node.attributes, "accuracy_level": 1})
        self.note(path, node, "float", [node], [exact], f"accuracy_level {level} becomes 1")
        return Rewrite(nodes=[exact], removed=[node], pattern=[node], operands=[])

    def note(
        self, path: str, node: Node, meaning: str, before: list[Node], after: list[Node], reason: str = ""
    ) -> None:
        """Put a line into the list."""
        nodes_in, nodes_out = (tuple((node.place, node.op_type) for node in nodes) for nodes in (before, after))
        self.found.append(Lowered(path, node.place, node.op_type, meaning, nodes_in, nodes_out, reason))

    def with_graphs(self, node: Node, scope: Scope, path: str) -> Node:
        """A node whose graph attributes are lowered."""
        if not any(node.graphs()):
            return node
        attributes: dict[str, Any] = {}
        for name, value in node.attributes.items():
            inside = f"{path}/{node.place}.{name}".removeprefix("/")
            if isinstance(value, Graph):
                value = self.graph(value, scope, inside)
            elif isinstance(value, list) and value and isinstance(value[0], Graph):
                value = [self.graph(item, scope, f"{inside}[{i}]") for i, item in enumerate(value)]
            attributes[name] = value
        return replace(node, attributes=attributes)


def rebuilt(graph: Graph, nodes: list[Node], idle: set[int], constants: dict[str, Any]) -> Graph:
    """The graph with other nodes and more constants, without operands (`idle`) and constants that nobody reads now."""
    outputs = {value.name for value in graph.outputs}
    alive, kept = set(outputs), []
    for node in reversed(nodes):
        if id(node) in idle and not alive & set(node.outputs):
            continue
        alive |= node.reads()
        kept.append(node)
    before = outputs.union(*(node.reads() for node in graph.nodes))
    dropped = before - alive - {value.name for value in graph.inputs}
    initializers = {name: value for name, value in graph.initializers.items() if name not in dropped}
    lowered = replace(graph, nodes=kept[::-1], initializers={**initializers, **constants}, last_uses=[])
    return finish(lowered, outputs)
