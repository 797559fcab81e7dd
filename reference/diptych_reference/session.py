"""The evaluator: a model is a list of nodes; look up each one's function and call it."""

from __future__ import annotations

import os
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx

import diptych_reference.ops  # noqa: F401  fills the registry
from diptych_reference.errors import (
    Error,
    InvalidInputError,
    InvalidModelError,
    ResourceLimitError,
    UnsupportedOperatorError,
)
from diptych_reference.lowering import lower
from diptych_reference.model import AttributeReference, FunctionBody, Graph, Model, Node, load
from diptych_reference.operator import lookup
from diptych_reference.schemas import find_schema
from diptych_reference.signature import as_input, check_attributes, check_feed, check_inputs
from diptych_reference.values import outward

Step = tuple[Node, list[Any], list[Any]]  # a node, its inputs (None: absent), its outputs


@dataclass(frozen=True)
class Observed:
    """One evaluation of a node, in the main graph or inside of one: what went in and came out, as operators see it.

    `scope` holds every value that the node's own graphs may read, `graph` is the one that the node stands in, `depth`
    how many graphs lie around that.
    """

    node: Node
    inputs: list[Any]
    outputs: list[Any]
    scope: Mapping[str, Any]
    graph: Graph
    opsets: Mapping[str, int]
    place: str
    depth: int


Watch = Callable[[Observed], None]


MAX_STEPS = 10_000_000


class ReferenceSession:
    """A model that can be run. `model` is a path, serialised bytes, a `ModelProto` or a loaded `Model`.

    `max_steps`: evaluations of subgraphs in one run, that is iterations of all its loops; None: any number.
    `memory_limit`: bytes that a single value may have; None: nine tenths of the machine's memory.
    Random operators without a seed of their own draw by `random_seed` and by how many runs came before.
    `quantized`: "integer" makes products of quantized operands products of integers, "float" leaves them; the attribute
    `lowering` lists what was found, and `model` is what is evaluated (docs/quantization.md).
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto | Model,
        *,
        max_steps: int | None = MAX_STEPS,
        memory_limit: int | None = None,
        random_seed: int = 0,
        quantized: str = "integer",
    ) -> None:
        self.model, self.lowering = lower(model if isinstance(model, Model) else load(model), quantized)
        self.max_steps = max_steps
        self.memory_limit = memory_limit
        self.random_seed, self.runs = random_seed, 0
        self.evaluation: type[Evaluation] = Evaluation  # how nodes are evaluated

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
            fed = self._feed(feeds)
            values = self._next_run().graph(self.model.graph, fed, {})
        except Error as error:
            error.at(self.model.name)
            raise
        return [outward(values[self.output_names.index(name)]) for name in names]

    def run_nodes(self, feeds: Mapping[str, Any]) -> Iterator[Step]:
        """Evaluate the model node by node; yield each node of the main graph with its inputs and outputs."""
        try:
            fed = self._feed(feeds)
            for node, inputs, outputs in self._next_run().steps(self.model.graph, fed, {}):
                yield node, list(map(outward, inputs)), list(map(outward, outputs))
        except Error as error:
            error.at(self.model.name)
            raise

    def observe(self, feeds: Mapping[str, Any], watch: Watch) -> list[Any]:
        """Evaluate the model as `run` does; `watch` sees every node once evaluated, those inside of graphs first.

        What `watch` raises ends the run. Nodes of functions are not seen: `inline` the model before.
        """
        try:
            fed = self._feed(feeds)
            return list(map(outward, self._next_run(watch).graph(self.model.graph, fed, {})))
        except Error as error:
            error.at(self.model.name)
            raise

    def _next_run(self, watch: Watch | None = None) -> Evaluation:
        """The next run of this session. One whose feeds are refused does not count."""
        around = f"{self.random_seed}:{self.runs}"
        self.runs += 1
        limits = Limits(self.max_steps, self.memory_limit)
        return self.evaluation(self.model, around=around, limits=limits, watch=watch)

    def _feed(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """The graph's own values at the start: initializers and checked inputs."""
        graph = self.model.graph
        unknown = sorted(feeds.keys() - {value.name for value in graph.inputs})
        missing = sorted(set(self.input_names) - feeds.keys())
        if unknown or missing:
            raise InvalidInputError(f"{self.model.name}: unknown inputs {unknown}, missing inputs {missing}")
        fed = {v.name: check_feed(v, as_input(feeds[v.name], v.type_name)) for v in graph.inputs if v.name in feeds}
        return {**graph.initializers, **fed}


@cache
def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else sys.maxsize


class Limits:
    """What a run may use: evaluations of subgraphs, and bytes of one value."""

    def __init__(self, max_steps: int | None, memory_limit: int | None) -> None:
        self.most = max_steps
        self.done = 0
        self.memory_limit = machine_memory() // 10 * 9 if memory_limit is None else memory_limit

    def check_value(self, value: Any) -> None:
        """ResourceLimitError where a value is larger than a run may make; views count in full."""
        for array in value if isinstance(value, list) else [value]:
            if isinstance(array, np.ndarray) and array.nbytes > self.memory_limit:
                raise ResourceLimitError(f"a value of {array.nbytes} bytes, more than memory_limit={self.memory_limit}")

    def count_step(self) -> None:
        """Count one; ResourceLimitError where there were too many."""
        self.done += 1
        if self.most is not None and self.done > self.most:
            raise ResourceLimitError(f"the run evaluates subgraphs more than max_steps={self.most} times")


