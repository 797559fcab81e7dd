"""Activations: infinities and NaN as the formulas have them, ties, integers, one rounding of the 16-bit types."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.traps.both import answer, refusals, same

import diptych
import diptych_reference

INF, NAN = math.inf, math.nan
NARROW = [np.float16, ml_dtypes.bfloat16]


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def test_formulas_at_infinity() -> None:
    """`-inf * 0` and `inf / inf` are NaN; nothing is taken for its limit."""
    for op_type, opset in (("Gelu", 20), ("Mish", 18), ("Swish", 24)):
        same(answer(op_type, [floats(-INF, INF, NAN)], opset=opset), [NAN, INF, NAN])
    same(answer("Gelu", [floats(-INF, INF, NAN)], {"approximate": "tanh"}, opset=20), [NAN, INF, NAN])
    same(answer("Softsign", [floats(-INF, INF, NAN)], opset=22), [NAN, NAN, NAN])
    same(answer("Elu", [floats(-INF, INF, NAN)], {"alpha": 2.0}, opset=22), [-2, INF, NAN])
    same(answer("Celu", [floats(-INF, INF, NAN)], {"alpha": 2.0}, opset=12), [-2, INF, NAN])


def test_what_is_neither_above_nor_below_is_zero() -> None:
    """NaN is "otherwise" in ThresholdedRelu and Shrink; in PRelu it is not below 0."""
    same(answer("ThresholdedRelu", [floats(NAN, 1, 1.5, -2)], opset=22), [0, 0, 1.5, 0])
    same(answer("Shrink", [floats(NAN, -0.5, 0.5, -2, 2)], {"bias": 0.25}, opset=9), [0, 0, 0, -1.75, 1.75])
    same(answer("PRelu", [floats(NAN, -0.0, -3), floats(5)], opset=16), [NAN, -0.0, -15])


def test_shrink_of_integers_computes_in_binary64() -> None:
    x = np.array([-4, -2, -1, 0, 1, 2, 3, 4], np.int32)
    same(answer("Shrink", [x], {"lambd": 1.5, "bias": 1.5}, opset=9), [-2, 0, 0, 0, 0, 0, 1, 2])
    same(answer("Shrink", [np.array([0, 1, 2, 3, 4], np.uint8)], {"lambd": 1.5, "bias": 2.5}, opset=9), [0, 0, 0, 0, 1])
    same(answer("Shrink", [np.array([-128, 127], np.int8)], {"lambd": 1.0, "bias": -9.0}, opset=9), [-128, 127])


def test_shrink_without_bias_keeps_integers_that_binary64_lacks() -> None:
    large = 2**53 + 1
    same(answer("Shrink", [np.array([large, -large, 0])], opset=9), [large, -large, 0])


def test_prelu_broadcasts_one_way_and_before_opset_7_along_channels() -> None:
    x = -np.ones((1, 2, 2), np.float32)
    same(answer("PRelu", [x, floats(1, 2)], opset=6), [[[-1, -1], [-2, -2]]])
    same(answer("PRelu", [x, floats(1, 2)], opset=7), [[[-1, -2], [-1, -2]]])
    same(answer("PRelu", [np.array([-3, 2]), np.array([2, 2])], opset=9), [-6, 2])
    refusals("PRelu", [floats(1), floats(1, 2)], opset=16)
    refusals("PRelu", [-np.ones((1, 2, 3), np.float32), floats(1, 2, 3)], opset=6)


def test_swiglu_does_not_broadcast() -> None:
    refusals("SwiGLU", [np.ones((2, 3), np.float32), np.ones(3, np.float32)], opset=28)


def test_gelu_refuses_an_approximation_it_does_not_know() -> None:
    refusals("Gelu", [floats(1)], {"approximate": "sigmoid"}, opset=20)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize(
    ("op_type", "attributes", "opset"),
    [
        ("Gelu", {}, 20),
        ("Gelu", {"approximate": "tanh"}, 20),
        ("Mish", {}, 22),
        ("Swish", {"alpha": 1.7}, 24),
        ("Softsign", {}, 22),
        ("Selu", {}, 22),
        ("Celu", {"alpha": 0.7}, 28),
    ],
)
def test_16_bit_types_compute_in_binary32_and_round_once(
    op_type: str, attributes: dict[str, Any], opset: int, dtype: Any
) -> None:
    """Every number of the type: the answer is that of binary32, rounded."""
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    wide = answer(op_type, [x.astype(np.float32)], attributes, opset=opset)
    narrow = answer(op_type, [x], attributes, opset=opset)
    with np.errstate(all="ignore"):
        assert np.array_equal(narrow.astype(np.float32), wide.astype(dtype).astype(np.float32), equal_nan=True)


def test_gelu_for_large_negative_numbers() -> None:
    """The stated bound is absolute: where erf rounds to -1 the result is -0."""
    y = answer("Gelu", [floats(-5, -5.6, -6, -1e30)], opset=20)
    assert abs(float(y[0]) + 5 * 2.866515719e-7) <= 5 * 2.0**-22
    same(y[1:], [-0.0, -0.0, -0.0])


@pytest.mark.parametrize("op_type", ["BiasGelu", "FastGelu"])
@pytest.mark.parametrize(("x", "bias"), [((2, 8), (1,)), ((2, 8), (1, 8)), ((2, 8), ()), ((2, 8), (7,)), ((), (1,))])
def test_the_bias_of_gelu_does_not_broadcast(op_type: str, x: tuple[int, ...], bias: tuple[int, ...]) -> None:
    left, right = refusals(
        op_type, [np.ones(x, np.float32), np.ones(bias, np.float32)], opset=1, domain="com.microsoft"
    )
    assert isinstance(left, diptych_reference.ShapeError)
    assert isinstance(right, diptych.ShapeError)


def test_gelus_of_com_microsoft() -> None:
    """Gelu and BiasGelu mean erf, FastGelu tanh; QuickGelu's factor is 1.702."""
    x = np.array([-3, -1, 0.5, 2], np.float32)
    how: dict[str, Any] = {"opset": 1, "domain": "com.microsoft"}
    erf, tanh = answer("Gelu", [x], opset=20), answer("Gelu", [x], {"approximate": "tanh"}, opset=20)
    assert (erf != tanh).any()
    same(answer("Gelu", [x], **how), erf)
    same(answer("BiasGelu", [x - 1, np.ones_like(x)], **how), erf)
    same(answer("FastGelu", [x - 1, np.ones_like(x)], **how), tanh)
    same(answer("FastGelu", [x], **how), tanh)
    same(answer("QuickGelu", [x], **how), answer("Swish", [x], {"alpha": 1.702}, opset=24))


def test_the_biased_number_is_rounded() -> None:
    """In float16 2049 is 2048."""
    x, bias = np.array([2048], np.float16), np.array([1], np.float16)
    for op_type in ("BiasGelu", "FastGelu"):
        same(answer(op_type, [x, bias], opset=1, domain="com.microsoft"), np.array([2048], np.float16))
