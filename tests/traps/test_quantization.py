"""Traps of quantization: when to round, which scale belongs to what, and what comes out."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.traps.both import answer, answers, refusals, same

from diptych.testing.values import Array, numpy_dtype, onnx_number

U8, I8, F32 = np.uint8, np.int8, np.float32
HALVES = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 3.5], F32)


def quantize(x: Any, scale: Any, *zero: Any, opset: int = 25, **attributes: Any) -> Array:
    scale = np.asarray(scale, F32) if not isinstance(scale, np.ndarray) else scale
    return np.asarray(answer("QuantizeLinear", [np.asarray(x), scale, *zero], attributes, opset=opset))


def test_rounding_comes_before_the_zero_point() -> None:
    """To even; after an odd zero point is added, half of these would round the other way."""
    for opset in (10, 13, 19, 21, 23, 25):
        same(quantize(HALVES, 1, np.array(1, U8), opset=opset), [1, 3, 3, 1, 0, 5], U8)
        same(quantize(HALVES, 1, np.array(-1, I8), opset=opset), [-1, 1, 1, -1, -3, 3], I8)


def test_quantized_numbers_saturate() -> None:
    x = np.array([300, -300, math.inf, -math.inf, math.nan, 3e38], F32)
    same(quantize(x, 1, np.array(5, U8)), [255, 0, 255, 0, 5, 255], U8)
    same(quantize(x, 1, np.array(5, I8)), [127, -128, 127, -128, 5, 127], I8)


def test_the_shape_of_the_scale_says_what_it_belongs_to() -> None:
    """One value for all, one an index of the axis, or one a block; then the axis has fewer."""
    x = np.arange(12, dtype=F32).reshape(3, 4)
    same(quantize(x, np.array([2], F32)), np.rint(x / 2), U8)
    rows, columns = np.array([1, 2, 4], F32), np.array([1, 2, 4, 8], F32)
    same(quantize(x, rows, axis=0), np.rint(x / rows[:, None]), U8)
    same(quantize(x, columns), np.rint(x / columns), U8)  # axis 1 is the default
    same(quantize(x, columns, axis=-1), np.rint(x / columns), U8)
    blocks = np.array([[1, 2], [2, 4], [4, 8]], F32)
    same(quantize(x, blocks, axis=1, block_size=3), np.rint(x / np.repeat(blocks, 3, axis=1)[:, :4]), U8)
    tall = np.array([[1, 2, 4, 8], [2, 4, 8, 16]], F32)
    same(quantize(x, tall, axis=0, block_size=2), np.rint(x / np.repeat(tall, 2, axis=0)[:3]), U8)
    for wrong in ((columns, {"axis": 0}), (blocks, {"axis": 1, "block_size": 4}), (blocks, {})):
        refusals("QuantizeLinear", [x, wrong[0]], wrong[1], opset=25)


def test_dequantizing_has_the_same_scales() -> None:
    x, zero = np.arange(12, dtype=U8).reshape(3, 4), np.array([[1, 2], [2, 4], [4, 8]], U8)
    scale = np.array([[0.5, 2], [1, 4], [2, 0.25]], F32)
    found = answer("DequantizeLinear", [x, scale, zero], {"axis": 1, "block_size": 2}, opset=25)
    same(found, (x.astype(F32) - np.repeat(zero, 2, 1)) * np.repeat(scale, 2, 1), F32)


@pytest.mark.parametrize("name", ["uint8", "int8", "uint16", "int16", "float8e4m3fn", "float8e5m2", "int4", "uint4"])
def test_the_output_type(name: str) -> None:
    """That of the zero point; else output_dtype; else uint8; where both are given they have to agree."""
    dtype, x = numpy_dtype(name), np.array([1.0, 2.0], F32)
    zero = np.zeros((), dtype)
    assert quantize(x, 1, zero).dtype == dtype
    assert quantize(x, 1, output_dtype=onnx_number(dtype)).dtype == dtype
    assert quantize(x, 1, zero, output_dtype=onnx_number(dtype)).dtype == dtype
    assert quantize(x, 1).dtype == U8
    other = onnx_number(I8 if dtype != I8 else U8)
    refusals("QuantizeLinear", [x, np.ones((), F32), zero], {"output_dtype": other}, opset=25)


def test_the_division_has_the_type_of_the_scale() -> None:
    """Of y_scale, unless `precision` says another: 2049 is no float16, and becomes 2048."""
    x, one = np.array([2049, 2051], F32), np.array(1, np.float16)
    zero = np.zeros((), np.int16)
    same(quantize(x, one, zero), [2048, 2052], np.int16)
    same(quantize(x, one, zero, precision=onnx_number(F32)), [2049, 2051], np.int16)
    same(quantize(x, one.astype(F32), zero), [2049, 2051], np.int16)
    same(quantize(x, one.astype(F32), zero, precision=onnx_number(np.float16)), [2048, 2052], np.int16)


def dynamic(x: Any) -> tuple[Array, Array, Array]:
    y, scale, zero_point = answers("DynamicQuantizeLinear", [np.asarray(x, F32)], opset=11, n_outputs=3)
    return y, scale, zero_point


def test_the_dynamic_range_holds_zero() -> None:
    """Also of numbers of one sign: their zero point is then an end of the type."""
    y, scale, zero = dynamic([5, 20])
    same(scale, np.float32(20) / np.float32(255), F32)
    same(zero, 0, U8)
    same(y, [64, 255], U8)
    y, scale, zero = dynamic([-5, -20])
    same(scale, np.float32(20) / np.float32(255), F32)
    same(zero, 255, U8)
    same(y, [191, 0], U8)


def test_dynamic_quantization_of_zeros() -> None:
    """The formula's scale would be 0: it is 1."""
    for x in ([0, -0.0, 0], []):
        y, scale, zero = dynamic(x)
        same(scale, 1, F32)
        same(zero, 0, U8)
        same(y, np.zeros(len(x)), U8)


