"""What control flow evaluates, as models of their own: the branch of an If, each turn of a Loop, a Scan, a SequenceMap.

A turn's inputs come from the reference, which runs the turns before it; nothing is run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper
from onnx.inliner import inline_local_functions

import diptych_reference
from diptych.reducer.candidate import Candidate, read_names, typed
from diptych.reducer.source import needed_functions
from diptych_reference import ReferenceSession

__all__ = ["evaluations", "inlined"]

Turns = Callable[[NodeProto, Mapping[str, Any], "Body"], Iterator[Candidate]]


class Body:
    """A graph attribute of a node as a model: what it sees of the scope around becomes an input."""

    def __init__(self, candidate: Candidate, node: NodeProto, name: str) -> None:
        graph = next(attribute.g for attribute in node.attribute if attribute.name == name)
        scope = {**candidate.constants, **candidate.feeds}
        shell = helper.make_node("If", [], [], body=graph)  # reads what the graph reads
        self.outer = {n: scope[n] for n in read_names(shell) if n in scope}
        self.formal = [value.name for value in graph.input]
        self._session: ReferenceSession | None = None
        declared = {value.name: value for value in candidate.model.graph.input}
        self.model = _as_model(candidate.model, graph, self.outer, declared)

    def candidate(self, arguments: list[Any]) -> Candidate:
        """The body with arguments."""
        feeds = {**self.outer, **dict(zip(self.formal, arguments, strict=False))}
        model = ModelProto()
        model.CopyFrom(self.model)
        for value in model.graph.input:
            fed = feeds.get(value.name)
            if isinstance(fed, np.ndarray) or not value.HasField("type"):
                value.CopyFrom(typed(value.name, fed))
        return Candidate(model, feeds)

    def run(self, candidate: Candidate) -> list[Any]:
        """What the reference makes of a turn."""
        if self._session is None:
            self._session = ReferenceSession(self.model, quantized="float")
        return self._session.run(None, candidate.feeds)


def _as_model(
    model: ModelProto, body: GraphProto, outer: Mapping[str, Any], declared: Mapping[str, ValueInfoProto]
) -> ModelProto:
    """A model of a graph attribute, with its types left to what will be fed."""
    graph = GraphProto()
    graph.CopyFrom(body)
    for value in (*graph.input, *graph.output):
        if value.type.HasField("tensor_type"):
            value.ClearField("type")
    for name, value in outer.items():
        graph.input.append(declared[name] if value is None and name in declared else typed(name, value, fixed=False))
    result = ModelProto(ir_version=model.ir_version, graph=graph)
    result.opset_import.extend(model.opset_import)
    result.functions.extend(needed_functions(model, graph.node))
    return result


def evaluations(candidate: Candidate) -> Iterator[Candidate]:
    """The evaluations of graphs in the first node of a candidate, in order; of a function, its nodes.

    Ends early where the reference does not run a turn.
    """
    node = candidate.model.graph.node[0]
    functions = {(f.domain, f.name, f.overload) for f in candidate.model.functions}
    if (node.domain, node.op_type, node.overload) in functions:
        yield inlined(candidate)
        return
    turns = {"If": _if, "Loop": _loop, "Scan": _scan, "SequenceMap": _sequence_map}.get(node.op_type)
    if turns is None or node.domain not in ("", "ai.onnx"):
        return
    scope = {**candidate.constants, **candidate.feeds, "": None}
    try:
        yield from turns(candidate, node, [scope[name] for name in node.input])
    except diptych_reference.Error:
        return


def inlined(candidate: Candidate) -> Candidate:
    """The candidate with its functions' nodes in the place of calls."""
    return Candidate(inline_local_functions(candidate.model), candidate.feeds, candidate.expected, candidate.chained)


def _if(candidate: Candidate, node: NodeProto, inputs: list[Any]) -> Iterator[Candidate]:
    """The branch taken."""
    taken = bool(np.asarray(inputs[0]).reshape(-1)[0])
    yield Body(candidate, node, "then_branch" if taken else "else_branch").candidate([])


def _loop(candidate: Candidate, node: NodeProto, inputs: list[Any]) -> Iterator[Candidate]:
    """The turns of a Loop: number, condition, what is carried along."""
    body = Body(candidate, node, "body")
    count, condition, *carried = [*inputs, None, None][: max(len(inputs), 2)]
    goes_on = True if condition is None else bool(np.asarray(condition).reshape(-1)[0])
    most = None if count is None else int(np.asarray(count).reshape(-1)[0])
    turn = 0
    while goes_on and (most is None or turn < most):
        now = body.candidate([np.asarray(turn, np.int64), np.asarray(goes_on), *carried])
        yield now
        outputs = body.run(now)
        goes_on, carried = bool(np.asarray(outputs[0]).reshape(-1)[0]), outputs[1 : 1 + len(carried)]
        turn += 1


def _scan(candidate: Candidate, node: NodeProto, inputs: list[Any]) -> Iterator[Candidate]:
    """The turns of a Scan since opset 9: states, then one slice of each scanned input."""
    opset = next(o.version for o in candidate.model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < 9:
        return
    body = Body(candidate, node, "body")
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    scanned = given["num_scan_inputs"]
    states, series = inputs[: len(inputs) - scanned], inputs[len(inputs) - scanned :]
    axes = given.get("scan_input_axes") or [0] * scanned
    backward = given.get("scan_input_directions") or [0] * scanned
    length = series[0].shape[axes[0]]
    for turn in range(length):
        places = [length - 1 - turn if back else turn for back in backward]
        slices = [np.take(x, place, axis) for x, place, axis in zip(series, places, axes, strict=True)]
        now = body.candidate([*states, *map(np.asarray, slices)])
        yield now
        states = body.run(now)[: len(states)]


def _sequence_map(candidate: Candidate, node: NodeProto, inputs: list[Any]) -> Iterator[Candidate]:
    """One evaluation an item; what is no sequence goes to all."""
    body = Body(candidate, node, "body")
    for turn in range(len(inputs[0])):
        yield body.candidate([value[turn] if isinstance(value, list) else value for value in inputs])
