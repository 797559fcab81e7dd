"""The walk through a model: every node on every engine, with the inputs that the oracle computed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diptych.diff.judging import RANDOM, Call, judge_call
from diptych.diff.oracle import Evaluated, Oracle
from diptych.diff.report import EngineOnNode, NodeReport, Report
from diptych.diff.running import Tested, signature
from diptych.diff.single import captured, plain
from diptych.diff.whole import Whole
from diptych.diff.window import sample
from diptych.engines.worker import Answer
from diptych_reference import UnsupportedOperatorError, lookup
from diptych_reference.model import Node
from diptych_reference.session import Observed

__all__ = ["Differ"]

Progress = Callable[[str], None]


class _Enough(BaseException):
    """Ends the walk at the first violation or with an error of its own; no operator around takes it for one of its."""


class Differ:
    """One comparison: of `engines` with `oracle`, on one set of feeds.

    `iterations`: how many evaluations of a node inside of a graph are compared. `stop`: end at the first violation.
    """

    def __init__(
        self,
        oracle: Oracle,
        engines: Sequence[Tested],
        report: Report,
        whole: Whole | None,
        *,
        stop: bool,
        iterations: int,
        progress: Progress,
    ) -> None:
        self.oracle, self.engines, self.report, self.whole = oracle, engines, report, whole
        self.stop, self.iterations, self.progress = stop, iterations, progress
        self.times: dict[int, int] = {}  # evaluations so far, by id of the node
        self.constant: set[str] = set(oracle.session.model.graph.initializers)
        self.failure: Exception | None = None

    def run(self, feeds: Mapping[str, Any]) -> list[Any] | None:
        """Walk; return the oracle's outputs, None where it stopped."""
        try:
            return self.oracle.run(feeds, self._watch)
        except _Enough:
            if self.failure is not None:
                raise self.failure from None
            self.report.complete = False
            return None

    def _watch(self, step: Observed) -> None:
        """Compare one evaluation of a node. Exceptions must not look like those of the operator around."""
        try:
            self._compare(step)
        except Exception as error:
            self.failure = error
            raise _Enough from error

    def _compare(self, step: Observed) -> None:
        """Run the engines, take the verdicts, keep what whole runs are held against."""
        seen = self.times[id(step.node)] = self.times.get(id(step.node), 0) + 1
        if step.depth and seen > self.iterations:
            return
        self._note_constants(step)
        place = f"{around(step)}/{step.node.place}".lstrip("/")
        self.progress(f"node {len(self.report.nodes) + 1}: {step.node.op_type} {place}")
        found = self.oracle.evaluated(step)
        node = self._describe(found)
        self.report.nodes.append(node)
        if not node.skipped:
            for engine in self.engines:
                self._on_engine(engine, node, found)
        if self.whole is not None and not step.depth:
            self.whole.expect(node, found, call_of(found))
        if self.stop and node.violates:
            raise _Enough

    def _on_engine(self, engine: Tested, node: NodeReport, found: Evaluated) -> None:
        """One engine on one node."""
        if found.step.node.op_type in RANDOM and not engine.own:
            node.engines[engine.spec] = EngineOnNode("skipped", "draws by a generator of its own")
            return
        version = self.oracle.session.model.ir_version
        try:
            answer, constants = engine.on_node(found, self.constant, version)
        except UnsupportedOperatorError as error:  # of the writer: no engine has seen it
            node.engines[engine.spec] = EngineOnNode("skipped", str(error))
            return
        node.engines[engine.spec] = self._judged(engine, found, answer, constants)

    def _judged(self, engine: Tested, found: Evaluated, answer: Answer, constants: list[str]) -> EngineOnNode:
        """The verdict."""
        if not answer.answered:
            detail = f"{answer.error}: {answer.detail}" if answer.kind != "crashed" else answer.detail
            return EngineOnNode(answer.kind, detail, constants=constants, seconds=answer.seconds)
        exact = engine.own and self.oracle.name == "reference"
        measure = self.oracle.name != "reference"
        outputs = judge_call(
            call_of(found), answer.outputs, exact=exact, own_program=engine.own, measure=measure, fast=engine.fast
        )
        wrong = next((f"{j.name}: {j.problem}" for j in outputs if j.wrong), "")
        open_ = next((f"{j.name}: {j.problem}" for j in outputs if j.kind == "unjudged"), "")
        status = "wrong" if wrong else "unjudged" if open_ else "right"
        return EngineOnNode(status, wrong or open_, outputs, constants, answer.seconds)

    def _describe(self, found: Evaluated) -> NodeReport:
        """The node without engines."""
        step, node = found.step, found.step.node
        inputs = {name: signature(plain(value)) for name, value in zip(node.inputs, found.inputs, strict=True) if name}
        inputs.update((name, signature(plain(value))) for name, value in captured(step).items())
        values = dict(zip([*node.inputs, *node.outputs], [*found.inputs, *found.expected], strict=True))
        return NodeReport(
            index=len(self.report.nodes),
            name=node.place,
            op_type=node.op_type,
            domain=node.domain,
            opset=step.opsets.get(node.domain, 0),
            graph=around(step),
            inputs=inputs,
            outputs={n: signature(plain(v)) for n, v in zip(node.outputs, found.expected, strict=True) if n},
            skipped=skipped(step),
            note=found.note,
            samples={name: sample(value) for name, value in values.items() if name},
        )

    def _note_constants(self, step: Observed) -> None:
        """Initializers, and what is made of nothing else, are constants of the model."""
        self.constant.update(step.graph.initializers)
        reads = step.node.reads()
        if reads <= self.constant and (reads or step.node.op_type == "Constant") and step.node.op_type not in RANDOM:
            self.constant.update(filter(None, step.node.outputs))


def call_of(found: Evaluated) -> Call:
    """The node as the judge sees it."""
    node = found.step.node
    return Call(
        node.op_type,
        node.domain,
        found.step.opsets.get(node.domain, 0),
        dict(node.attributes),
        tuple(plain(value) if isinstance(value, list | dict) else value for value in found.inputs),
        tuple(plain(value) for value in found.expected),
        tuple(node.outputs),
        any(node.graphs()),
    )


def skipped(step: Observed) -> str:
    """Why a node cannot be run alone, "" if it can."""
    node: Node = step.node
    context = lookup(node.domain, node.op_type, step.opsets.get(node.domain, 0)).context
    if "place" in context and "seed" not in node.attributes:
        return "draws random numbers without a seed"
    return "looks at the graph around it" if "enclosing" in context else ""


def around(step: Observed) -> str:
    """The nodes around a node with their iterations, such as `loop[0]/if[0]`; "" in the main graph."""
    place = re.sub(r"^-?\d+:\d+/", "", step.place)
    return place[: -len(step.node.place)].rstrip("/") if step.depth else ""