def product(
    a: Any, b: Any, y_zero: Array, scales: tuple[Any, Any, Any] = (1, 1, 1), zeros: Any = None, opset: int = 21
) -> Array:
    """QLinearMatMul; zero points of A and B are 0 where none are given."""
    a, b = np.asarray(a), np.asarray(b)
    s = [np.asarray(scale, getattr(scale, "dtype", F32)) for scale in scales]
    given = [np.zeros(scale.shape, m.dtype) for scale, m in zip(s, (a, b), strict=False)] if zeros is None else zeros
    inputs = [a, s[0], given[0], b, s[1], given[1], s[2], y_zero]
    return np.asarray(answer("QLinearMatMul", inputs, opset=opset))


ODD = np.array([[1], [2], [3], [5], [7]], U8)
ONE = np.array([[1]], U8)


@pytest.mark.parametrize("opset", [10, 21])
def test_requantization_rounds_to_even_before_the_zero_point(opset: int) -> None:
    """0.5, 1, 1.5, 2.5 and 3.5 steps."""
    same(product(ODD, ONE, np.array(1, U8), (0.5, 1, 1), opset=opset), [[1], [2], [3], [3], [5]], U8)
    same(product(ODD, ONE, np.array(-1, I8), (1, 1, 2), opset=opset), [[-1], [0], [1], [1], [3]], I8)


def test_requantization_saturates() -> None:
    a, b = np.array([[255], [100], [0]], U8), np.array([[-128]], I8)
    zeros = [np.array(100, U8), np.array(0, I8)]
    same(product(a, b, np.array(3, U8), zeros=zeros), [[0], [3], [255]], U8)
    same(product(a, b, np.array(3, I8), zeros=zeros), [[-128], [3], [127]], I8)
    same(product(a, b, np.array(3, U8), (math.nan, 1, 1), zeros), [[3]] * 3, U8)  # NaN counts as 0
    same(product(a, b, np.array(3, U8), (1, 1, 0.0), zeros), [[0], [3], [255]], U8)  # 0 * inf too


def test_scales_and_zero_points_of_rows_and_columns() -> None:
    """One a row of A, one a column of B; with batch axes too."""
    a, b = np.array([[1, 2], [3, 4]], U8), np.array([[1, 2], [3, 4]], U8)
    rows, columns = np.array([1, 2], F32), np.array([1, 0.5], F32)
    zeros = [np.array([0, 1], U8), np.array([0, 1], U8)]
    wide = (a - [[0], [1]]) @ (b - np.array([0, 1])) * (rows[:, None] * columns)
    same(product(a, b, np.array(3, U8), (rows, columns, 1), zeros), np.rint(wide) + 3, U8)
    batch = [np.stack([a, a + 1]), np.stack([b, b])]
    scales = np.stack([rows, rows * 2])[:, :, None], columns[None, None, :]
    zeros = [np.array([[[0], [1]], [[1], [2]]], U8), np.array([[[0, 1]]], U8)]
    wide = (batch[0] - zeros[0].astype(int)) @ (batch[1] - zeros[1].astype(int)) * scales[0] * scales[1]
    same(product(*batch, np.array(3, U8), (*scales, 1), zeros), np.rint(wide) + 3, U8)


