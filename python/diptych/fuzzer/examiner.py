"""One engine under test: runs cases in a process of its own and says what is wrong with the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diptych.compare import compare
from diptych.engines import parse_spec
from diptych.engines.worker import Answer, Worker
from diptych.fuzzer.finding import normal_detail
from diptych.fuzzer.relations import RELATIONS
from diptych.testing import Case
from diptych.testing.oracles import Verdict, judge_outputs
from diptych.testing.silence import SIZED_BY_VALUES, unspecified

__all__ = ["EXACT", "Examiner", "Failure"]

EXACT = ("diptych", "reference")  # engines that promise the reference's bits
PATIENCE = 6.0  # times the deadline that a run which passed it gets once more
BROKEN = {"crashed": "crash", "hung": "hang", "failed": "error"}


@dataclass(frozen=True)
class Failure:
    """What an engine did wrong: kind and detail of the signature, and a line for people."""

    kind: str
    detail: str
    problem: str


@dataclass
class Examiner:
    """Holds the engine that `spec` spells to the reference's outputs on cases.

    `bits`: demands the reference's bits, as is the default of `EXACT`. `relations` names further checks, which need no
    other engine (see `relations`). `counts` says what became of all cases, `answered` names the operators of which the
    engine has run at least one.
    """

    spec: str
    timeout: float = 10.0
    bits: bool | None = None
    relations: Sequence[str] = ()
    counts: Counter[str] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.worker = Worker(self.spec, timeout=self.timeout, memory_limit=None)
        self.exact = parse_spec(self.spec)[0] in EXACT if self.bits is None else self.bits

    @property
    def version(self) -> str:
        """The engine's version."""
        return self.worker.version

    def close(self) -> None:
        """End the engine's process."""
        self.worker.close()

    def examine(self, case: Case, expected: Sequence[Any]) -> Failure | None:
        """Run a case whose outputs on the reference are `expected`; None where nothing is wrong."""
        with np.errstate(all="ignore"):
            return self._examine(case, expected)

    def _examine(self, case: Case, expected: Sequence[Any]) -> Failure | None:
        """The same, with NumPy's warnings off."""
        model, feeds = case.model().SerializeToString(), case.feeds()
        answer = self.worker.run(model, feeds)
        if answer.kind == "hung":  # a busy machine looks alike
            answer = self.worker.run(model, feeds, PATIENCE * self.timeout)
        self.counts["cases"] += 1
        reason = "" if self.exact else unspecified(case)
        if not answer.answered:
            return self.unanswered(answer, reason)
        self.answered.add(f"{case.domain}.{case.op_type}")
        failure = self._judge(case, answer.outputs, expected, reason)
        if failure is not None or reason:
            return failure
        for name in self.relations:
            problem = RELATIONS[name](case, answer.outputs, self.worker.run, self.exact)
            if problem is None:
                self.counts[f"{name} skipped"] += 1
            elif problem:
                return Failure(name, "", problem)
            else:
                self.counts[f"{name} held"] += 1
        return None

    def unanswered(self, answer: Answer, reason: str = "") -> Failure | None:
        """A refusal is counted, and so is an error where the text leaves the result open; the rest are failures."""
        if answer.kind == "refused" or (answer.kind == "failed" and reason):
            self.counts["left open by the text" if reason else "refused"] += 1
            return None
        kind = BROKEN[answer.kind]
        detail = answer.error if kind == "crash" else f"{answer.error}: {normal_detail(answer.detail)}"
        return Failure(kind, "" if kind == "hang" else detail, f"{answer.error}: {answer.detail[:300]}")

    def _judge(self, case: Case, outputs: Sequence[Any], expected: Sequence[Any], reason: str) -> Failure | None:
        """The first output that is wrong."""
        try:
            verdicts = bitwise(outputs, expected) if self.exact else judge_outputs(case, outputs, expected)
        except Exception as error:  # a fault of the oracle, which must not end a long campaign: the report shows it
            self.counts[f"oracle failed on {case.op_type} ({type(error).__name__}: {error})"] += 1
            return None
        wrong = next((verdict for verdict in verdicts if verdict.wrong), None)
        if any(verdict.kind == "unjudged" for verdict in verdicts):
            self.counts["unjudged"] += 1
        if wrong is None:
            self.counts["right"] += not any(verdict.kind for verdict in verdicts)
            return None
        if reason and (wrong.kind != "type" or case.op_type in SIZED_BY_VALUES):
            self.counts["left open by the text"] += 1
            return None
        return Failure(wrong.kind, detail_of(wrong), wrong.problem)


def bitwise(outputs: Sequence[Any], expected: Sequence[Any]) -> list[Verdict]:
    """Hold outputs to the reference's bits."""
    if len(outputs) != len(expected):
        return [Verdict("type", f"{len(outputs)} outputs, expected {len(expected)}")]
    found = [compare(e, a) for e, a in zip(expected, outputs, strict=True)]
    return [Verdict("bits" if c.elements else "type", c.problem) if c.problem else Verdict() for c in found]


def detail_of(verdict: Verdict) -> str:
    """What of a verdict belongs to the signature: which class, or what about the type."""
    if verdict.kind == "class":
        return verdict.problem.partition(":")[0]
    if verdict.kind == "type":
        return normal_detail(verdict.problem)[:40].partition("[")[0].strip()
    return ""
