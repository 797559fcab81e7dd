"""The question that a reduction asks of every candidate, which is what fails, if anything.

An engine's answer is held to the operator's own error bound where the candidate is one node, to the reference's bits
where the engine promises them, and else, for several nodes, to what `diptych.reducer.whole` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from onnx import AttributeProto, helper, numpy_helper

import diptych_reference
from diptych.compare import compare
from diptych.diff.judging import Call, judge_call
from diptych.engines import find_engine, parse_spec
from diptych.engines.worker import Answer, Worker
from diptych.reducer.candidate import Candidate, attribute_graphs, names_of
from diptych.reducer.failure import Failure, normal_message
from diptych.reducer.recording import Recording
from diptych.reducer.source import CHAINED_NODES, Source
from diptych.reducer.whole import graph_verdict
from diptych.testing.oracles import Verdict
from diptych_reference import NOTHING, ReferenceSession

__all__ = ["EngineTrial", "Look", "Trial", "call_of", "chain", "is_plain_node"]

MEMORY_LIMIT = 2 << 30  # bytes of one value of a candidate on the reference
PATIENCE = 3  # times as long as a run may take before it counts as hung, for the first ones
MAX_STEPS = 2_000  # evaluations of subgraphs of a candidate on the reference


@dataclass(frozen=True)
class Look:
    """What came of a candidate: the candidate with the reference's outputs, and the failure if there is one.

    `valid` is False where the reference refuses it, which makes its failure another matter. `identical` says that all
    bits are the reference's.
    """

    candidate: Candidate
    failure: Failure | None = None
    valid: bool = True
    identical: bool = False


class Trial(Protocol):
    """Looks at candidates."""

    def look(self, candidate: Candidate) -> Look:
        """Run a candidate and say what fails."""

    def close(self) -> None:
        """Give back what it holds."""


class EngineTrial:
    """Runs candidates on an engine, in a process of its own, and judges the outputs.

    `exact` holds the engine to the reference's bits (None: if it is Diptych). `demanding` refuses candidates that the
    reference does not run; `recorded` says that values of the whole model hold for its parts, which they do not where
    quantized products become products of integers. Until `sure`, what hangs is given another, longer run.
    `unjudged` collects what no oracle could judge, with the reason.
    """

    def __init__(
        self, spec: str, *, exact: bool | None = None, threads: int = 1, timeout: float = 10.0, demanding: bool = True
    ) -> None:
        self.spec, self.threads = spec, threads
        engine = find_engine(parse_spec(spec)[0])
        self.exact = engine.name in ("diptych", "reference") if exact is None else exact
        self.worker = Worker(spec, threads=threads, timeout=timeout)
        self.demanding, self.recorded, self.sure = demanding, True, False
        self.unjudged: dict[str, str] = {}

    def close(self) -> None:
        """End the engine's process."""
        self.worker.close()

    def look(self, candidate: Candidate) -> Look:
        """Run a candidate on the reference, unless its outputs are recorded, and on the engine; judge."""
        known = self._with_expected(candidate)
        if known is None:
            if self.demanding:
                return Look(candidate, valid=False)
            known = candidate
        answer = self.worker.run(known.source, known.feeds)
        if answer.kind == "hung" and not self.sure and self.worker.timeout is not None:
            answer = self.worker.run(known.source, known.feeds, PATIENCE * self.worker.timeout)
        if not answer.answered:
            return Look(known, unanswered(answer, known))
        if known.expected is None:
            return Look(known)
        if known.chained is None and self._needs_chain(known, answer.outputs):
            known = replace(known, chained=self.chained(known))
        failure, identical = self._judge(known, answer.outputs)
        return Look(known, failure, identical=identical)

    def _with_expected(self, candidate: Candidate) -> Candidate | None:
        """The candidate with what the reference gives; None where the reference refuses."""
        if candidate.expected is not None and (self.recorded or len(candidate.model.graph.node) == 1):
            return candidate
        try:
            session = ReferenceSession(
                candidate.path or candidate.model, memory_limit=MEMORY_LIMIT, max_steps=MAX_STEPS
            )
            with np.errstate(all="ignore"):
                return candidate.completed(session.run(None, candidate.feeds))
        except (diptych_reference.Error, MemoryError):
            return None

    def _judge(self, candidate: Candidate, outputs: Sequence[Any]) -> tuple[Failure | None, bool]:
        """What is wrong with the outputs, and whether all bits are right."""
        expected = candidate.expected or ()
        if len(outputs) != len(expected):
            return Failure("type", message=f"{len(outputs)} outputs, expected {len(expected)}"), False
        compared = [compare(e, a) for e, a in zip(expected, outputs, strict=True)]
        if all(comparison.equal for comparison in compared):
            return None, True
        single = is_plain_node(candidate)
        operator = operator_name(candidate) if single else ""
        if self.exact:
            verdicts = [Verdict("bits" if c.elements else "type", c.problem) if c.problem else None for c in compared]
        elif single:
            verdicts = self._verdicts(candidate, outputs)
        else:
            verdicts = self._graph_verdicts(candidate, outputs)
        for i, verdict in enumerate(verdicts):
            if verdict is not None and verdict.wrong:
                return Failure(verdict.kind, operator, message=verdict.problem, output=i), False
        return None, False

    def _verdicts(self, candidate: Candidate, outputs: Sequence[Any]) -> list[Verdict | None]:
        """By the operator's bound, as `diptych diff` has it. Absent outputs stand in the operator's list as None."""
        names = [value.name for value in candidate.model.graph.output]
        call = call_of(candidate)
        given = [outputs[names.index(name)] if name in names else None for name in call.outputs]
        judged = {found.name: found for found in judge_call(call, given, exact=False)}
        why = [found.problem for found in judged.values() if found.how == "no oracle"]
        self.unjudged.update({operator_name(candidate): why[0]} if why else {})
        found = [judged.get(name) for name in names]
        return [None if f is None else Verdict(f.kind, f.problem, f.share or 0.0, f.index) for f in found]

    def _needs_chain(self, candidate: Candidate, outputs: Sequence[Any]) -> bool:
        """Whether the outputs are judged by what the nodes come to one at a time, which is not known."""
        differs = any(compare(e, a).problem for e, a in zip(candidate.expected or (), outputs, strict=False))
        nodes = len(candidate.model.graph.node)
        return differs and not self.exact and not is_plain_node(candidate) and nodes <= CHAINED_NODES

    @staticmethod
    def _graph_verdicts(candidate: Candidate, outputs: Sequence[Any]) -> list[Verdict | None]:
        """By what the nodes come to one at a time."""
        expected, chained = candidate.expected or (), candidate.chained
        return [graph_verdict(e, None if chained is None else chained[i], outputs[i]) for i, e in enumerate(expected)]

    def chained(self, candidate: Candidate) -> tuple[Any, ...] | None:
        """Outputs of the engine that runs the nodes one at a time; None where it does not run one of them."""
        source = Source(candidate, candidate.path.parent if candidate.path else None)
        try:
            recording = chain(source, self.worker)
            if recording is None:
                return None
            return tuple(recording[value.name] for value in candidate.model.graph.output)
        finally:
            source.close()


