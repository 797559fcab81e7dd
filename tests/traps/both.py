"""One operator on both panels: the answer they agree on, or that both refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diptych.testing import Case, difference, on_engine, on_reference


def answers(
    op_type: str,
    inputs: Sequence[Any],
    attributes: Mapping[str, Any] | None = None,
    *,
    opset: int,
    domain: str = "",
    n_outputs: int = 1,
) -> list[Any]:
    """The outputs, equal on both panels bit by bit. `inputs`: arrays, lists of arrays for sequences, None if absent."""
    case = Case(op_type, domain, opset, tuple(inputs), dict(attributes or {}), n_outputs)
    expected = on_reference(case)
    assert expected.error is None, expected.error
    problem = difference(expected, on_engine(case))
    assert not problem, problem
    return list(expected.outputs)


def answer(op_type: str, inputs: Sequence[Any], attributes: Mapping[str, Any] | None = None, **how: Any) -> Any:
    """The first output."""
    return answers(op_type, inputs, attributes, **how)[0]


def refusals(
    op_type: str, inputs: Sequence[Any], attributes: Mapping[str, Any] | None = None, *, opset: int, domain: str = ""
) -> tuple[Exception, Exception]:
    """The errors with which both panels refuse, the reference's first."""
    case = Case(op_type, domain, opset, tuple(inputs), dict(attributes or {}), 1)
    expected, actual = on_reference(case), on_engine(case)
    assert expected.error is not None, f"the reference gives {expected!r}"
    assert actual.error is not None, f"the engine gives {actual!r}"
    return expected.error, actual.error


def same(actual: Any, expected: Any, dtype: Any = None) -> None:
    """Dtype, shape and bits, or both NaN. `expected`: an array, or numbers of `dtype` (by default `actual`'s)."""
    wanted = np.asarray(expected, dtype=actual.dtype if dtype is None else dtype)
    assert (actual.dtype, actual.shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype.kind == "f":
        assert np.array_equal(np.signbit(actual), np.signbit(wanted)) or np.isnan(wanted).any()
        assert np.array_equal(actual, wanted, equal_nan=True), (actual, wanted)
    else:
        assert np.array_equal(actual, wanted), (actual, wanted)
