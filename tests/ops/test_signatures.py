"""The engine's table of ONNX's signatures, and that both panels hold a node's inputs against them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from tools import signatures

import diptych
import diptych_reference
from diptych.testing import Case, Row, catalogue, difference, on_engine, on_reference
from diptych.testing.cases import operator_cases

X = np.zeros((2, 3), np.float32)


def ints(*values: int, dtype: str = "int64") -> np.ndarray[Any, Any]:
    return np.array(values, dtype)


# onnx 1.19 lists integers among its types.
CORRECTED = {'"", "Erf", 13'}


def test_table_is_what_onnx_says() -> None:
    """Another version of onnx may lack versions or have more; those that both know must be equal."""
    text = signatures.TABLE.read_text()
    if f"onnx {onnx.__version__};" in text:
        assert text == signatures.render(), "run python -m tools.signatures --write"
    ours, theirs = signatures.spelled_out(text), signatures.spelled_out(signatures.render())
    assert len(ours) == text.count("    op(")
    both = (ours.keys() & theirs.keys()) - CORRECTED
    assert {key: ours[key] for key in both} == {key: theirs[key] for key in both}


@pytest.mark.parametrize(
    ("op_type", "opset", "inputs", "message"),
    [
        ("Slice", 13, [X, ints(0), ints(1, dtype="int32")], "input 'ends': got tensor(int32), expected tensor(int64)"),
        ("Slice", 13, [X, X[0], X[0]], "input 'starts': got tensor(float), expected one of "),
        ("Slice", 13, [[X], ints(0), ints(1)], "input 'data': got seq(tensor(float)), expected one of "),
        ("Add", 14, [X, X.astype("float64")], "input 'B': got tensor(double), expected tensor(float)"),
        ("Concat", 13, [X, X, X.astype("int32")], "input 'inputs': got tensor(int32), expected tensor(float)"),
        ("Identity", 13, [[X]], "input 'input': got seq(tensor(float)), expected one of "),
    ],
)
def test_both_panels_refuse_a_type(op_type: str, opset: int, inputs: list[Any], message: str) -> None:
    for run, error in (
        (diptych.run_operator, diptych.InvalidTypeError),
        (diptych_reference.run_operator, diptych_reference.InvalidTypeError),
    ):
        with pytest.raises(error) as caught:
            run(op_type, inputs, {"axis": 0} if op_type == "Concat" else {}, opset=opset)  # type: ignore[operator]
        assert f"{op_type}-{opset}, {message}" in str(caught.value)
        assert isinstance(caught.value, (TypeError, ValueError))


def variations(case: Case) -> Iterator[Case]:
    """The case with one input of another type or absent, with one input or output more."""
    for at, value in enumerate(case.inputs):
        others: list[Any] = [None]
        if isinstance(value, np.ndarray):
            others.append([value])
            zeros = [np.zeros(value.shape, dtype) for dtype in (np.float32, np.int32, np.int64, np.uint8, np.bool_)]
            others += [other for other in zeros if other.dtype != value.dtype] + [np.full(value.shape, "", object)]
        for other in others:
            yield dataclasses.replace(case, inputs=(*case.inputs[:at], other, *case.inputs[at + 1 :]))
    yield dataclasses.replace(case, inputs=(*case.inputs, None))
    yield dataclasses.replace(case, inputs=(*case.inputs, X, X, X, X))
    yield dataclasses.replace(case, n_outputs=case.n_outputs + 1)


@pytest.mark.parametrize("row", [row for row in catalogue() if not row.takes_graphs], ids=lambda r: r.name)
def test_both_panels_take_the_same_types(row: Row) -> None:
    @settings(max_examples=1)
    @given(operator_cases(row.op_type, row.since, domain=row.domain))
    def agree(case: Case) -> None:
        for other in variations(case):
            expected, actual = on_reference(other), on_engine(other)
            assert not difference(expected, actual), other
            if ", input " in str(expected.error):  # the signature's word, not the operator's own
                # Arity comes first on the right panel.
                assert isinstance(actual.error, (diptych.InvalidTypeError, diptych.InvalidModelError)), other

    agree()


def test_a_model_refuses_a_type() -> None:
    """As its only fault shows when it runs: ends are computed, so nothing but the node's signature tells their type."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13]> g (float[N] x, int64[1] s, int64[1] e) => (float[M] y)'
        "{ small = Cast<to=6>(e) y = Slice(x, s, small) }"
    )
    session = diptych.InferenceSession(model.SerializeToString())
    with pytest.raises(diptych.InvalidTypeError, match=r"Slice.*Slice-13, input 'ends': got tensor\(int32\)"):
        session.run(None, {"x": X[0], "s": ints(0), "e": ints(1)})
