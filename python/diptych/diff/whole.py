"""Runs of whole models: what a node inherits from those before it, and the outputs as a user gets them.

The walk hands over what the oracle computed until that is more than `budget` bytes; then each engine runs the model
with those values as outputs, and they are let go. So models of any size stream through bounded memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from diptych.compare import compare
from diptych.diff.judging import Call, distance, judge_call, shares_of_truth
from diptych.diff.oracle import Evaluated, Oracle
from diptych.diff.report import EngineOnOutputs, NodeReport, Report, Total
from diptych.diff.running import Tested
from diptych.diff.single import element_number, plain
from diptych_reference.write import to_proto

__all__ = ["Whole"]

LARGEST = 1_900_000_000  # bytes of a message; larger models go through a file beside which their tensors lie

HALVINGS = 4  # of the nodes whose values an engine refuses to give

Expectation = tuple[NodeReport, Evaluated, Call]


class Whole:
    """The engines on the whole model. `source` is the model as the user gave it."""

    def __init__(
        self,
        source: bytes | Path,
        oracle: Oracle,
        engines: Sequence[Tested],
        feeds: Mapping[str, Any],
        report: Report,
        budget: int,
        progress: Callable[[str], None],
    ) -> None:
        self.source, self.oracle, self.engines, self.feeds = source, oracle, engines, dict(feeds)
        self.report, self.budget, self.progress = report, budget, progress
        self.pending: list[Expectation] = []
        self.bytes = 0
        self._proto: onnx.ModelProto | None = None

    def expect(self, node: NodeReport, found: Evaluated, call: Call) -> None:
        """Keep what the oracle computed until the next run of the engines."""
        self.pending.append((node, found, call))
        self.bytes += sum(map(_size, (*found.truth, *found.expected)))
        if self.bytes > self.budget:
            self.flush()

    def flush(self) -> None:
        """Run the engines and note how far they are from the oracle at each node that is pending."""
        pending = [one for one in self.pending if _exposable(one[1])]
        self.pending, self.bytes = [], 0
        if not pending:
            return
        with tempfile.TemporaryDirectory(prefix="diptych-diff-") as folder:
            for engine in self.engines:
                if not engine.lost:
                    self._on_engine(engine, pending, Path(folder))

    def _on_engine(self, engine: Tested, pending: list[Expectation], folder: Path) -> None:
        """One engine; one that gives no value at all is not tried again."""
        values, refusal = self._values(engine, pending, folder, HALVINGS)
        if refusal:
            engine.lost = "" if values else refusal
            what = "some nodes, which cannot be outputs" if values else "its nodes, which cannot be outputs"
            self.report.notes.append(f"{engine.spec}: no inherited error of {what} of the whole model ({refusal})")
        for node, found, call in pending:
            if engine.spec in node.engines and all(name in values for name, _ in _exposable(found)):
                node.engines[engine.spec].total = self._totals(engine, found, call, values)

    def _values(
        self, engine: Tested, pending: list[Expectation], folder: Path, halvings: int
    ) -> tuple[dict[str, Any], str]:
        """The engine's values by name; where it refuses them all at once, those of each half. And the last refusal."""
        names = [name for _, found, _ in pending for name, _ in _exposable(found)]
        self.progress(f"{engine.spec}: whole model, {len(names)} values")
        answer = engine.ask(self._exposing(pending, folder), self.feeds)
        if answer.answered and len(answer.outputs) == len(names):
            return dict(zip(names, answer.outputs, strict=True)), ""
        refusal = f"{answer.kind}: {answer.error}: {answer.detail}"
        if answer.answered:
            refusal = f"gives {len(answer.outputs)} values where {len(names)} are outputs"
        if not halvings or len(pending) == 1 or answer.kind in ("crashed", "hung"):
            return {}, refusal
        middle = len(pending) // 2
        first, _ = self._values(engine, pending[:middle], folder, halvings - 1)
        if not first and halvings == HALVINGS:
            return {}, refusal
        second, _ = self._values(engine, pending[middle:], folder, halvings - 1)
        return {**first, **second}, refusal

    def _totals(self, engine: Tested, found: Evaluated, call: Call, values: Mapping[str, Any]) -> dict[str, Total]:
        """How far the outputs of a node are from the oracle's."""
        truths = dict(_exposable(found))
        totals = {name: total(plain(truth), values[name]) for name, truth in truths.items()}
        actual = [values[n] if n in truths else e for n, e in zip(call.outputs, call.expected, strict=True)]
        if self.oracle.name == "reference":
            judged = judge_call(call, actual, exact=False, own_program=engine.own)
            shares = {j.name: j.share for j in judged}
        else:
            shares = dict(zip(call.outputs, shares_of_truth(call, actual, found.truth), strict=True))
        return {name: replace(known, share=shares.get(name)) for name, known in totals.items()}

    def finish(self, outputs: Sequence[Any]) -> None:
        """Run the model as the user gave it on each engine, and compare its outputs."""
        self.flush()
        names = [value.name for value in self.oracle.session.model.graph.outputs]
        for engine in self.engines:
            self.progress(f"{engine.spec}: whole model")
            answer = engine.ask(self.source, self.feeds)
            if not answer.answered:
                violates = answer.kind != "refused"
                self.report.outputs[engine.spec] = EngineOnOutputs(
                    answer.kind, f"{answer.error}: {answer.detail}", violates=violates
                )
                continue
            self.report.outputs[engine.spec] = self._outputs(engine, names, outputs, answer.outputs)

    def _outputs(
        self, engine: Tested, names: list[str], outputs: Sequence[Any], actual: Sequence[Any]
    ) -> EngineOnOutputs:
        """The verdict on the outputs: bits for our own engines, the type of a value for all."""
        if len(actual) != len(names):
            return EngineOnOutputs("wrong", f"{len(actual)} outputs, the model has {len(names)}", violates=True)
        exact = engine.own and not engine.fast and self.oracle.name == "reference"
        found: dict[str, Total] = {}
        wrong = ""
        for name, expected, got in zip(names, outputs, actual, strict=True):
            found[name] = total(expected, got)
            problem = (
                compare(expected, got).problem
                if exact
                else ""
                if self.oracle.name != "reference"
                else _type(expected, got)
            )
            if problem:
                wrong = wrong or f"{name}: {problem}"
                found[name] = Total(found[name].error, found[name].relative, None, problem)
        return EngineOnOutputs("wrong" if wrong else "right", wrong, found, bool(wrong))

    def _exposing(self, pending: list[Expectation], folder: Path) -> bytes | Path:
        """The model that was walked, with the pending values as its outputs."""
        if self._proto is None:
            self._proto = to_proto(self.oracle.session.model)
        del self._proto.graph.output[:]
        for _, found, _ in pending:
            expected = dict(zip(found.step.node.outputs, found.expected, strict=True))
            for name, _ in _exposable(found):
                self._proto.graph.output.append(_declared(name, expected[name]))
        if self._proto.ByteSize() < LARGEST:
            return bytes(self._proto.SerializeToString())
        path = folder / "model.onnx"
        copy = onnx.ModelProto()
        copy.CopyFrom(self._proto)
        onnx.save_model(copy, str(path), save_as_external_data=True, location="model.data")
        return path


