"""A campaign: batches of cases by a seed, in an order that reaches everything early, until its budget is used up."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diptych.errors import InvalidInputError
from diptych.fuzzer.batch import Batch, BudgetError, run_batch
from diptych.fuzzer.examiner import Examiner, Failure
from diptych.fuzzer.finding import Finding, Signature, Subject, specials_of
from diptych.fuzzer.graphs import examine_graph
from diptych.fuzzer.relations import RELATIONS
from diptych.fuzzer.turns import name_of, turns
from diptych.testing import Case, Row, catalogue, on_reference
from diptych.testing.catalogue import newest_meaning

__all__ = ["GRAPHS", "Campaign", "Settings"]

GRAPHS = "graphs"  # stands for whole graphs among names of operators
PER_OPERATOR = 6  # findings of one engine in one operator; more are counted alone
BREAKDOWNS = 5  # crashes of one engine in a batch, after which it sits out; one hang is enough
GRAPHS_EVERY = 40  # batches of operators for one of whole graphs


@dataclass(frozen=True)
class Settings:
    """What a campaign does.

    `ops`: names of operators (`Conv`, `com.microsoft.Attention`), "graphs" for whole graphs; empty: all of both.
    `seconds` and `cases` bound it (None: no bound); with `cases` alone two campaigns of equal settings are equal.
    `shrink_attempts` and `shrink_seconds` bound the shrinking of each finding. `relations`: see
    `diptych.fuzzer.relations`. `bits`: see `Examiner`.
    """

    ops: Sequence[str] = ()
    seconds: float | None = 60.0
    cases: int | None = None
    seed: int = 0
    timeout: float = 10.0
    shrink_attempts: int = 150
    shrink_seconds: float = 5.0
    relations: Sequence[str] = ("history",)
    bits: bool | None = None
    batch: int = 8


@dataclass
class Campaign:
    """Runs engines on cases; `findings` and `counts` grow meanwhile, and stand when it is interrupted.

    `progress` is told a line now and then. Raises InvalidInputError for engines, operators or relations that do not
    exist.
    """

    specs: Sequence[str]
    settings: Settings = field(default_factory=Settings)
    progress: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.settings.relations) - set(RELATIONS))
        if unknown:
            raise InvalidInputError(f"no oracles {unknown}; there are {', '.join(RELATIONS)}")
        self.rows = selected_rows(self.settings.ops)
        self.with_graphs = not self.settings.ops or GRAPHS in self.settings.ops
        self.examiners = {
            spec: Examiner(spec, self.settings.timeout, self.settings.bits, self.settings.relations)
            for spec in self.specs
        }
        self.findings: list[Finding] = []
        self.met: Counter[Signature] = Counter()
        self.reached: set[str] = set()
        self.generated, self.invalid, self.started = 0, 0, time.monotonic()
        self.shrinking = 0.0  # seconds
        self.ended: float | None = None
        self.spent, self.core_seconds = cpu_seconds(), 0.0
        self.versions: dict[str, str] = {}

    def run(self) -> Iterator[Finding]:
        """Findings as they are made."""
        self.started, self.ended = time.monotonic(), None
        for examiner in self.examiners.values():
            self.progress(f"{examiner.spec} {self.version_of(examiner.spec)}")  # one that is not there is an error now
        for batch in self._batches():
            done = len(self.findings)
            try:
                run_batch(batch, self)
            except BudgetError:
                yield from self.findings[done:]
                return
            yield from self.findings[done:]

    def close(self) -> None:
        """End the engines' processes; `seconds` and `core_seconds` stand from then on."""
        self.ended = time.monotonic()
        for examiner in self.examiners.values():
            examiner.close()
        self.core_seconds = cpu_seconds() - self.spent

    @property
    def seconds(self) -> float:
        """From the start to the end, or until now."""
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    def _batches(self) -> Iterator[Batch]:
        """Operators in turn, graphs now and then.

        The first turn has short batches, to reach all operators soon; each lap through an operator's rows and types
        has longer ones.
        """
        size, operators = self.settings.batch, len({name_of(row) for row in self.rows})
        for index, (lap, row, dtype) in enumerate(turns(self.rows, self.settings.seed, self.known)):
            if self.with_graphs and index % GRAPHS_EVERY == 0:
                yield Batch(None, None, self._seed("graphs", index), size)
            examples = size * min(1 << lap, 16) if index >= operators else max(1, size // 2)
            yield Batch(row, dtype, self._seed(row.name, str(dtype), lap), examples)
        for index in itertools.count():  # of graphs alone
            yield Batch(None, None, self._seed("graphs", index), size)

    def known(self, operator: str) -> int:
        """How many findings there are of an operator for each engine."""
        return sum(finding.signature.operator == operator for finding in self.findings) // len(self.examiners)

    def _seed(self, *what: Any) -> int:
        """A seed of its own for each batch, whatever ran before."""
        return int.from_bytes(hashlib.sha256(repr((self.settings.seed, *what)).encode()).digest()[:8])

    # What a batch asks of each of its subjects

    def spend(self) -> None:
        """One subject more; BudgetError where time or cases are used up."""
        if self.settings.seconds is not None and self.seconds >= self.settings.seconds:
            raise BudgetError
        if self.settings.cases is not None and self.generated >= self.settings.cases:
            raise BudgetError
        self.generated += 1
        if self.generated % 50 == 0:
            self.progress(
                f"{self.generated} cases, {self.generated / self.seconds:.0f} a second, {len(self.reached)} of "
                f"{len({(r.domain, r.op_type) for r in self.rows})} operators, {len(self.findings)} findings"
            )

    def expected(self, subject: Subject) -> Sequence[Any] | None:
        """The reference's outputs; None where it refuses, which makes the case invalid."""
        if not isinstance(subject, Case):
            return subject.expected()
        with np.errstate(all="ignore"):
            outcome = on_reference(subject)
        return None if outcome.error is not None else outcome.outputs

    def failures(self, subject: Subject, skip: Counter[str], only: str = "") -> Iterator[tuple[Signature, Failure]]:
        """What each engine does wrong on a subject, engines that broke too often left out."""
        expected = self.expected(subject)
        if expected is None:
            self.invalid += 1
            return
        for spec, examiner in self.examiners.items():
            if only and spec != only:
                continue
            if skip[spec] >= BREAKDOWNS:
                examiner.counts["sat out"] += 1
                continue
            if isinstance(subject, Case):
                failure = examiner.examine(subject, expected)
            else:
                failure = examine_graph(examiner, subject, expected)
            if failure is not None:
                skip[spec] += {"crash": 1, "hang": BREAKDOWNS}.get(failure.kind, 0)
                yield signature_of(spec, subject, failure), failure

    def is_new(self, signature: Signature, specials: frozenset[str]) -> bool:
        """Whether no finding explains a failure, and there are not too many of its operator."""
        if any(finding.explains(signature, specials) for finding in self.findings):
            return False
        same = (f for f in self.findings if (f.signature.engine, f.signature.operator) == key_of(signature))
        return sum(1 for _ in same) < PER_OPERATOR

    def again(self, subject: Subject, meta: Mapping[str, Any]) -> str:
        """What became of a finding of a corpus: "mended", "still there", or what is wrong now."""
        expected = self.expected(subject)
        if expected is None:
            return "the reference refuses it now"
        for signature, failure in self.failures(subject, Counter(), only=meta["engine"]):
            if self.is_new(signature, specials_of(subject)):
                self.record(signature, subject, failure, True)
            same = (signature.kind, signature.detail) == (meta["kind"], meta["detail"])
            return "still there" if same else f"changed: {failure.kind}: {failure.problem[:100]}"
        return "mended"

    def record(self, signature: Signature, subject: Subject, failure: Failure, steady: bool) -> None:
        """Keep a finding."""
        version = self.version_of(signature.engine)
        self.findings.append(Finding(signature, subject, specials_of(subject), failure.problem, version, steady))

    def version_of(self, spec: str) -> str:
        """An engine's version, asked for once."""
        if spec not in self.versions:
            self.versions[spec] = self.examiners[spec].version
        return self.versions[spec]


def cpu_seconds() -> float:
    """Processor time of this process and of those that it has seen the end of."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def key_of(signature: Signature) -> tuple[str, str]:
    """Engine and operator."""
    return signature.engine, signature.operator


def signature_of(spec: str, subject: Subject, failure: Failure) -> Signature:
    """The signature of a failure."""
    if not isinstance(subject, Case):
        operators = "+".join(sorted({node.op_type for node in subject.model.graph.node}))
        return Signature(spec, f"graph: {operators}", 0, failure.kind, failure.detail, "float32")
    first = next((value for value in subject.inputs if isinstance(value, np.ndarray)), None)
    name = f"{subject.domain}.{subject.op_type}" if subject.domain else subject.op_type
    meaning = newest_meaning(subject.op_type, subject.opset, subject.domain)
    return Signature(spec, name, meaning, failure.kind, failure.detail, first.dtype.name if first is not None else "")


def selected_rows(ops: Sequence[str]) -> list[Row]:
    """Rows of the catalogue by names of operators; all where there are none. InvalidInputError for a name of none."""
    names = [op for op in ops if op != GRAPHS]
    known = {name_of(row) for row in catalogue()}
    unknown = sorted(set(names) - known)
    if unknown:
        raise InvalidInputError(f"no operators {unknown} in the catalogue (`diptych ops` lists it; or `{GRAPHS}`)")
    return [row for row in catalogue() if (not ops or name_of(row) in names)]
