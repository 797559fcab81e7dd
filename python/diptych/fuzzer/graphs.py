"""Whole graphs: is the engine's answer one that its own nodes, one at a time, could honestly give?

A graph has no error bound of its own. Every node is within its bound of what the reference makes of the same inputs, or
a campaign over operators says so. So an engine runs the nodes one at a time; how far that lies from the reference is
the size of an honest error, and the graph as a whole may err ten times as much. Where the classes (NaN, infinity) of
both agree, the graph's must too. Graphs of which the engine lacks a node, or a node of which fails, say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from onnx import NodeProto, helper, numpy_helper

from diptych.compare import compare
from diptych.fuzzer.examiner import Examiner, Failure, bitwise, detail_of
from diptych.testing import GraphCase
from diptych.testing.case import IR_VERSION, declared
from diptych.testing.oracles import Verdict

__all__ = ["examine_graph"]

HONEST = 10.0  # times the error of the nodes one at a time
ROUNDINGS = 64.0  # units in the last place of the greatest element, besides


def examine_graph(examiner: Examiner) -> Callable[[GraphCase, Sequence[Any]], Failure | None]:
    """The examiner's question about graphs."""

    def examine(subject: GraphCase, expected: Sequence[Any]) -> Failure | None:
        answer = examiner.worker.run(subject.model.SerializeToString(), subject.feeds)
        examiner.counts["graphs"] += 1
        if not answer.answered:
            return examiner.unanswered(answer)
        if examiner.exact:
            verdicts = bitwise(answer.outputs, expected)
        elif len(answer.outputs) != len(expected):
            verdicts = [Verdict("type", f"{len(answer.outputs)} outputs, expected {len(expected)}")]
        else:
            values = node_by_node(examiner, subject)
            if values is None:
                examiner.counts["graphs unjudged"] += 1
                return None
            names = [output.name for output in subject.model.graph.output]
            triples = zip(expected, (values[name] for name in names), answer.outputs, strict=True)
            verdicts = [judge_output(*triple) for triple in triples]
        wrong = next((verdict for verdict in verdicts if verdict.wrong), None)
        return None if wrong is None else Failure(wrong.kind, detail_of(wrong), wrong.problem)

    return examine


def node_by_node(examiner: Examiner, subject: GraphCase) -> dict[str, Any] | None:
    """All values, each node run by the engine as a model of its own; None where it does not run one."""
    graph = subject.model.graph
    values: dict[str, Any] = {t.name: numpy_helper.to_array(t) for t in graph.initializer} | dict(subject.feeds)
    for node in graph.node:
        given = {name: values[name] for name in node.input if name}
        answer = examiner.worker.run(_alone(node, given, subject.model.opset_import), given)
        if not answer.answered or len(answer.outputs) != len(node.output):
            return None
        values.update(zip(node.output, answer.outputs, strict=True))
    return values


def _alone(node: NodeProto, given: dict[str, Any], opsets: Any) -> bytes:
    """A model of one node."""
    inputs = [declared(name, value) for name, value in given.items()]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = helper.make_graph([node], "node", inputs, outputs)
    return bytes(helper.make_model(graph, opset_imports=list(opsets), ir_version=IR_VERSION).SerializeToString())


def judge_output(expected: Any, alone: Any, actual: Any) -> Verdict:
    """Hold an output to the reference's and to the engine's own of one node at a time."""
    found = compare(expected, actual)
    if found.equal or compare(alone, actual).equal:
        return Verdict()
    if not found.elements:
        return Verdict("type", found.problem)
    apart = compare(expected, alone)
    if expected.dtype.kind != "f" or (apart.problem and not apart.elements):
        return Verdict("bits" if apart.equal else "unjudged", found.problem)
    e, c, a = (np.asarray(x, np.float64) for x in (expected, alone, actual))
    with np.errstate(all="ignore"):
        sure = np.isfinite(e) & np.isfinite(c) | (np.isnan(e) & np.isnan(c)) | (np.isinf(e) & (e == c))
        near = sure & (np.abs(e) < float(ml_dtypes.finfo(expected.dtype).max) / 1e3)  # type: ignore[no-untyped-call]
        classes = (near & ~np.isfinite(a)) | (sure & np.isnan(e) & ~np.isnan(a))
        both = near & np.isfinite(a)
        eps = float(ml_dtypes.finfo(expected.dtype).eps)  # type: ignore[no-untyped-call]
        size, error = (float(np.max(np.abs(x), where=both, initial=0)) for x in (e, e - c))
        beyond = both & (np.abs(a - e) > HONEST * error + ROUNDINGS * eps * size)
    for kind, wrong in (("class", classes), ("bound", beyond)):
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            return Verdict(kind, f"NaN or infinity: {a[index]}, expected {e[index]}, alone {c[index]}"
                           if kind == "class" else f"{a[index]}, expected {e[index]}, node by node {c[index]}",
                           index=index)  # fmt: skip
    return Verdict()
