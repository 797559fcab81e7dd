"""Is an output what its operator should give? Classes first, then the error in units of the operator's own bound.

Fixed tolerances fail both ways: too tight for a long sum in another order, too wide for a function of one rounding.
Here each output is held to `Expected`, and what cannot be rounded (moved, compared, counted) to the reference's bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from diptych.compare import compare
from diptych.testing.case import Case
from diptych.testing.oracles.base import (
    MOVERS,
    WIDE,
    Expected,
    any_evaluation,
    bounded,
    oracle_of,
    wide,
)
from diptych.testing.oracles.exactness import sharpened
from diptych.testing.values import Array

__all__ = ["Verdict", "judge", "judge_outputs"]

# The text does not say which of +0 and -0 is the greater, nor does `x > y`: an engine may return either.
EXTREMES = {"Clip", "GlobalMaxPool", "Max", "MaxPool", "MaxRoiPool", "Min", "ReduceMax", "ReduceMin", "Relu"}
CLASSIFIERS = {"LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"}  # outputs: labels, scores


@dataclass(frozen=True)
class Verdict:
    """What is wrong with an output, if anything.

    `kind` is "" (right), "type" (dtype, shape or kind of value), "class" (NaN, infinity, the sign of a zero), "bound"
    (beyond the error bound), "bits" (an operator that does not round) or "unjudged" (nothing tells what is right
    beyond type and shape). `problem` is a line for people, "" where the output is right. `share` is the greatest error
    in units of the bound, `index` where it lies.
    """

    kind: str = ""
    problem: str = ""
    share: float = 0.0
    index: tuple[int, ...] | None = None

    @property
    def wrong(self) -> bool:
        """Whether the output violates something."""
        return self.kind not in ("", "unjudged")


def judge(expected: Expected, actual: Array) -> Verdict:
    """Hold an output, a tensor of numbers, to what an oracle expects."""
    exact, slack, got = np.asarray(expected.exact), bounded(expected, actual.dtype), wide(actual)
    if exact.shape != got.shape:
        return Verdict("type", f"shape {list(got.shape)}, expected {list(exact.shape)}")
    limits = ml_dtypes.iinfo if actual.dtype.kind in "iu" else ml_dtypes.finfo
    top = WIDE(limits(actual.dtype).max)
    with np.errstate(all="ignore"):
        meaningful = np.isfinite(slack) & ~((np.isnan(exact) ^ np.isnan(got)) & (np.abs(exact) + slack > top))
        inside = meaningful & ~np.isnan(exact) & (np.abs(exact) + slack <= top)
        infinite = meaningful & np.isinf(exact)
        for name, wrong in (
            ("NaN", meaningful & (np.isnan(exact) != np.isnan(got))),
            ("infinity", infinite & (got != exact)),
            ("sign of zero", _signs_differ(expected, exact, got, inside)),
        ):
            if wrong.any():
                return _verdict("class", name, np.where(wrong, np.inf, 0), exact, got, slack)
        error = np.where(inside, np.abs(got - exact), 0)
        share = np.where(inside & (error > 0), error / slack, 0)
        share = np.where(np.isnan(share), np.inf, share)
    if (share > 1).any():
        return _verdict("bound", "error beyond the bound", share, exact, got, slack)
    return Verdict(share=float(np.max(share, initial=0.0)), index=_index(share))


def judge_outputs(
    case: Case, outputs: Sequence[Any], reference: Sequence[Any], *, own_program: bool = False
) -> list[Verdict]:
    """Hold an engine's outputs on a case to its oracle, and to `reference` (the left panel's outputs) for the rest.

    `own_program` holds them to Diptych's rounding program; otherwise any order of a sum will do, and functions may err
    by as many units as the full profile of OpenCL C allows them.
    """
    if len(outputs) != len(reference):
        return [Verdict("type", f"{len(outputs)} outputs, expected {len(reference)}")]
    oracle = oracle_of(case.op_type, case.domain)
    with np.errstate(all="ignore"), any_evaluation(not own_program):
        found = ((oracle(case) if oracle else None) or [])[: len(reference)]
        if not requantizes(case.op_type):  # integers are not rounded: the reference's bits are right
            found = [None if integral(r) else e for e, r in zip(found, reference, strict=False)]
        sharp = [e if e is None or own_program else sharpened(case, e) for e in found]
        expected = [*sharp, *[None] * (len(reference) - len(sharp))]
        moved = case.op_type in MOVERS
        if case.op_type in EXTREMES:
            outputs, reference = ([without_signs_of_zeros(value) for value in some] for some in (outputs, reference))
        verdicts = [_judge_one(e, a, r, moved) for e, a, r in zip(expected, outputs, reference, strict=True)]
        if case.op_type in CLASSIFIERS and verdicts[0].kind == "bits" and near(expected[1], outputs[0], reference[0]):
            verdicts[0] = Verdict("unjudged", "scores too near each other to tell the greatest")
        return verdicts


def requantizes(op_type: str) -> bool:
    """Whether an operator rounds numbers to integers, so that its bound speaks of these."""
    return "Quantize" in op_type or op_type.startswith("QLinear")


def without_signs_of_zeros(value: Any) -> Any:
    """The same numbers, and +0 for -0."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fV":
        return value
    return np.asarray(value + value.dtype.type(0))  # a sum of rank 0 is no array otherwise


def near(scores: Expected | None, labels: Any, reference: Any) -> bool:
    """Whether labels differ only where the two greatest scores are as good as equal, or nothing is known of scores."""
    if scores is None or scores.exact.ndim != 2 or scores.exact.shape[1] < 2:
        return scores is None
    slack = np.max(np.broadcast_to(np.asarray(scores.slack), scores.exact.shape), axis=1)
    ordered = np.sort(scores.exact, axis=1)
    apart = ~(ordered[:, -1] - ordered[:, -2] <= 2 * slack)
    return not bool(np.any((labels != reference).reshape(-1) & apart))


def integral(value: Any) -> bool:
    """Whether a value is a tensor of integers or booleans."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "iub"


def _judge_one(expected: Expected | None, actual: Any, reference: Any, moved: bool) -> Verdict:
    """One output."""
    mismatch = compare(reference, actual)
    if mismatch.equal:
        return Verdict() if expected is None or actual is None else judge(expected, actual)
    if not mismatch.elements:
        return Verdict("type", mismatch.problem)
    if expected is not None:
        return judge(expected, actual)
    rounds = isinstance(reference, np.ndarray) and reference.dtype.kind in "fcV" and not moved
    return Verdict("unjudged" if rounds else "bits", mismatch.problem, index=mismatch.index)


def _signs_differ(expected: Expected, exact: Array, got: Array, inside: Array) -> Array:
    """Where both are zero and the sign, which is certain, differs."""
    both = inside & (exact == 0) & (got == 0) & (np.signbit(exact) != np.signbit(got))
    return both if expected.signed_zeros else np.zeros_like(both)


def _verdict(kind: str, what: str, share: Array, exact: Array, got: Array, slack: Array) -> Verdict:
    """The verdict at the worst element."""
    index = _index(share)
    assert index is not None
    worst = float(share[index])
    times = f", {worst:.3g} times the bound {float(slack[index]):.3g}" if kind == "bound" else ""
    count = int(np.count_nonzero(share > 1))
    problem = (
        f"{what}: {count} of {share.size} elements; at {list(index)} {got[index]!s}, expected {exact[index]!s}{times}"
    )
    return Verdict(kind, problem, worst, index)


def _index(share: Array) -> tuple[int, ...] | None:
    """Where the greatest share lies; None in an empty output."""
    if not share.size:
        return None
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(share)), share.shape))
