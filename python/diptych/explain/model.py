"""What a model does with an input, node by node: values, where they lie, what each node takes."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import diptych
from diptych.errors import InvalidInputError
from diptych.explain.arena import Arena, Place, arena_of
from diptych.explain.example import described
from diptych.explain.flow import Stretch, recording, stretch_of
from diptych.explain.kernel import kernels_of
from diptych.explain.shown import Shown, show
from diptych.explain.timing import Timing, Timings, timing_of
from diptych.sources import RustPanel
from diptych_reference import ReferenceSession, lookup, run_operator
from diptych_reference.model import Graph, Model, Node

__all__ = ["Body", "BodyNode", "ModelPage", "NodePage", "OperatorSources", "explain_model", "select_nodes"]

Runner = Callable[[diptych.InferenceSession, Mapping[str, Any]], Any]
OPERATORS_OWN = "diptych_reference.ops"
FEW = 8  # nodes whose values are shown line by line


@dataclass(frozen=True)
class BodyNode:
    """A node of a body: what it is and what it took, over all iterations of a run."""

    index: int
    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    timing: Timing
    bodies: tuple[Body, ...]


@dataclass(frozen=True)
class Body:
    """A graph inside a node, such as a Loop's `body`."""

    attribute: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[BodyNode, ...]


@dataclass(frozen=True)
class NodePage:
    """A node of the main graph. `source` is the key of its operator's sources; `places` are those of its outputs.

    `left` is the reference with the values of its lines, where few nodes were asked for.
    """

    index: int
    name: str
    op_type: str
    domain: str
    source: str
    attributes: dict[str, str]
    inputs: tuple[Shown, ...]
    outputs: tuple[Shown, ...]
    places: tuple[Place, ...]
    timing: Timing
    bodies: tuple[Body, ...]
    left: tuple[Stretch, ...]


@dataclass(frozen=True)
class OperatorSources:
    """Both panels' source of an operator version; `no_left`, `no_kernels` say why one is missing."""

    name: str
    op_type: str
    left: tuple[Stretch, ...]
    no_left: str
    kernels: tuple[RustPanel, ...]
    no_kernels: str


@dataclass(frozen=True)
class ModelPage:
    """A model at work. `nodes` are those asked for, of `node_count`; as lowering left them, before the passes."""

    model: str
    graph: str
    isa: str
    threads: int
    runs: int
    node_count: int
    inputs: tuple[Shown, ...]
    outputs: tuple[Shown, ...]
    nodes: tuple[NodePage, ...]
    sources: dict[str, OperatorSources]
    memory: dict[str, int]
    arena: Arena

    def as_data(self) -> dict[str, Any]:
        """Dictionaries, lists and numbers, for JSON."""
        return asdict(self)


def explain_model(
    model: str | os.PathLike[str],
    feeds: Mapping[str, Any],
    options: diptych.SessionOptions | None = None,
    *,
    nodes: Sequence[str] = (),
    runs: int = 3,
    run: Runner = lambda session, feeds: session.run(None, feeds),
    progress: Callable[[str], None] = lambda text: None,
) -> ModelPage:
    """Run a model on both panels and describe what happens.

    The engine runs `runs` times after one to warm up, each by `run`, for times and memory; the reference once, for the
    values, no further than the last of `nodes`: names, indices such as `7`, ranges such as `7:12`, all for none.

    Raises InvalidInputError for nodes that are not there, else as both panels' sessions do.
    """
    options = diptych.SessionOptions() if options is None else options
    options.enable_profiling = True
    session = diptych.InferenceSession(model, options)
    reference = ReferenceSession(model, quantized=options.quantized)
    graph = reference.model.graph
    chosen = select_nodes(graph.nodes, nodes)
    results, events = [], []
    for index in range(runs + 1):
        progress(f"engine, run {index} of {runs}")
        results = run(session, feeds)
        events.append(session.take_events())
    timing, arena = timing_of(session, events[1:]), arena_of(session)
    pages = []
    for index, (node, inputs, outputs) in enumerate(reference.run_nodes(feeds)):
        progress(f"reference, node {index + 1} of {len(graph.nodes)}: {node.op_type} {node.name}")
        if index in chosen:
            left = _flow(node, inputs, reference.model) if nodes and len(chosen) <= FEW else ()
            pages.append(_node(index, node, inputs, outputs, reference.model, timing, arena, left))
        if index >= max(chosen, default=-1):
            break
    progress("sources")
    return ModelPage(
        model=os.fspath(model),
        graph=graph.name,
        isa=session.isa,
        threads=session.threads,
        runs=runs,
        node_count=len(graph.nodes),
        inputs=tuple(show(name, value) for name, value in feeds.items()),
        outputs=tuple(show(o.name, value) for o, value in zip(session.get_outputs(), results, strict=True)),
        nodes=tuple(pages),
        sources=_sources(reference.model, pages),
        memory=session.memory(),
        arena=arena,
    )


