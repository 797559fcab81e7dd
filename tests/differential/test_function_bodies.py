"""A third oracle: ONNX defines some operators by a graph of others. That graph, run by the engine, agrees with them.

Cases that the body cannot do are left out (most bodies reshape with -1, which nothing of size 0 takes): see
`diptych.testing.bodies`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import diptych
from diptych.testing import Case, Row, catalogue, on_engine, operator_cases
from diptych.testing.bodies import comparable, disagreement, expanded, has_body
from diptych.testing.catalogue import is_newest_meaning

ROWS = [row for row in catalogue() if is_newest_meaning(row) and has_body(row)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_body_agrees(row: Row, record_property: Callable[[str, Any], None]) -> None:
    counts: Counter[str] = Counter()
    dtype = next((t for t in row.dtypes if t.name == "float32"), row.dtypes[0])

    @settings(max_examples=max(5, settings.default.max_examples // 5))
    @given(operator_cases(row.op_type, row.since, dtype, domain=row.domain))
    def agree(case: Case) -> None:
        native = on_engine(case)
        nothing = any(isinstance(output, np.ndarray) and output.size == 0 for output in native.outputs)
        model = expanded(case) if comparable(case) and not nothing else None
        if native.error is not None or model is None:
            counts["without a body"] += 1
            return
        try:
            outputs = diptych.InferenceSession(model.SerializeToString()).run(None, case.feeds())
        except (diptych.ShapeError, diptych.InvalidModelError, diptych.InvalidTypeError):
            counts["not by the body"] += 1
            return
        problem, elements = disagreement(case, native.outputs, outputs)
        assert not problem, problem
        counts["elements"] += elements
        counts["examples"] += 1

    agree()
    for name, value in {"check": "bodies", "operator": row.op_type, "version": row.name, **counts}.items():
        record_property(name, value)
    assert counts["examples"], "no case had a body"
