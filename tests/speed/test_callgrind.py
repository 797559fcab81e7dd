"""Counting instructions: of a program, and of runs inside one."""

from __future__ import annotations

import pytest
from asv_bench.benchmarks.cases import CASES
from tools.speed.callgrind import CallgrindError, count_program, count_runs, has_callgrind

pytestmark = pytest.mark.skipif(not has_callgrind(), reason="valgrind is not installed")

SMALL, GREAT = "Range: 10,000", "Relu: states"


@pytest.mark.slow
@pytest.mark.parametrize("panel", ["engine", "reference"])
def test_runs_are_counted_the_same_twice(panel: str) -> None:
    models = [(CASES[name].model().SerializeToString(), CASES[name].feeds()) for name in (SMALL, GREAT)]
    broken = (b"no model", {})
    first, second = (count_runs(panel, [models[0], broken, models[1]]) for _ in range(2))
    assert first[1] is None
    assert second[1] is None
    small, great = first[0], first[2]
    assert small is not None
    assert great is not None
    assert 1_000 < small < great
    for a, b in zip(first, second, strict=True):
        assert a is None or b is None or abs(a - b) <= 0.01 * a


def test_a_program_is_counted() -> None:
    assert 10_000 < count_program(["/bin/true"]) < 10_000_000


def test_a_program_that_fails_is_an_error() -> None:
    with pytest.raises(CallgrindError, match="ended with 1"):
        count_program(["/bin/false"])
