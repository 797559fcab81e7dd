"""The error meter: how much of its own forward error bound an operator uses, against an oracle in wider arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diptych.testing import Row, on_reference
from diptych.testing.cases import draw_case
from diptych.testing.draws import Seeded
from diptych.testing.oracles import MOVERS, judge, oracle_of
from diptych.testing.sketch import RULES

__all__ = ["EXAMPLES", "Reading", "meter_of"]

FLOATS = ("float32", "float64", "float16", "bfloat16")
EXAMPLES = 20
FIRST = 1000  # the seeds below are the small example's


@dataclass(frozen=True)
class Reading:
    """Worst and mean share of the bound over `examples` outputs of a dtype; `problem`: what is beyond the bound."""

    dtype: str
    examples: int
    worst: float
    mean: float
    problem: str = ""


def meter_of(
    row: Row, examples: int = EXAMPLES, progress: Callable[[str], None] = lambda text: None
) -> tuple[tuple[Reading, ...], str]:
    """One reading for each floating-point type, and "" or why there is none.

    The left panel is measured; the right one has the same bits.
    """
    oracle = oracle_of(row.op_type, row.domain)
    if row.op_type in MOVERS:
        return (), "it moves, compares or counts: there is nothing to round"
    if oracle is None or (row.domain, row.op_type) not in RULES:
        return (), "it has no oracle in wider arithmetic (diptych.testing.oracles)"
    readings = []
    floats = [dtype for dtype in row.dtypes if dtype.name in FLOATS] or list(row.dtypes[:1])
    for dtype in floats:
        progress(f"error meter: {row.name}, {dtype.name}, {examples} examples")
        shares, problem = [], ""
        for seed in range(FIRST, FIRST + examples):
            case = draw_case(Seeded(seed), row, dtype)
            outcome = on_reference(case)
            if outcome.error is not None:
                continue
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", RuntimeWarning
                )  # oracles meet what operators are fed: means of nothing, NaN
                expected = oracle(case) or []
                pairs = zip(expected, outcome.outputs, strict=False)
                found = [judge(wanted, actual) for wanted, actual in pairs if wanted is not None]
            shares += [verdict.share for verdict in found]
            problem = problem or next((verdict.problem for verdict in found if verdict.wrong), "")
        if shares:
            readings.append(Reading(dtype.name, len(shares), max(shares), float(np.mean(shares)), problem))
    return tuple(readings), "" if readings else "its oracle says nothing of the cases drawn"
