"""How much of an operator's forward error bound a result uses: 0 is exact, 1 the bound itself."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from diptych.testing.oracles.base import WIDE, Expected, bounded, wide
from diptych.testing.values import Array

__all__ = ["Share", "share_of_bound"]


@dataclass(frozen=True)
class Share:
    """Greatest error over bound among the elements that have one; `problem` is "" unless the result is wrong."""

    worst: float = 0.0
    problem: str = ""


def share_of_bound(expected: Expected, actual: Array) -> Share:
    """Compare an output with its oracle: classes first (NaN, infinities, signs of zeros), then errors in bounds.

    Where a bound is infinite or the exact value is beyond the type, only the classes count.
    """
    exact, slack, got = np.asarray(expected.exact), bounded(expected, actual.dtype), wide(actual)
    if exact.shape != got.shape:
        return Share(np.inf, f"shape {got.shape}, the oracle has {exact.shape}")
    limits = ml_dtypes.iinfo if actual.dtype.kind in "iu" else ml_dtypes.finfo
    top = WIDE(limits(actual.dtype).max)
    meaningful = np.isfinite(slack) & ~((np.isnan(exact) ^ np.isnan(got)) & (np.abs(exact) + slack > top))
    inside = meaningful & ~np.isnan(exact) & (np.abs(exact) + slack <= top)
    infinite = meaningful & np.isinf(exact)
    wrong = {
        "NaN": meaningful & (np.isnan(exact) != np.isnan(got)),
        "infinity": infinite & (got != exact),
        "the sign of a zero": inside & (exact == 0) & (got == 0) & (np.signbit(exact) != np.signbit(got)),
    }
    if not expected.signed_zeros:
        del wrong["the sign of a zero"]
    for kind, where in wrong.items():
        if where.any():
            return Share(np.inf, f"{kind}: {got[where][:3]}, expected {exact[where][:3]}")
    error, bound = np.abs(got[inside] - exact[inside]), slack[inside]
    with np.errstate(all="ignore"):
        worst = float(np.max(np.nan_to_num(error / bound), initial=0.0))
    beyond = ~(error <= bound)
    if beyond.any():
        problem = f"{got[inside][beyond][:3]}, expected {exact[inside][beyond][:3]} within {bound[beyond][:3]}"
        return Share(worst, problem)
    return Share(worst)
