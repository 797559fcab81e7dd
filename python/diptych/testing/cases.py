"""Strategies of cases: `operator_cases("Conv", 11, "float")`."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

import diptych.testing.families  # noqa: F401  fills RULES
from diptych.testing.case import Case
from diptych.testing.draws import Draw, Drawn
from diptych.testing.schema import Row, row
from diptych.testing.sketch import RULES, Sketch
from diptych.testing.values import DTYPES, numpy_dtype

__all__ = ["draw_case", "operator_cases"]


def operator_cases(op_type: str, since: int, dtype: Any = None, *, domain: str = "") -> st.SearchStrategy[Case]:
    """Valid cases of one operator version. `dtype` (NumPy's, or ONNX's name) is that of the first input; None: any.

    Raises ValueError where ONNX has no such version or the version does not allow the type.
    """
    found = row(op_type, since, domain)
    if dtype is None:
        return st.sampled_from(found.dtypes).flatmap(lambda chosen: _cases(found, chosen))
    wanted = numpy_dtype(dtype) if isinstance(dtype, str) and dtype in DTYPES else np.dtype(dtype)
    if wanted not in found.dtypes:
        raise ValueError(f"{found.name} does not allow {wanted}, only {[str(allowed) for allowed in found.dtypes]}")
    return _cases(found, wanted)


@cache
def _cases(row: Row, dtype: np.dtype[Any]) -> st.SearchStrategy[Case]:
    return _composite(row, dtype)


@st.composite
def _composite(draw: Any, row: Row, dtype: np.dtype[Any]) -> Case:
    return draw_case(Drawn(draw), row, dtype)


def draw_case(draw: Draw, row: Row, dtype: np.dtype[Any]) -> Case:
    """One case by the shape rule of its operator."""
    sketch = Sketch(draw, row, dtype)
    inputs = RULES[row.domain, row.op_type](sketch)
    while inputs and inputs[-1] is None:
        inputs.pop()
    if "consumed_inputs" in row.attributes and row.attributes["consumed_inputs"].required:
        sketch.set("consumed_inputs", [0] * len(inputs))  # a memory hint of opset 1
    return Case(
        row.op_type,
        row.domain,
        row.since,
        tuple(inputs),
        sketch.attributes,
        sketch.n_outputs,
        sketch.outer,
        tuple(sketch.before),
    )