def chain(source: Source, worker: Worker, progress: Callable[[int], None] = lambda done: None) -> Recording | None:
    """The values of an engine that runs a model's nodes one at a time, each on what it gave itself before."""
    values = Recording(source.recording.memory)
    for name, value in source.whole.feeds.items():
        values[name] = value
    for done, index in enumerate(source.order):
        part = source.cut([index], values)
        answer = worker.run(part.source, part.feeds) if part is not None else None
        if part is None or answer is None or not answer.answered:
            values.close()
            return None
        for declaration, value in zip(part.model.graph.output, answer.outputs, strict=True):
            values[declaration.name] = value
        progress(done + 1)
    return values


def unanswered(answer: Answer, candidate: Candidate) -> Failure:
    """The failure of an engine that did not answer."""
    if answer.kind == "crashed":
        return Failure("crash", detail=answer.error, message=answer.detail)
    if answer.kind == "hung":
        return Failure("hang", message=answer.detail)
    message = normal_message(answer.detail, names_of(candidate.model.graph))
    kind = "refused" if answer.kind == "refused" else "error"
    return Failure(kind, detail=f"{answer.error}: {message}", message=f"{answer.error}: {answer.detail}")


def is_plain_node(candidate: Candidate) -> bool:
    """Whether a candidate is one node of an operator: no graph inside, no function."""
    graph = candidate.model.graph
    return len(graph.node) == 1 and not candidate.model.functions and not any(attribute_graphs(graph.node[0]))


def operator_name(candidate: Candidate) -> str:
    """Operator of the first node, with its domain unless it is ONNX's."""
    node = candidate.model.graph.node[0]
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


def call_of(candidate: Candidate) -> Call:
    """A candidate of one node as `diff` judges it; outputs that nobody asks for are named ""."""
    node = candidate.model.graph.node[0]
    opsets = {opset.domain or "ai.onnx": opset.version for opset in candidate.model.opset_import}
    values = {**candidate.constants, **candidate.feeds}
    names = [value.name for value in candidate.model.graph.output]
    expected = dict(zip(names, candidate.expected or (), strict=True))
    return Call(
        op_type=node.op_type,
        domain="" if node.domain == "ai.onnx" else node.domain,
        opset=opsets[node.domain or "ai.onnx"],
        attributes={attribute.name: _plain(attribute) for attribute in node.attribute},
        inputs=tuple(None if not n else NOTHING if values[n] is None else values[n] for n in node.input),
        expected=tuple(expected.get(name) for name in node.output),
        outputs=tuple(name if name in expected else "" for name in node.output),
    )


def _plain(attribute: AttributeProto) -> Any:
    """An attribute as Python has it."""
    value = helper.get_attribute_value(attribute)
    match attribute.type:
        case AttributeProto.TENSOR:
            return numpy_helper.to_array(value)
        case AttributeProto.STRING:
            return value.decode(errors="surrogateescape")
        case AttributeProto.STRINGS:
            return [item.decode(errors="surrogateescape") for item in value]
        case AttributeProto.INTS | AttributeProto.FLOATS:
            return list(value)
        case _:
            return value
