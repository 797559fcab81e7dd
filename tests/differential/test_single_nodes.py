"""An operator gives the same bits in a model as called directly: files, reading, planning and arenas change nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

import diptych
from diptych.testing import Case, Outcome, Row, catalogue, difference, on_engine, operator_cases
from diptych.testing.catalogue import is_newest_meaning
from diptych_reference import lookup

ROWS = [row for row in catalogue() if is_newest_meaning(row) and row.op_type not in ("If", "Loop")]


def in_model(case: Case, threads: int) -> Outcome:
    """The case as a model of one node."""
    options = diptych.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = diptych.InferenceSession(case.model().SerializeToString(), options)
        outputs = session.run(None, case.feeds())
        if draws_anew(case):
            session = diptych.InferenceSession(case.model().SerializeToString(), options)
        again = session.run(None, case.feeds())
    except diptych.InternalError:
        raise
    except diptych.Error as error:
        return Outcome(error=error)
    assert not difference(Outcome(tuple(outputs)), Outcome(tuple(again))), "the second run of a session differs"
    return Outcome(tuple(outputs))


def draws_anew(case: Case) -> bool:
    """Whether it draws random numbers without a seed, so that every run of a session has others."""
    return "place" in lookup(case.domain, case.op_type, case.opset).context and "seed" not in case.attributes


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_in_a_model_as_alone(row: Row) -> None:
    @settings(max_examples=max(1, settings.default.max_examples // 2))
    @given(operator_cases(row.op_type, row.since, domain=row.domain))
    def same(case: Case) -> None:
        expected = on_engine(case)
        for threads in (1, 2):
            problem = difference(expected, in_model(case, threads))
            assert not problem, f"{threads} threads: {problem}"

    same()
