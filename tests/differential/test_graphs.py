"""Random small graphs: passes, random legal schedules, instruction sets and threads change no bit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.testing.graphs import GraphCase, graphs

DTYPES = ("float", "double", "float16", "bfloat16")


def run(case: GraphCase, **options: Any) -> list[Any]:
    """Outputs of the engine with some session options."""
    chosen = diptych.SessionOptions()
    for name, value in options.items():
        setattr(chosen, name, value)
    return diptych.InferenceSession(case.model.SerializeToString(), chosen).run(None, case.feeds)


def check(case: GraphCase, expected: list[Any], **options: Any) -> None:
    """The engine's outputs under `options` against the reference's."""
    actual = run(case, **options)
    for output, left, right in zip(case.model.graph.output, expected, actual, strict=True):
        problem = compare(left, right).problem
        assert not problem, f"{output.name} with {options}: {problem}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_graphs(dtype: str) -> None:
    @settings(max_examples=max(10, settings.default.max_examples))
    @given(graphs(dtype), st.integers(0, 2**32))
    def agree(case: GraphCase, seed: int) -> None:
        expected = diptych_reference.ReferenceSession(case.model).run(None, case.feeds)
        for isa in diptych.available_isas():
            check(case, expected, isa=isa, intra_op_num_threads=1)
        check(case, expected, intra_op_num_threads=2)
        check(case, expected, graph_optimization_level=diptych.GraphOptimizationLevel.ORT_DISABLE_ALL)
        for turn in range(3):
            check(case, expected, intra_op_num_threads=2, schedule_seed=seed + turn)

    agree()


def test_a_session_gives_the_same_bits_again() -> None:
    """Nothing stays behind in arenas: the second and third run of a session equal the first."""

    @settings(max_examples=max(10, settings.default.max_examples // 2))
    @given(graphs())
    def agree(case: GraphCase) -> None:
        session = diptych.InferenceSession(case.model.SerializeToString())
        first = session.run(None, case.feeds)
        for _ in range(2):
            for left, right in zip(first, session.run(None, case.feeds), strict=True):
                assert not compare(left, right).problem

    agree()