class Evaluation:
    """One run: evaluates graphs, subgraphs and functions against a model's opset imports.

    Each evaluation of a node has a place, a text that no other one of the session has: `0:2/loop[3]/call/draw` is the
    node `draw` of the function that `call` calls, in the fourth evaluation of the body of `loop`, in the third run of a
    session of seed 0. `around` is what comes before the names, `prefix` the calls.
    """

    def __init__(
        self,
        model: Model,
        opsets: dict[str, int] | None = None,
        calls: tuple[str, ...] = (),
        around: str = "",
        prefix: str = "",
        *,
        limits: Limits,
        watch: Watch | None = None,
        depth: int = 0,
    ) -> None:
        self.limits = limits
        self.watch, self.depth = watch, depth
        self.model = model
        self.opsets = model.opsets if opsets is None else opsets
        self.calls = calls  # functions being evaluated, outermost first
        self.around, self.prefix = around, prefix

    def place(self, node: Node) -> str:
        """Where this evaluation of `node` is among all of the session."""
        return f"{self.around}/{self.prefix}{node.place}"

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
                for output in outputs:
                    self.limits.check_value(output)
            except Error as error:
                error.at(node.label)
                raise
            own.update((name, value) for name, value in zip(node.outputs, outputs, strict=True) if name)
            if self.watch is not None:
                opsets = self.opsets if node.opsets is None else node.opsets
                place = self.place(node)
                self.watch(Observed(node, inputs, outputs, values, graph, opsets, place, self.depth))
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
        opsets = self.opsets if node.opsets is None else node.opsets
        if node.domain not in opsets:
            raise InvalidModelError(f"domain {node.domain or 'ai.onnx'!r} is not among the opset imports {opsets}")
        # Names in functions are not the model's.
        around = None if self.calls or node.opsets is not None else Enclosing(self, graph, values)
        opset, count = opsets[node.domain], len(node.outputs)
        return evaluate(node.op_type, inputs, attributes, opset, node.domain, count, self.place(node), around)

    def attributes(self, node: Node, values: Mapping[str, Any], outer: dict[str, Any]) -> dict[str, Any]:
        """Attributes of a node: references resolved in the enclosing function, graphs as callables over `values`."""
        resolved: dict[str, Any] = {}
        for name, value in node.attributes.items():
            if isinstance(value, AttributeReference):
                if value.name in outer:
                    bound = outer[value.name]
                    resolved[name] = bound.at(self.place(node)) if isinstance(bound, Subgraph) else bound
            elif isinstance(value, Graph):
                resolved[name] = Subgraph(self, value, values, outer, self.place(node))
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
        opsets, calls = {**self.opsets, **body.opsets}, (*self.calls, node.op_type)
        place = f"{self.prefix}{node.place}/"
        inner = type(self)(self.model, opsets, calls, self.around, place, limits=self.limits)
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
    """A graph attribute as a callable: inputs by position in, outputs out; outer values are visible inside.

    `place` is that of the node whose attribute it is, and `runs` counts how often it was evaluated there.
    """

    def __init__(
        self, evaluation: Evaluation, graph: Graph, outer: Mapping[str, Any], attributes: dict[str, Any], place: str
    ) -> None:
        self.evaluation, self.graph, self.outer, self.attributes = evaluation, graph, outer, attributes
        self.inputs, self.outputs = graph.inputs, graph.outputs  # declared names, types and shapes
        self.place, self.runs = place, 0

    def at(self, place: str) -> Subgraph:
        """The same graph as the attribute of another node."""
        return Subgraph(self.evaluation, self.graph, self.outer, self.attributes, place)

    def __call__(self, *inputs: Any) -> list[Any]:
        """Evaluate the graph, one step of the run."""
        self.evaluation.limits.count_step()
        formal = self.graph.inputs
        if len(inputs) > len(formal):
            raise InvalidModelError(f"graph {self.graph.name!r} takes {len(formal)} inputs, got {len(inputs)}")
        own = {**self.graph.initializers, **{v.name: value for v, value in zip(formal, inputs, strict=False)}}
        scope = ChainMap(own, self.outer)  # type: ignore[arg-type]  # the outer scope is only read
        around, of = f"{self.place}[{self.runs}]", self.evaluation
        self.runs += 1
        inner = type(of)(
            of.model, of.opsets, of.calls, around, of.prefix, limits=of.limits, watch=of.watch, depth=of.depth + 1
        )
        return inner.graph(self.graph, scope, self.attributes)


def evaluate(
    op_type: str,
    inputs: Sequence[Any],
    attributes: Mapping[str, Any],
    opset: int,
    domain: str,
    n_outputs: int,
    place: str,
    enclosing: Enclosing | None = None,
) -> list[Any]:
    """Look up the operator, hold its inputs against the schema's types, call it, return `n_outputs` values."""
    row = lookup(domain, op_type, opset)
    schema = find_schema(domain, op_type, opset)
    if schema is not None:
        check_inputs(schema, inputs)
        check_attributes(schema, attributes)
    return list(row(inputs, attributes, n_outputs, place, enclosing)[:n_outputs])


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
    values = [as_input(value) for value in inputs]
    outputs = evaluate(op_type, values, attributes or {}, version, domain, n_outputs, f"0:0/{op_type}_0")
    return list(map(outward, outputs))