def select_nodes(nodes: Sequence[Node], wanted: Sequence[str]) -> set[int]:
    """Indices of the nodes that `wanted` names, all for none. Raises InvalidInputError for what is not there."""
    chosen: set[int] = set()
    for text in wanted:
        by_name = {index for index, node in enumerate(nodes) if node.name == text or text in node.outputs}
        if by_name:
            chosen |= by_name
        elif match := re.fullmatch(r"(\d+)(?::(\d*))?", text):
            first = int(match[1])
            end = first + 1 if match[2] is None else int(match[2] or len(nodes))
            if not first < min(end, len(nodes)):
                raise InvalidInputError(f"node {text!r}: the model has the nodes 0 to {len(nodes) - 1}")
            chosen.update(range(first, min(end, len(nodes))))
        else:
            near = difflib.get_close_matches(text, [node.name for node in nodes if node.name], n=3)
            advice = f"; did you mean {', '.join(near)}?" if near else ""
            raise InvalidInputError(f"no node or value {text!r}; write a name, an index, or a range N:M{advice}")
    return chosen if wanted else set(range(len(nodes)))


def _node(
    index: int,
    node: Node,
    inputs: list[Any],
    outputs: list[Any],
    model: Model,
    timing: Timings,
    arena: Arena,
    left: tuple[Stretch, ...],
) -> NodePage:
    """A node of the main graph that has just run."""
    plain = {name: value for name, value in node.attributes.items() if not isinstance(value, Graph)}
    return NodePage(
        index=index,
        name=node.name,
        op_type=node.op_type,
        domain=node.domain,
        source=_source_key(node, model),
        attributes={name: described(value) for name, value in plain.items()},
        inputs=tuple(show(name or "(absent)", value) for name, value in zip(node.inputs, inputs, strict=True)),
        outputs=tuple(show(name, value) for name, value in zip(node.outputs, outputs, strict=True) if name),
        places=tuple(arena.place(name) for name in node.outputs if name),
        timing=timing.of_outputs(node.outputs),
        bodies=tuple(_bodies(node, timing)),
        left=left,
    )


def _flow(node: Node, inputs: list[Any], model: Model) -> tuple[Stretch, ...]:
    """The reference with the values of its lines, from running a node once more; nothing for what needs its graph."""
    key = (node.domain, node.op_type, node.overload)
    if any(node.graphs()) or key in model.functions or key[:2] == ("ai.onnx.preview.training", "Gradient"):
        return ()
    opset = (model.opsets if node.opsets is None else node.opsets)[node.domain]
    function = lookup(node.domain, node.op_type, opset).function
    if not function.__module__.startswith(OPERATORS_OWN):
        return ()
    with recording() as recorder:
        run_operator(
            node.op_type, inputs, node.attributes, opset=opset, domain=node.domain, n_outputs=len(node.outputs)
        )
    return tuple(recorder.stretches(function))


def _bodies(node: Node, timing: Timings) -> Iterator[Body]:
    """The graphs among a node's attributes."""
    for attribute, value in node.attributes.items():
        for graph in value if isinstance(value, list) else [value]:
            if isinstance(graph, Graph):
                nodes = tuple(
                    BodyNode(
                        i,
                        inner.name,
                        inner.op_type,
                        inner.domain,
                        tuple(inner.inputs),
                        tuple(inner.outputs),
                        timing.of_body(graph.name, inner.op_type, inner.name),
                        tuple(_bodies(inner, timing)),
                    )
                    for i, inner in enumerate(graph.nodes)
                )
                ports = [tuple(value.name for value in values) for values in (graph.inputs, graph.outputs)]
                yield Body(attribute, graph.name, ports[0], ports[1], nodes)


def _source_key(node: Node, model: Model) -> str:
    """What tells operators with different sources apart: `Conv-22`, or the name of a function of the model."""
    if (node.domain, node.op_type, node.overload) in model.functions:
        return f"function {node.domain}.{node.op_type}"
    opsets = model.opsets if node.opsets is None else node.opsets
    return lookup(node.domain, node.op_type, opsets[node.domain]).name


def _sources(model: Model, pages: Sequence[NodePage]) -> dict[str, OperatorSources]:
    """Both panels' source of every operator among the nodes."""
    sources: dict[str, OperatorSources] = {}
    for page in pages:
        if page.source in sources:
            continue
        if page.source.startswith("function "):
            sources[page.source] = OperatorSources(
                page.source, page.op_type, (), "it is a function of the model", (), "likewise"
            )
            continue
        since = int(page.source.rpartition("-")[2])
        function = lookup(page.domain, page.op_type, since).function
        left = (stretch_of(function, {}),) if function.__module__.startswith(OPERATORS_OWN) else ()
        kernels, no_kernels = kernels_of(page.op_type, page.domain)
        no_left = "" if left else "it is an operator of your own"
        sources[page.source] = OperatorSources(page.source, page.op_type, left, no_left, kernels, no_kernels)
    return sources
