"""The judge itself: it must see what it is there to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

from .suite import MismatchError, cases, compare, judge


def test_every_cpu_case_is_there() -> None:
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
    if onnx.__version__ == "1.23.2":
        assert len(names) == 2033


def test_operators_inside_graphs_count() -> None:
    loop = next(case for case in cases() if case.name == "test_loop11")
    assert {("", "Loop"), ("", "Add"), ("", "Slice")} <= loop.operators


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (np.zeros(2, np.float32), np.zeros(2)),
        (np.zeros(2), np.zeros((2, 1))),
        (np.array([np.nan]), np.array([0.0])),
        (np.array([np.inf]), np.array([-np.inf])),
        (np.array([1e30]), np.array([np.inf])),
        (np.array([1.01], ml_dtypes.bfloat16), np.array([1.05], ml_dtypes.bfloat16)),
        (np.array([7], ml_dtypes.int4), np.array([6], ml_dtypes.int4)),
        (np.array([100000]), np.array([100001])),
        (np.array(["a"], object), np.array(["b"], object)),
        ([np.zeros(1)], [np.zeros(1), np.zeros(1)]),
        (None, np.zeros(1)),
        (np.zeros(1), None),
    ],
)
def test_differences_are_seen(actual: Any, expected: Any) -> None:
    compare(expected, expected, 1e-3, 1e-7, "same")
    with pytest.raises(MismatchError):
        compare(actual, expected, 1e-3, 1e-7, "output 0")


class Stubborn:
    """A panel that knows nothing."""

    name = "stubborn"
    unsupported = (NotImplementedError,)

    def prepare(self, model: bytes) -> Callable[[dict[str, Any]], Sequence[Any]]:
        raise NotImplementedError(len(model))


def test_what_a_panel_does_not_know_has_not_passed() -> None:
    by_name = {case.name: case for case in cases()}
    assert judge(Stubborn(), by_name["test_abs"]).outcome == "unsupported"
