"""How far a graph of several nodes may lie from the reference, for which no operator has a bound.

What its nodes come to when the engine runs them one at a time, each within its bound, is an honest evaluation. The
graph at once may lie ten times as far from the reference as that, and a few roundings more.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from diptych.compare import compare
from diptych.testing.oracles import Verdict
from diptych.testing.values import Array

__all__ = ["graph_verdict", "greatest_and_eps", "tolerance"]

HONEST = 10.0  # times the distance of the nodes one at a time
ROUNDINGS = 64.0  # units in the last place of the greatest element


def greatest_and_eps(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The greatest number of a type of floats, and the distance of 1 to the next."""
    finfo: Any = ml_dtypes.finfo
    return float(finfo(dtype).max), float(finfo(dtype).eps)


def tolerance(expected: Array, chained: Array) -> float:
    """How far a graph's output may lie from the reference."""
    e, c = (np.asarray(a.astype(np.float32) if a.dtype.kind == "V" else a, np.complex128) for a in (expected, chained))
    with np.errstate(all="ignore"):
        finite = np.isfinite(e) & np.isfinite(c)
        error = np.max(np.abs(e - c), where=finite, initial=0.0)
        size = np.max(np.abs(e), where=finite, initial=0.0)
    eps = float(greatest_and_eps(np.dtype(np.float32) if expected.dtype.kind == "c" else expected.dtype)[1])
    return float(HONEST * error + ROUNDINGS * eps * size)


def graph_verdict(expected: Any, chained: Any, actual: Any) -> Verdict:
    """Hold an output of a graph to the reference's and to the engine's own, one node at a time."""
    mismatch = compare(expected, actual)
    if mismatch.equal:
        return Verdict()
    if not mismatch.elements:
        return Verdict("type", mismatch.problem)
    if chained is None:
        return Verdict("unjudged", mismatch.problem)
    if not (isinstance(expected, np.ndarray) and expected.dtype.kind in "fcV" and "int" not in expected.dtype.name):
        return Verdict("bits" if compare(expected, chained).equal else "unjudged", mismatch.problem)
    if compare(expected, chained).problem and not compare(expected, chained).elements:
        return Verdict("unjudged", mismatch.problem)
    return _float_verdict(expected, chained, actual)


def _float_verdict(expected: Array, chained: Array, actual: Array) -> Verdict:
    """Classes where the engine's own agree with the reference's, then the distance."""
    e, c, a = (np.asarray(x.astype(np.float32) if x.dtype.kind == "V" else x) for x in (expected, chained, actual))
    limit = tolerance(expected, chained)
    with np.errstate(all="ignore"):
        sure = np.isfinite(e) == np.isfinite(c)
        classes = sure & (np.isfinite(a) != np.isfinite(e))
        error = np.where(np.isfinite(a) & np.isfinite(e) & sure, np.abs(a - e), 0)
    for kind, wrong in (("class", classes), ("bound", error > limit)):
        if wrong.any():
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.where(wrong, error, -1))), e.shape))
            problem = (
                f"{int(wrong.sum())} of {wrong.size} elements; at {list(index)} {a[index]!s}, expected {e[index]!s}"
            )
            times = f", more than {limit:.3g} away" if kind == "bound" else ""
            return Verdict(kind, f"{problem}{times}", index=index)
    return Verdict()
