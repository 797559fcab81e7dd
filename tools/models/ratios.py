"""The median of per-round ratios and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

CONFIDENCE = 0.95


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Our time / theirs, round by round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def summed_up(values: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """The median, and the interval in which that of all possible rounds lies with 95 %."""
    return median(values), median_interval(values)


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The k-th least and the k-th greatest value: no assumption on the distribution but independent rounds.

    The true median is below the k-th least with the probability that fewer than k of n fair coins show heads. None
    where even the least and the greatest value are not sure enough, which is below 6 rounds.
    """
    n, below, k = len(values), 0.0, 0
    while k < n // 2:
        below += math.comb(n, k) / 2**n
        if 2 * below > 1 - CONFIDENCE:
            break
        k += 1
    ordered = sorted(values)
    return (ordered[k - 1], ordered[n - k]) if k else None
