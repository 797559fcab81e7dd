"""The evaluator: a model is a list of nodes; look up each one's function and call it."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx

import diptych_reference.ops  # noqa: F401  fills the registry
from diptych_reference.errors import Error, InvalidInputError, InvalidModelError, UnsupportedOperatorError
from diptych_reference.model import AttributeReference, FunctionBody, Graph, Model, Node, load
from diptych_reference.operator import find_schema, lookup
from diptych_reference.signature import as_input, check_attributes, check_feed, check_inputs

Step = tuple[Node, list[Any], list[Any]]  # a node, its inputs (None: absent), its outputs


class ReferenceSession:
    """A model that can be run. `model` is a path, serialised bytes, a `ModelProto` or a loaded `Model`."""

    def __init__(self, model: str | os.PathLike[str] | bytes | onnx.ModelProto | Model) -> None:
        self.model = model if isinstance(model, Model) else load(model)

    @property
    def input_names(self) -> list[str]:
        """Inputs that must be fed: those without an initializer."""
        graph = self.model.graph
        return [value.name for value in graph.inputs if value.name not in graph.initializers]

    @property
    def output_names(self) -> list[str]:
        """Outputs of the graph."""
        return [value.name for value in self.model.graph.outputs]

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        """Evaluate the model on `feeds` (name -> array) and return the named outputs, all of them for None."""
        names = self.output_names if output_names is None else list(output_names)
        unknown = sorted(set(names) - set(self.output_names))
        if unknown:
            raise InvalidInputError(f"{self.model.name}: no outputs {unknown}, the model has {self.output_names}")
        try:
            values = Evaluation(self.model).graph(self.model.graph, self._feed(feeds), {})
        except Error as error:
            error.at(self.model.name)
            raise
        return [values[self.output_names.index(name)] for name in names]

    def run_nodes(self, feeds: Mapping[str, Any]) -> Iterator[Step]:
        """Evaluate the model node by node; yield each node of the main graph with its inputs and outputs."""
        try:
            yield from Evaluation(self.model).steps(self.model.graph, self._feed(feeds), {})
        except Error as error:
            error.at(self.model.name)
            raise

    def _feed(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """The graph's own values at the start: initializers and checked inputs."""
        graph = self.model.graph
        unknown = sorted(feeds.keys() - {value.name for value in graph.inputs})
        missing = sorted(set(self.input_names) - feeds.keys())
        if unknown or missing:
            raise InvalidInputError(f"{self.model.name}: unknown inputs {unknown}, missing inputs {missing}")
        fed = {v.name: check_feed(v, as_input(feeds[v.name])) for v in graph.inputs if v.name in feeds}
        return {**graph.initializers, **fed}


class Evaluation:
    """One run: evaluates graphs, subgraphs and functions against a model's opset imports."""

    def __init__(self, model: Model, opsets: dict[str, int] | None = None, calls: tuple[str, ...] = ()) -> None:
        self.model = model
        self.opsets = model.opsets if opsets is None else opsets
        self.calls = calls  # functions being evaluated, outermost first

    def graph(self, graph: Graph, values: ChainMap[str, Any] | dict[str, Any], attributes: dict[str, Any]) -> list[Any]:
        """Outputs of `graph`. `values`: what is defined so far; `attributes`: those of the enclosing function."""
        for _ in self.steps(graph, values, attributes):
            pass
        return [values[output.name] for output in graph.outputs]

    def steps(
        self, graph: Graph, values: ChainMap[str, Any] | dict[str, Any], attributes: dict[str, Any]
    ) -> Iterator[Step]:
        """Evaluate the nodes in order, dropping each value after its last use."""
        own = values.maps[0] if isinstance(values, ChainMap) else values
        for node, dead in zip(graph.nodes, graph.last_uses, strict=True):
            inputs = [values[name] if name else None for name in node.inputs]
            try:
                outputs = self.node(node, inputs, values, attributes, graph)
            except Error as error:
                error.at(node.label)
                raise
            own.update((name, value) for name, value in zip(node.outputs, outputs, strict=True) if name)
            yield node, inputs, outputs
            for name in dead:
                own.pop(name, None)

    def node(
        self, node: Node, inputs: list[Any], values: Mapping[str, Any], outer: dict[str, Any], graph: Graph
    ) -> list[Any]:
        """Outputs of one node of `graph`, as many as it names."""
        attributes = self.attributes(node, values, outer)
        function = self.model.functions.get((node.domain, node.op_type, node.overload))
        if function is not None:
            return self.function(node, function, inputs, attributes)
        if node.domain not in self.opsets:
            raise InvalidModelError(f"domain {node.domain or 'ai.onnx'!r} is not among the opset imports {self.opsets}")
        around = None if self.calls else Enclosing(self, graph, values)  # names in functions are not the model's
        opset, count = self.opsets[node.domain], len(node.outputs)
        return evaluate(node.op_type, inputs, attributes, opset, node.domain, count, around)

    def attributes(self, node: Node, values: Mapping[str, Any], outer: dict[str, Any]) -> dict[str, Any]:
        """Attributes of a node: references resolved in the enclosing function, graphs as callables over `values`."""
        resolved: dict[str, Any] = {}
        for name, value in node.attributes.items():
            if isinstance(value, AttributeReference):
                if value.name in outer:
                    resolved[name] = outer[value.name]
            elif isinstance(value, Graph):
                resolved[name] = Subgraph(self, value, values, outer)
            else:
                resolved[name] = value
        return resolved

    def function(self, node: Node, body: FunctionBody, inputs: list[Any], attributes: dict[str, Any]) -> list[Any]:
        """Evaluate a function local to the model in a scope of its own."""
        missing = sorted(body.required - attributes.keys())
        if node.op_type in self.calls or missing or len(inputs) > len(body.graph.inputs):
            problem = f"missing attributes {missing}" if missing else "a function that calls itself, or too many inputs"
            raise InvalidModelError(f"function {node.op_type!r}: {problem}")
        absent = [None] * (len(body.graph.inputs) - len(inputs))
        values = {v.name: value for v, value in zip(body.graph.inputs, [*inputs, *absent], strict=True)}
        inner = Evaluation(self.model, {**self.opsets, **body.opsets}, (*self.calls, node.op_type))
        outputs = inner.graph(body.graph, values, {**body.attributes, **attributes})
        if len(outputs) < len(node.outputs):
            raise InvalidModelError(f"function {node.op_type!r} has {len(outputs)} outputs, not {len(node.outputs)}")
        return outputs[: len(node.outputs)]