@pytest.mark.parametrize(
    ("scales", "zeros"),
    [
        ((np.ones(3, F32), 1, 1), None),  # A has two rows
        ((1, np.ones((2, 1), F32), 1), None),  # a column of scales for the columns of B
        ((1, 1, np.ones(2, F32)), None),
        ((np.ones(2, F32), 1, 1), [np.zeros((), U8), np.zeros((), U8)]),  # other shapes
    ],
)
def test_scales_that_do_not_fit(scales: Any, zeros: Any) -> None:
    a = np.ones((2, 2), U8)
    s = [np.asarray(scale, F32) for scale in scales]
    given = zeros or [np.zeros(scale.shape, U8) for scale in s]
    refusals("QLinearMatMul", [a, s[0], given[0], a, s[1], given[1], s[2], np.zeros((), U8)], opset=21)


def test_scales_of_half_precision_are_widened() -> None:
    """Their product is not rounded to their type: 0.1 * 0.1 of float16, times 10000."""
    tenth = np.array(0.1, np.float16)
    a, b = np.full((1, 100), 10, U8), np.full((100, 1), 10, U8)
    y = product(a, b, np.array(0, U8), (tenth, tenth, np.array(1, np.float16)))
    same(y, [[100]], U8)
    fine = product(a, b, np.array(0, U8), (tenth, tenth, np.array(0.5, np.float16)))
    same(fine, [[int(np.rint(float(tenth) ** 2 * 1e4 / 0.5))]], U8)


@pytest.mark.parametrize("name", ["float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"])
def test_products_of_float8(name: str) -> None:
    """Computed in binary32; results beyond the greatest number become it, NaN stays."""
    dtype = numpy_dtype(name)
    a, b = np.array([[1.5, -2], [0.25, 8]], F32), np.array([[2, 1], [0.5, -4]], F32)
    zeros = [np.zeros((), dtype), np.array(0.5, dtype)]
    found = product(a.astype(dtype), b.astype(dtype), np.array(1, dtype), zeros=zeros)
    same(found.astype(F32), (a @ (b - 0.5) + 1).astype(dtype).astype(F32))
    steps = product(a.astype(dtype), b.astype(dtype), np.array(1, I8), zeros=zeros)
    same(steps, np.rint(a @ (b - 0.5)) + 1, I8)
    mixed = product(np.array([[3, 250]], U8), b.astype(dtype), np.array(0, U8))
    same(mixed, np.clip(np.array([[3, 250]]) @ b, 0, 255), U8)
    top = float(ml_dtypes.finfo(dtype).max)
    great = np.array([[top], [-top], [math.nan]], F32).astype(dtype)
    found = product(great, np.array([[16]], F32).astype(dtype), np.array(0, dtype))
    same(found.astype(F32), [[top], [-top], [math.nan]])


def convolve(
    x: Any, w: Any, b: Any = None, *, w_scale: Any = 1.0, w_zero: Any = 0, x_zero: int = 0, **how: Any
) -> Array:
    scales = [np.array(v, F32) for v in (how.pop("x_scale", 1.0), w_scale, how.pop("y_scale", 1.0))]
    y_zero = how.pop("y_zero", np.array(0, U8))
    inputs = [x, scales[0], np.array(x_zero, x.dtype), w, scales[1], np.array(w_zero, w.dtype), scales[2], y_zero, b]
    return np.asarray(answer("QLinearConv", inputs, how, opset=10))


def test_a_quantized_convolution_pads_with_the_zero_point() -> None:
    x, w = np.full((1, 1, 2), 7, U8), np.array([[[1, 1, 1]]], U8)
    same(convolve(x, w, x_zero=5, pads=[1, 1]), [[[4, 4]]], U8)
    same(convolve(x, w, x_zero=7, pads=[1, 1], y_zero=np.array(9, U8)), [[[9, 9]]], U8)


