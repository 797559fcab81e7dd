"""The catalogue on both panels: every operator version, every element type, every instruction set, 1 and 2 threads.

One reference run an example; then the engine on every path in the same process. Equal means dtype, shape and bits (or
both NaN); where one panel refuses, the other must refuse as well. DIPTYCH_EXAMPLES overrides the examples a row.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diptych
import diptych_reference
from diptych.testing import Case, Row, catalogue, difference, engine_paths, entries, on_engine, on_reference
from diptych.testing.cases import operator_cases
from diptych.testing.catalogue import is_newest_meaning
from diptych.testing.sketch import RULES
from diptych_reference.schemas import all_schemas, is_known

ENTRIES = list(entries())
IDS = [f"{row.name}-{dtype.name}" for row, dtype in ENTRIES]
PATHS = engine_paths()


def examples(row: Row) -> int:
    """Fewer where a later version has the same meaning: such rows differ in nothing but types and numbers."""
    wanted = int(os.environ.get("DIPTYCH_EXAMPLES", "0")) or max(1, settings.default.max_examples // 5)
    return wanted if is_newest_meaning(row) else max(1, wanted // 5)


def check(case: Case) -> bool:
    """One reference run, then every path of the engine; whether the panels refused."""
    expected = on_reference(case)
    for isa, threads in PATHS:
        problem = difference(expected, on_engine(case, isa, threads))
        assert not problem, f"{isa}, {threads} threads: {problem}"
    return expected.error is not None


@pytest.mark.parametrize(("row", "dtype"), ENTRIES, ids=IDS)
def test_panels_agree(row: Row, dtype: np.dtype[Any], record_property: Callable[[str, Any], None]) -> None:
    assert (row.domain, row.op_type, row.since) in diptych.operators(), f"the engine has no {row.name}"
    counts: Counter[str] = Counter()

    @settings(max_examples=examples(row))
    @given(operator_cases(row.op_type, row.since, dtype, domain=row.domain))
    def agree(case: Case) -> None:
        counts["examples"] += 1
        counts["refused by both"] += check(case)

    try:
        agree()
    finally:
        report = {"check": "panels", "operator": row.op_type, "version": row.name, "dtype": dtype.name, **counts}
        for name, value in report.items():
            record_property(name, value)


def whole(value: Any) -> bool:
    """Whether an attribute is an integer or a list of them."""
    return all(isinstance(item, int) for item in value) if isinstance(value, list) else isinstance(value, int)


@st.composite
def broken_cases(draw: Any, row: Row) -> Case:
    """A valid case with one thing wrong, or at least odd: what an input is, or an attribute."""
    case = draw(operator_cases(row.op_type, row.since, domain=row.domain))
    inputs, attributes = list(case.inputs), dict(case.attributes)
    damage = draw(st.sampled_from(["drop", "rank", "side", "dtype", "attribute", "unknown", "more"]))
    at = draw(st.integers(0, max(0, len(inputs) - 1)))
    dense = bool(inputs) and isinstance(inputs[at], np.ndarray)
    if damage == "drop" and inputs:
        inputs[at] = None
    elif damage == "rank" and dense:
        inputs[at] = inputs[at][None] if draw(st.booleans()) or not inputs[at].ndim else inputs[at].reshape(-1)
    elif damage == "side" and dense and inputs[at].ndim:
        inputs[at] = np.repeat(inputs[at], 2, axis=draw(st.integers(0, inputs[at].ndim - 1)))
    elif damage == "dtype" and dense and inputs[at].dtype != object:
        inputs[at] = np.zeros(inputs[at].shape, draw(st.sampled_from(["float32", "int64", "bool", "uint16"])))
    elif damage == "more":
        inputs.extend([np.zeros(2, np.float32)] * 3)
    elif damage == "attribute" and any(map(whole, attributes.values())):
        name = draw(st.sampled_from(sorted(n for n, v in attributes.items() if whole(v))))
        odd = draw(st.sampled_from([-1, 0, 99, -99, 2**40]))
        attributes[name] = odd if isinstance(attributes[name], int) else [*attributes[name][1:], odd]
    else:
        attributes["no_such_attribute"] = 1
    return dataclasses.replace(case, inputs=tuple(inputs), attributes=attributes)


NEWEST = [row for row in catalogue() if is_newest_meaning(row) and not row.takes_graphs]


@pytest.mark.parametrize("row", NEWEST, ids=lambda row: row.name)
def test_both_panels_refuse(row: Row) -> None:
    """What one panel refuses the other refuses, and neither crashes; what both take they agree on."""
    assert (row.domain, row.op_type, row.since) in diptych.operators(), f"the engine has no {row.name}"

    @settings(max_examples=examples(row) * 2)
    @given(broken_cases(row))
    def agree(case: Case) -> None:
        expected = on_reference(case)
        if isinstance(expected.error, diptych_reference.ResourceLimitError):
            return  # the plain way of the reference lacks memory for it, which says nothing of the operator
        problem = difference(expected, on_engine(case))
        assert not problem, problem

    agree()


@pytest.mark.parametrize(
    "case",
    [
        Case("Slice", "", 13, (np.zeros(2, np.float32), np.array([0]), np.array([1], np.int32)), {}, 1),
        Case("Pow", "", 1, (np.ones(3, np.float32), np.array([2], np.float32)), {}, 1),
        Case("Pad", "", 25, (np.zeros((1, 0)), np.array([], int), None, np.zeros((1, 0), int)), {}, 1),
    ],
    ids=lambda case: case.op_type,
)
def test_both_panels_refuse_what_was_found(case: Case) -> None:
    """Cases of the test above that one panel once took."""
    assert on_reference(case).error is not None
    assert on_engine(case).error is not None


def test_registries_hold_the_same_rows() -> None:
    """The reference, the engine and the shape rules know the same operators, at their schemas' since_versions."""
    reference = {(row.domain, row.op_type, row.since) for row in catalogue()}
    assert set(diptych.operators()) == reference
    named = {(domain, op_type) for domain, op_type, _ in reference}
    schemas = [s for s in all_schemas() if (s.domain, s.name) in named]
    assert reference <= {(s.domain, s.name, s.since_version) for s in schemas}
    assert reference >= {(s.domain, s.name, s.since_version) for s in schemas if not s.deprecated}
    assert named <= set(RULES)
    assert {name for name in diptych_reference.registry if is_known(*name)} == named