class Enclosing:
    """The graph around a node, for an operator that looks at it."""

    def __init__(self, evaluation: Evaluation, graph: Graph, values: Mapping[str, Any]) -> None:
        self.evaluation, self.graph, self.values = evaluation, graph, values

    def leading_to(self, name: str, known: set[str]) -> list[Node]:
        """The nodes that `name` depends on, short of what is `known`: each after the nodes of its inputs, in order."""
        producers = {output: i for i, node in enumerate(self.graph.nodes) for output in node.outputs if output}
        found: dict[int, Node] = {}
        stack = [(name, False)]
        while stack:
            wanted, done = stack.pop()
            index = producers.get(wanted)
            if index is None or wanted in known or index in found:
                continue
            node = self.graph.nodes[index]
            if done:
                found[index] = node
            else:
                stack += [(wanted, True), *((name, False) for name in reversed(node.inputs) if name)]
        return list(found.values())

    def value(self, name: str) -> Any:
        """A value that no node of the graph gives."""
        if name not in self.values:
            raise InvalidModelError(f"there is no value {name!r} around the node")
        return self.values[name]

    def opset(self, node: Node) -> int:
        """The opset that a node belongs to."""
        return self.evaluation.opsets.get(node.domain, 0)

    def evaluate(self, node: Node, inputs: list[Any]) -> list[Any]:
        """Outputs of a node for other inputs than its own."""
        if any(node.graphs()) or (node.domain, node.op_type, node.overload) in self.evaluation.model.functions:
            raise UnsupportedOperatorError(f"{node.label}: graphs and functions are not looked into")
        return self.evaluation.node(node, inputs, self.values, {}, self.graph)


class Subgraph:
    """A graph attribute as a callable: inputs by position in, outputs out; outer values are visible inside."""

    def __init__(
        self, evaluation: Evaluation, graph: Graph, outer: Mapping[str, Any], attributes: dict[str, Any]
    ) -> None:
        self.evaluation, self.graph, self.outer, self.attributes = evaluation, graph, outer, attributes
        self.outputs = graph.outputs  # declared names, types and shapes

    def __call__(self, *inputs: Any) -> list[Any]:
        """Evaluate the graph."""
        formal = self.graph.inputs
        if len(inputs) > len(formal):
            raise InvalidModelError(f"graph {self.graph.name!r} takes {len(formal)} inputs, got {len(inputs)}")
        own = {**self.graph.initializers, **{v.name: value for v, value in zip(formal, inputs, strict=False)}}
        scope = ChainMap(own, self.outer)  # type: ignore[arg-type]  # the outer scope is only read
        return self.evaluation.graph(self.graph, scope, self.attributes)


def evaluate(
    op_type: str,
    inputs: Sequence[Any],
    attributes: Mapping[str, Any],
    opset: int,
    domain: str,
    n_outputs: int,
    enclosing: Enclosing | None = None,
) -> list[Any]:
    """Look up the operator, hold its inputs against the schema's types, call it, return `n_outputs` values."""
    row = lookup(domain, op_type, opset)
    schema = find_schema(domain, op_type, opset)
    if schema is not None:
        check_inputs(schema, inputs)
        check_attributes(schema, attributes)
    return list(row(inputs, attributes, n_outputs, enclosing)[:n_outputs])


def run_operator(
    op_type: str,
    inputs: Sequence[Any],
    attributes: Mapping[str, Any] | None = None,
    *,
    opset: int | None = None,
    domain: str = "",
    n_outputs: int = 1,
) -> list[Any]:
    """Evaluate one operator without a model. `opset` defaults to the newest that the installed onnx package knows."""
    version = onnx.defs.onnx_opset_version() if opset is None else opset
    values = [value if value is None or isinstance(value, list) else as_input(value) for value in inputs]
    return evaluate(op_type, values, attributes or {}, version, domain, n_outputs)