def test_a_quantized_convolution_has_scales_a_channel() -> None:
    """Of the weights, with their zero points; the bias counts in x_scale * w_scale."""
    x = np.arange(8, dtype=U8).reshape(1, 2, 4)
    w = np.array([[[1], [2]], [[3], [4]], [[5], [6]]], I8)
    scale, zero, bias = np.array([0.5, 1, 0.25], F32), np.array([1, 2, 3], I8), np.array([3, -10, 100], np.int32)
    acc = np.einsum("mc,nct->nmt", w[:, :, 0] - zero[:, None].astype(int), x.astype(int) - 3) + bias[None, :, None]
    for y_zero in (np.array(1, U8), np.array(-1, I8)):
        ends = np.iinfo(y_zero.dtype)
        steps = np.rint(acc * (scale[None, :, None] * 2 / 4)) + int(y_zero)
        found = convolve(x, w, bias, w_scale=scale, w_zero=zero, x_zero=3, x_scale=2.0, y_scale=4.0, y_zero=y_zero)
        same(found, np.clip(steps, ends.min, ends.max), y_zero.dtype)


def test_a_quantized_convolution_of_groups_and_many_channels() -> None:
    """Each output channel has its own scale whatever the blocks they are computed in."""
    random = np.random.default_rng(5)
    for group, channels, out in ((1, 5, 37), (3, 4, 51), (20, 1, 40)):
        x = random.integers(0, 256, (2, group * channels, 6, 5)).astype(U8)
        w = random.integers(-128, 128, (out // group * group, channels, 1, 1)).astype(I8)
        scale = random.uniform(0.01, 0.02, len(w)).astype(F32)
        found = convolve(x, w, w_scale=scale, w_zero=np.zeros(len(w), I8), x_zero=128, group=group, y_scale=5.0)
        each = np.split(x.astype(int) - 128, group, axis=1), np.split(w[:, :, 0, 0].astype(int), group)
        acc = np.concatenate([np.einsum("mc,nchw->nmhw", v, u) for u, v in zip(*each, strict=True)], axis=1)
        factor = (np.float32(1) * scale / np.float32(5))[None, :, None, None]
        same(found, np.clip(np.rint(acc.astype(F32) * factor), 0, 255), U8)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (1, np.ones(2, F32)),
        (2, np.zeros(2, U8)),
        (4, np.ones(2, F32)),
        (6, np.ones(2, F32)),
        (8, np.zeros(2, np.int32)),
    ],
)
def test_parameters_of_a_convolution_that_do_not_fit(place: int, value: Array) -> None:
    inputs: list[Any] = [
        *(np.ones((1, 1, 3), U8), np.array(1, F32), np.array(0, U8)),
        *(np.ones((3, 1, 1), U8), np.array(1, F32), np.array(0, U8)),
        *(np.array(1, F32), np.array(0, U8), np.zeros(3, np.int32)),
    ]
    assert answer("QLinearConv", inputs, opset=10).shape == (1, 3, 3)
    inputs[place] = value
    refusals("QLinearConv", inputs, opset=10)


# com.microsoft

MS: dict[str, Any] = {"opset": 1, "domain": "com.microsoft"}
UNIT = np.array(1, F32)


def test_an_absent_zero_point_is_zero() -> None:
    """Of int8 too, not the middle of the type."""
    x = np.array([-3, 0, 5], I8)
    same(answer("QLinearAdd", [x, UNIT, None, x, UNIT, None, UNIT], **MS), np.array([-6, 0, 10], I8))
    same(answer("QLinearMul", [x, UNIT, None, x, UNIT, None, UNIT, None], **MS), np.array([9, 0, 25], I8))
    same(answer("QLinearLeakyRelu", [x, UNIT, None, UNIT], {"alpha": 1.0}, **MS), x)
    half = np.array(0.5, F32)
    same(answer("QLinearSigmoid", [np.array([0, 100], U8), UNIT, None, half], **MS), np.array([1, 2], U8))
    same(answer("QLinearSoftmax", [x, UNIT, None, UNIT, np.array(7, I8)], {"opset": 13}, **MS), np.array([7, 7, 8], I8))


def test_quantized_results_saturate() -> None:
    top = np.array([127, -128], I8)
    same(answer("QLinearAdd", [top, UNIT, None, top, UNIT, None, UNIT], **MS), top)
    same(answer("QLinearMul", [top, UNIT, None, top, UNIT, None, UNIT], **MS), np.array([127, 127], I8))


def test_quantized_pools_count_as_average_pool() -> None:
    """Also where the last window hangs over the padded input: ONNX Runtime counts that there."""
    x = np.arange(1, 7, dtype=U8).reshape(1, 1, 6)
    pool = {"kernel_shape": [3], "strides": [2], "pads": [1, 1], "ceil_mode": 1, "count_include_pad": 1}
    exact = answer("AveragePool", [x.astype(F32)], pool, opset=22)
    tenth = np.array(1 / 16, F32)
    quantized = answer("QLinearAveragePool", [x, UNIT, None, tenth], pool, **MS)
    same(quantized, np.rint(exact * 16).astype(U8))


