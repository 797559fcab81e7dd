"""Run a case on either panel and compare: the answers must be equal bit by bit, or both panels must refuse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.testing.case import Case

__all__ = ["Outcome", "difference", "engine_paths", "on_engine", "on_reference"]


@dataclass(frozen=True)
class Outcome:
    """Outputs, or the error with which a panel refused."""

    outputs: tuple[Any, ...] = ()
    error: Exception | None = None

    def __repr__(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error}"
        return ", ".join(f"{getattr(o, 'dtype', type(o))} {list(np.shape(o))}" for o in self.outputs)


def on_reference(case: Case) -> Outcome:
    """Run a case on the left panel. Only errors that the reference raises on purpose are refusals."""
    try:
        if case.needs_model:
            session = diptych_reference.ReferenceSession(case.model())
            return Outcome(tuple(session.run(None, case.feeds())))
        outputs = diptych_reference.run_operator(
            case.op_type,
            case.inputs,
            case.attributes,
            opset=case.opset,
            domain=case.domain,
            n_outputs=case.n_outputs,
        )
    except diptych_reference.Error as error:
        return Outcome(error=error)
    return Outcome(tuple(outputs))


def on_engine(case: Case, isa: str | None = None, threads: int = 1) -> Outcome:
    """Run a case on the right panel. Errors other than a refusal (an internal one, say) are raised."""
    try:
        if case.needs_model:
            options = diptych.SessionOptions()
            options.isa, options.intra_op_num_threads = isa, threads
            session = diptych.InferenceSession(case.model().SerializeToString(), options)
            return Outcome(tuple(session.run(None, case.feeds())))
        outputs = diptych.run_operator(
            case.op_type,
            case.inputs,
            case.attributes,
            opset=case.opset,
            domain=case.domain,
            n_outputs=case.n_outputs,
            isa=isa,
            threads=threads,
        )
    except diptych.InternalError:
        raise
    except diptych.Error as error:
        return Outcome(error=error)
    return Outcome(tuple(outputs))


def engine_paths(threads: Iterable[int] = (1, 2)) -> list[tuple[str, int]]:
    """Every instruction set of this machine with every number of threads."""
    return [(isa, count) for isa in diptych.available_isas() for count in threads]


def difference(expected: Outcome, actual: Outcome) -> str:
    """How two outcomes differ, "" if they do not: dtype, shape and bits, or that only one panel refuses."""
    if (expected.error is None) != (actual.error is None):
        return f"one panel refuses: {expected!r} against {actual!r}"
    if len(expected.outputs) != len(actual.outputs):
        return f"{len(actual.outputs)} outputs, expected {len(expected.outputs)}"
    for index, (left, right) in enumerate(zip(expected.outputs, actual.outputs, strict=True)):
        problem = compare(np.asarray(left) if np.isscalar(left) else left, right).problem
        if problem:
            return f"output {index}: {problem}"
    return ""
