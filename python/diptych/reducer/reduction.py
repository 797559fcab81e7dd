"""From a failing model to a minimal one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto

from diptych.errors import InvalidInputError, InvalidModelError
from diptych.reducer.candidate import Candidate
from diptych.reducer.check import CheckTrial
from diptych.reducer.failure import Failure, NoFailureError
from diptych.reducer.localise import find_node, find_stretch, shrink_graph
from diptych.reducer.passes import PASSES
from diptych.reducer.recording import MEMORY
from diptych.reducer.search import OutOfBudgetError, Search
from diptych.reducer.source import Source
from diptych.reducer.trial import EngineTrial, chain

__all__ = ["Limits", "Reduction", "reduce_failure"]

Report = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """What a reduction may use.

    `seconds` and `attempts` bound the search (None: no bound). `hang_after`: seconds after which a run counts as hung,
    which every candidate that hangs costs; runs of many nodes have ten times as long as the reference takes.
    `memory`: bytes of recorded values held in memory, the rest lies in a file.
    """

    seconds: float | None = 300.0
    attempts: int | None = None
    hang_after: float = 10.0
    memory: int = MEMORY


@dataclass(frozen=True)
class Reduction:
    """The smallest candidate that was found, and how.

    `engine` (with so many `threads`; `exact`: held to the bits) or `check` is what failed, `failure` how it fails now,
    `original` how the whole model failed (None: only a node alone did). `stopped` says why the search ended before its
    time: "" (nothing smaller was left to try), a limit,
    or "interrupted". `steps` are the candidates taken, `tried` how many were run. `notes` are for people.
    """

    candidate: Candidate
    failure: Failure
    original: Failure | None
    engine: str = ""
    check: str = ""
    exact: bool = False
    threads: int = 1
    nodes_before: int = 0
    tried: int = 0
    seconds: float = 0.0
    stopped: str = ""
    steps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> ModelProto:
        """The reduced model."""
        return self.candidate.model

    @property
    def feeds(self) -> dict[str, Any]:
        """Its inputs."""
        return dict(self.candidate.feeds)


def reduce_failure(
    model: str | os.PathLike[str] | bytes | ModelProto,
    feeds: Mapping[str, Any],
    against: str = "",
    *,
    check: str = "",
    exact: bool | None = None,
    threads: int = 1,
    limits: Limits | None = None,
    report: Report = lambda text: None,
) -> Reduction:
    """Shrink a model and its inputs while the same failure stays.

    `against` names the engine that fails (see `diptych.engines.make_engine`), held to the reference: a node to its
    operator's error bound, or to the bits where `exact` (default: for Diptych). `check` asks a command or a function
    instead, see `load_check`. `report` is told what goes on. Ctrl-C ends the search with what was found.

    Raises NoFailureError where nothing fails, InvalidInputError for wrong inputs or an unknown engine.
    """
    if bool(against) == bool(check):
        raise InvalidInputError("either an engine to hold against the reference or a check, and not both")
    limits = limits or Limits()
    whole = _whole(model, feeds)
    start = time.monotonic()
    trial = _trial(against, check, exact, threads, limits)
    source: Source | None = None
    try:
        folder = whole.path.parent if whole.path else None
        source = Source(whole, folder, memory=limits.memory, progress=lambda done: report(f"reference: node {done}"))
        return Run(source, trial, limits, report, start).reduction(against, check)
    finally:
        trial.close()
        if source is not None:
            source.close()


def _trial(against: str, check: str, exact: bool | None, threads: int, limits: Limits) -> EngineTrial | CheckTrial:
    """What is asked of every candidate."""
    if check:
        return CheckTrial(check, timeout=max(limits.hang_after, 60.0))
    return EngineTrial(against, exact=exact, threads=threads, timeout=limits.hang_after)


def _whole(model: str | os.PathLike[str] | bytes | ModelProto, feeds: Mapping[str, Any]) -> Candidate:
    """The model as it comes; tensors in other files are read when they are needed."""
    try:
        if isinstance(model, ModelProto):
            return Candidate(model, feeds)
        if isinstance(model, bytes):
            return Candidate(onnx.load_from_string(model), feeds)
        path = Path(model).resolve()
        return Candidate(onnx.load(path, load_external_data=False), feeds, path=path)
    except DecodeError as error:
        raise InvalidModelError(
            f"{'the model' if isinstance(model, bytes) else model}: not an ONNX model: {error}"
        ) from error


class Run:
    """One reduction: find the node, cut, then the passes until nothing changes."""

    def __init__(
        self, source: Source, trial: EngineTrial | CheckTrial, limits: Limits, report: Report, start: float
    ) -> None:
        self.source, self.trial, self.limits, self.report, self.start = source, trial, limits, report, start
        self.notes: list[str] = []
        if source.recording.problem:
            self.notes.append(f"the reference does not run the model to its end ({source.recording.problem})")
        trial.demanding = not source.recording.problem
        if isinstance(trial, EngineTrial):  # the parts of a quantized product mean something else than the whole
            trial.recorded = not any("Dequantize" in node.op_type for node in source.graph.node)
        names = [value.name for value in source.graph.output]
        values = source.recording
        expected = tuple(values[name] for name in names) if all(name in values for name in names) else None
        self.whole = replace(source.whole, expected=expected)
        self.original: Failure | None = None

    def reduction(self, engine: str, check: str) -> Reduction:
        """Reduce; the best so far where a limit or Ctrl-C ends it."""
        self.report("the whole model")
        self._wait(long=True)
        seen = self.trial.look(self.whole)
        self.original = seen.failure
        search = self._search(seen.failure)
        stopped = ""
        try:
            self._reduce(search)
        except OutOfBudgetError as error:
            stopped = str(error)
        except KeyboardInterrupt:
            stopped = "interrupted"
            if search.target is NOTHING_YET:
                raise
        if search.target is NOTHING_YET:
            raise NoFailureError(self._nothing(engine or check, stopped))
        if isinstance(self.trial, EngineTrial):
            self.notes += [f"no oracle for {name}: {why}" for name, why in sorted(self.trial.unjudged.items())]
        return Reduction(
            candidate=search.best,
            failure=search.target,
            original=self.original,
            engine=engine,
            check=check,
            exact=isinstance(self.trial, EngineTrial) and self.trial.exact,
            threads=self.trial.threads if isinstance(self.trial, EngineTrial) else 1,
            nodes_before=len(self.source.graph.node),
            tried=search.tried,
            seconds=time.monotonic() - self.start,
            stopped=stopped,
            steps=search.steps,
            notes=self.notes,
        )

    def _wait(self, *, long: bool) -> None:
        """How long a run may take: a model of many nodes ten times as long as on the reference."""
        if isinstance(self.trial, EngineTrial):
            at_least = 10 * self.source.seconds if long else 0.0
            self.trial.worker.timeout = max(self.limits.hang_after, at_least)

    def _search(self, failure: Failure | None) -> Search:
        return Search(
            self.trial,
            failure or NOTHING_YET,
            self.whole,
            self.limits.seconds,
            self.limits.attempts,
            self.report,
            self.start,
        )

    def _reduce(self, search: Search) -> None:
        """All steps."""
        if isinstance(self.trial, CheckTrial):
            if search.target is NOTHING_YET:
                return
            shrink_graph(self.source, search)
        elif not self._find_node(search):
            self._find_graph(search)
        if search.target is NOTHING_YET:
            return
        if search.best.path is not None:
            self._load_whole(search)
        self._wait(long=False)
        if isinstance(self.trial, EngineTrial):
            self.trial.sure = search.target.kind == "hang"
        while search.best.path is None:
            before = search.best
            for name, generate in PASSES.items():
                search.exhaust(name, generate)
            if search.best is before:
                return

    def _find_node(self, search: Search) -> bool:
        """Go through the nodes one at a time."""
        self._wait(long=False)
        target = search.target

        def wanted(failure: Failure | None) -> bool:
            if failure is None:
                return False
            if target is NOTHING_YET:
                return failure.wrong or failure.kind in ("crash", "hang")
            return failure.wrong if target.wrong else target.same(failure)

        found = find_node(self.source, search.look, wanted, target.message, self.report)
        if found is None or found.failure is None:
            return False
        search.target = found.failure
        search.take(found, f"one node alone ({found.failure.kind})")
        return True

    def _find_graph(self, search: Search) -> None:
        """Several nodes at once. Other engines than Diptych are held to what their nodes come to one at a time."""
        self._wait(long=True)
        if isinstance(self.trial, EngineTrial) and not self.trial.exact and not _unanswered(search.target):
            if find_stretch(self.source, search, lambda failure: failure is not None and failure.wrong):
                return
            self.source.chained = chain(
                self.source, self.trial.worker, lambda done: self.report(f"engine, one at a time: node {done}")
            )
            if self.source.chained is not None:
                names = [value.name for value in self.source.graph.output]
                chained = tuple(self.source.chained[name] for name in names)
                self.whole = replace(self.whole, chained=chained)
                self.original = search.look(self.whole).failure
                search.target = self.original or NOTHING_YET
        if search.target is not NOTHING_YET:
            shrink_graph(self.source, search)

    def _load_whole(self, search: Search) -> None:
        """Take the model into memory where no part of it fails."""
        assert search.best.path is not None
        model = onnx.load(search.best.path)
        loaded = Candidate(model, search.best.feeds, search.best.expected, search.best.chained)
        seen = search.look(loaded)
        if search.target.same(seen.failure):
            search.take(seen, "in memory")
        else:
            self.notes.append("the failure is gone where the model does not come from its file")

    def _nothing(self, who: str, stopped: str) -> str:
        """Why there is nothing to reduce."""
        if stopped:
            return f"{who}: no failure was found before the search ended: {stopped}"
        if isinstance(self.trial, CheckTrial):
            return f"the check {who!r} does not hold for the model as it is: there is nothing to keep while it shrinks"
        return (
            f"{who} agrees with the reference on this model and these inputs, as a whole and node by node: "
            "there is nothing to reduce"
        )


NOTHING_YET = Failure("nothing")


def _unanswered(failure: Failure) -> bool:
    """Whether the engine gave no outputs."""
    return failure is not NOTHING_YET and not failure.wrong