def test_channels_last() -> None:
    x = np.array([[[1, 10], [3, 30]]], U8)  # [N, size, C]
    zero = np.array(0, U8)
    parameters = [UNIT, zero, UNIT, zero]
    pool = {"kernel_shape": [2], "channels_last": 1}
    same(answer("QLinearAveragePool", [x, *parameters], pool, **MS), np.array([[[2, 20]]], U8))
    same(answer("QLinearGlobalAveragePool", [x, *parameters], {"channels_last": 1}, **MS), np.array([[[2, 20]]], U8))
    same(answer("QLinearGlobalAveragePool", [x, *parameters], **MS), np.array([[[6], [16]]], U8))


def test_quantized_softmax_has_the_meaning_of_its_opset() -> None:
    x, zero = np.zeros((1, 2, 4), U8), np.array(0, U8)
    inputs = [x, UNIT, zero, np.array(1 / 256, F32), zero]
    same(answer("QLinearSoftmax", inputs, {"opset": 13, "axis": 1}, **MS), np.full(x.shape, 128, U8))
    same(answer("QLinearSoftmax", inputs, {"opset": 12, "axis": 1}, **MS), np.full(x.shape, 32, U8))
    same(answer("QLinearSoftmax", inputs, {"opset": 12}, **MS), np.full(x.shape, 64, U8))  # axis -1, not Softmax-11's 1
    refusals("QLinearSoftmax", inputs, {"opset": 0}, **MS)


def test_what_quantized_operators_refuse() -> None:
    x, zero, two = np.zeros((2, 3), U8), np.array(0, U8), np.ones(2, F32)
    for wrong in (two, UNIT.reshape(1, 1)):
        refusals("QLinearAdd", [x, wrong, zero, x, UNIT, zero, UNIT, zero], **MS)
        refusals("QLinearSigmoid", [x, UNIT, zero, wrong, zero], **MS)
    for inputs in (
        [x, UNIT, zero, x, UNIT],
        [],
        [x.astype(I8), UNIT, zero.astype(I8)],
        [x, zero, UNIT],
        [x, UNIT, zero.astype(I8)],
        [x, UNIT, None],
    ):
        refusals("QLinearConcat", [UNIT, zero, *inputs], {"axis": 0}, **MS)


def test_what_products_of_integers_refuse() -> None:
    a, b = np.zeros((3, 4), U8), np.zeros((4, 5), I8)
    for a_scale in (np.ones(3, F32), np.ones(4, F32), np.ones((3, 1), F32), np.ones((1, 1), F32)):
        refusals("MatMulIntegerToFloat", [a, b, a_scale, UNIT], **MS)
    for b_scale in (np.ones(4, F32), np.ones((4, 1), F32), np.ones((1, 1, 5), F32)):
        refusals("MatMulIntegerToFloat", [a, b, UNIT, b_scale], **MS)
        refusals("DynamicQuantizeMatMul", [a.astype(F32), b, b_scale], **MS)
    for bias in (np.ones(1, F32), np.ones(4, F32), np.ones((1, 5), F32), np.ones((), F32)):
        refusals("MatMulIntegerToFloat", [a, b, UNIT, UNIT, None, None, bias], **MS)
        refusals("DynamicQuantizeMatMul", [a.astype(F32), b, UNIT, None, bias], **MS)
    refusals("MatMulIntegerToFloat", [a, b, UNIT, UNIT, np.zeros(3, U8)], **MS)


def test_dynamic_products_of_nothing_are_the_bias() -> None:
    """A sum over K = 0, which ONNX Runtime leaves unwritten."""
    a, b = np.zeros((2, 0), F32), np.zeros((0, 3), I8)
    bias = np.array([1, 2, 3], F32)
    same(answer("DynamicQuantizeMatMul", [a, b, UNIT, None, bias], **MS), np.tile(bias, (2, 1)))
    same(answer("DynamicQuantizeMatMul", [a, b, UNIT], **MS), np.zeros((2, 3), F32))


def test_all_of_a_has_one_scale() -> None:
    """Of all rows and matrices, and 0 is in its range."""
    a = np.array([[[1, 2]], [[254, 255]]], F32)
    b = np.array([[1], [1]], I8)
    same(answer("DynamicQuantizeMatMul", [a, b, UNIT], **MS), np.array([[[3]], [[509]]], F32))