def total(expected: Any, got: Any) -> Total:
    """How far two values are apart; the type of floats may differ where the oracle computes in another."""
    tensors = isinstance(expected, np.ndarray) and isinstance(got, np.ndarray)
    widths = tensors and expected.dtype == np.float64 and got.dtype.kind in "fV"
    if not widths and (problem := compare(expected, got)).problem and not problem.elements:
        return Total(problem=problem.problem)
    if tensors and expected.shape != got.shape:
        return Total(problem=f"shape {list(got.shape)}, expected {list(expected.shape)}")
    error = distance(expected, got)
    greatest = distance(expected, np.zeros_like(expected)) if tensors and expected.dtype.kind in "biufV" else 0.0
    relative = error / greatest if greatest else (0.0 if not error else np.inf)
    return Total(error, float(relative))


def _type(expected: Any, got: Any) -> str:
    """What is wrong with the kind or the element type of a value; shapes may follow from rounded values."""
    problem = compare(expected, got)
    if problem.elements or problem.equal or problem.problem.startswith("shape "):
        return ""
    return problem.problem


def _exposable(found: Evaluated) -> list[tuple[str, Any]]:
    """Outputs of a node that can be outputs of the model: tensors, and sequences of them."""
    pairs = zip(found.step.node.outputs, found.truth, strict=True)
    return [(name, value) for name, value in pairs if name and isinstance(value, np.ndarray | list)]


def _declared(name: str, value: Any) -> onnx.ValueInfoProto:
    """A graph output: typed where the value is a tensor."""
    if not isinstance(value, np.ndarray):
        return onnx.ValueInfoProto(name=name)
    return helper.make_tensor_value_info(name, element_number(value.dtype), None)


def _size(value: Any) -> int:
    """Bytes of a value."""
    if isinstance(value, list):
        return sum(map(_size, value))
    return int(getattr(value, "nbytes", 0))
