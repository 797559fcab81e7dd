"""QLinearMatMul and QLinearConv beside ONNX Runtime: at most one quantum apart, which is what their roundings allow."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.ops.composition import byte_weights

from diptych.testing import Case, difference, on_engine, on_reference
from diptych.testing.values import Array

onnxruntime.set_default_logger_severity(4)
TYPES = (np.uint8, np.int8)
# Of the left operand, of the right one, whether that has scales a channel. ONNX Runtime has no int8 by uint8.
COMBINATIONS = [c for c in itertools.product(TYPES, TYPES, (False, True)) if c[:2] != (np.int8, np.uint8)]


def beside_onnxruntime(case: Case) -> None:
    expected = on_reference(case)
    assert not difference(expected, on_engine(case))
    session = onnxruntime.InferenceSession(case.model().SerializeToString(), providers=["CPUExecutionProvider"])
    [peer] = session.run(None, case.feeds())
    [ours] = expected.outputs
    assert (ours.dtype, ours.shape) == (peer.dtype, peer.shape)
    apart = np.abs(ours.astype(int) - peer.astype(int))
    assert apart.max(initial=0) <= 1
    assert np.count_nonzero(apart) <= apart.size // 100 + 1  # ties that another order of roundings breaks


def integers(random: np.random.Generator, dtype: Any, *shape: int) -> Array:
    ends = np.iinfo(dtype)
    return random.integers(ends.min, ends.max, shape, endpoint=True).astype(dtype)


def parameters(random: np.random.Generator, dtype: Any, *shape: int) -> tuple[Array, Array]:
    """A scale and a zero point."""
    return random.uniform(0.01, 0.1, shape).astype(np.float32), integers(random, dtype, *shape)


@pytest.mark.parametrize(("left", "right", "per_channel"), COMBINATIONS)
def test_qlinear_matmul(left: Any, right: Any, per_channel: bool) -> None:
    random = np.random.default_rng(1)
    for shape, k, n in (((7,), 5, 3), ((2, 33), 64, 47), ((1,), 300, 20)):
        a, b = integers(random, left, *shape, k), byte_weights(integers(random, right, k, n))
        zeros = parameters(random, right, n) if per_channel else parameters(random, right)
        y_scale = np.float32(0.05 * np.sqrt(k))
        inputs = [a, *parameters(random, left), b, *zeros, np.array(y_scale), integers(random, left).reshape(())]
        beside_onnxruntime(Case("QLinearMatMul", "", 10, tuple(inputs), {}, 1))


@pytest.mark.parametrize(("left", "right", "per_channel"), COMBINATIONS)
def test_qlinear_conv(left: Any, right: Any, per_channel: bool) -> None:
    random = np.random.default_rng(2)
    for group, c, m, kernel in ((1, 3, 8, (3, 3)), (1, 17, 33, (1, 1)), (4, 1, 1, (3, 3)), (2, 5, 4, (2, 3))):
        x, w = integers(random, left, 2, group * c, 9, 11), byte_weights(integers(random, right, group * m, c, *kernel))
        # ONNX Runtime wants one zero point for all channels.
        scale = random.uniform(0.01, 0.1, group * m if per_channel else ()).astype(np.float32)
        zero = np.full(scale.shape, 3, right)
        y_scale = np.array(0.05 * np.sqrt(c * kernel[0] * kernel[1]), np.float32)
        bias = random.integers(-5000, 5000, group * m).astype(np.int32)
        inputs = [x, *parameters(random, left), w, scale, zero, y_scale, integers(random, left).reshape(()), bias]
        attributes = {"group": group, "pads": [1, 0, 1, 2], "strides": [2, 1]}
        beside_onnxruntime(Case("QLinearConv", "", 10, tuple(inputs), attributes, 1))
