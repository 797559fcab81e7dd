"""Each floating-point operator within its forward error bound of a wider oracle: equal panels could both be wrong.

The left panel is run; test_panels says that the right one gives the same bits. Classes come first: NaN where the oracle
has NaN, infinities of the same sign, and zeros of the same sign where a single rounding leaves no choice.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from diptych.testing import Case, Row, catalogue, on_reference, operator_cases
from diptych.testing.catalogue import is_newest_meaning
from diptych.testing.oracles import MOVERS, ORACLES, judge, oracle_of

FLOATS = ("float32", "float64", "float16", "bfloat16")
ROWS = [row for row in catalogue() if is_newest_meaning(row)]
ENTRIES = [
    (row, dtype)
    for row in ROWS
    if oracle_of(row.op_type, row.domain)
    for dtype in row.dtypes
    if dtype.name in FLOATS or dtype.kind in "iu" or row.op_type in ("GatherBlockQuantized", "QLinearMatMul")
]
# Their first inputs are integers.
FROM_INTEGERS = {
    "BlackmanWindow", "DequantizeLinear", "GatherBlockQuantized", "HammingWindow", "HannWindow", "MatMulIntegerToFloat",
    "MelWeightMatrix", "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearConv", "QLinearGlobalAveragePool",
    "QLinearLeakyRelu", "QLinearMatMul", "QLinearMul", "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere",
}  # fmt: skip
ENTRIES = [(row, dtype) for row, dtype in ENTRIES if dtype.name in FLOATS or row.op_type in FROM_INTEGERS]


def examples() -> int:
    """Examples a row and type."""
    return int(os.environ.get("DIPTYCH_EXAMPLES", "0")) or max(1, settings.default.max_examples // 2)


@pytest.mark.parametrize(("row", "dtype"), ENTRIES, ids=[f"{row.name}-{dtype.name}" for row, dtype in ENTRIES])
def test_within_the_bound(row: Row, dtype: np.dtype[Any], record_property: Callable[[str, Any], None]) -> None:
    counts: Counter[str] = Counter()

    oracle = oracle_of(row.op_type, row.domain)
    assert oracle is not None

    @settings(max_examples=examples())
    @given(operator_cases(row.op_type, row.since, dtype, domain=row.domain))
    def within(case: Case) -> None:
        outcome = on_reference(case)
        with np.errstate(all="ignore"):
            expected = oracle(case) if outcome.error is None else None
            for wanted, actual in zip(expected or [], outcome.outputs, strict=False):
                if wanted is not None:
                    counts["examples"] += 1
                    verdict = judge(wanted, actual)
                    assert not verdict.wrong, verdict.problem

    within()
    report = {"check": "oracle", "operator": row.op_type, "version": row.name, "dtype": dtype.name, **counts}
    for name, value in report.items():
        record_property(name, value)


def test_share_of_operators_with_an_oracle(record_property: Callable[[str, Any], None]) -> None:
    """Most operators that round have an oracle; the others are listed by this test's output."""
    rounding = {row.op_type for row in ROWS} - MOVERS
    missing = sorted(rounding - set(ORACLES))
    record_property("check", f"oracle ({len(rounding) - len(missing)} of {len(rounding)} that round; not {missing})")
    record_property("rows", len(ROWS))
    assert len(missing) * 4 <= len(rounding), missing
