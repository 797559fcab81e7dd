"""Traps of matrix products and convolutions: lengths of zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.traps.both import answer, refusals, same

import diptych
import diptych_reference
from diptych.testing.values import numpy_dtype

F32, U8 = np.float32, np.uint8
TYPES = ("float", "double", "float16", "bfloat16", "int32", "uint64")


@pytest.mark.parametrize("name", TYPES)
def test_a_sum_of_nothing_is_zero(name: str) -> None:
    """K = 0: the product has its shape and is +0; Gemm is what it adds."""
    dtype = numpy_dtype(name)
    a, b = np.zeros((2, 0), dtype), np.zeros((0, 3), dtype)
    same(answer("MatMul", [a, b], opset=13), np.zeros((2, 3)), dtype)
    same(answer("MatMul", [a[0], b[:, 0]], opset=13), 0, dtype)
    bias = np.arange(1, 4).astype(dtype)
    same(answer("Gemm", [a, b, bias], opset=13).astype(float), np.tile([1.0, 2.0, 3.0], (2, 1)))
    same(answer("Gemm", [a, b], opset=13), np.zeros((2, 3)), dtype)


@pytest.mark.parametrize("name", TYPES)
def test_products_without_elements(name: str) -> None:
    dtype = numpy_dtype(name)
    for m, k, n in ((0, 3, 2), (2, 3, 0), (0, 0, 0), (0, 3, 0)):
        assert answer("MatMul", [np.ones((m, k), dtype), np.ones((k, n), dtype)], opset=13).shape == (m, n)
        assert answer("Gemm", [np.ones((m, k), dtype), np.ones((k, n), dtype)], opset=13).shape == (m, n)
    batch = answer("MatMul", [np.ones((0, 2, 3), dtype), np.ones((3, 4), dtype)], opset=13)
    assert batch.shape == (0, 2, 4)


def test_integer_products_of_nothing() -> None:
    """0; quantized ones are their zero point."""
    a, b = np.zeros((2, 0), U8), np.zeros((0, 3), U8)
    same(answer("MatMulInteger", [a, b, np.array(3, U8), np.array(4, U8)], opset=10), np.zeros((2, 3)), np.int32)
    scale, zero = np.array(1, F32), np.array(7, U8)
    same(answer("QLinearMatMul", [a, scale, zero, b, scale, zero, scale, zero], opset=21), np.full((2, 3), 7), U8)


@pytest.mark.parametrize(
    ("operand", "shape"),
    [(0, (3,)), (0, (1, 2)), (0, (2, 3)), (0, (1, 1, 1)), (1, (3,)), (1, (3, 1)), (1, (4, 1)), (1, (1, 1, 4))],
)
def test_zero_points_that_do_not_fit(operand: int, shape: tuple[int, ...]) -> None:
    """Of A [2, 3] one a row, of B [3, 4] one a column: those of the other kind are refused, not broadcast."""
    inputs: list[Any] = [np.ones((2, 3), U8), np.ones((3, 4), U8), np.ones((2, 1), U8), np.ones((1, 4), U8)]
    assert not answer("MatMulInteger", inputs, opset=10).any()
    inputs[2 + operand] = np.ones(shape, U8)
    refusals("MatMulInteger", inputs, opset=10)


@pytest.mark.parametrize("name", ["float", "double", "float16", "bfloat16"])
def test_convolutions_of_no_images(name: str) -> None:
    dtype = numpy_dtype(name)
    x, w = np.ones((0, 2, 5, 5), dtype), np.ones((3, 2, 3, 3), dtype)
    assert answer("Conv", [x, w], opset=22).shape == (0, 3, 3, 3)
    assert answer("ConvTranspose", [x, np.ones((2, 3, 3, 3), dtype)], opset=22).shape == (0, 3, 7, 7)


def test_convolutions_of_no_channels() -> None:
    """No input channels: the sum of nothing, and the bias."""
    x, w = np.ones((1, 0, 5), F32), np.ones((3, 0, 2), F32)
    same(answer("Conv", [x, w, np.array([1, 2, 3], F32)], opset=22), np.repeat([[[1], [2], [3]]], 4, axis=2), F32)
    integers = answer("ConvInteger", [x.astype(U8), w.astype(U8), np.array(3, U8)], opset=10)
    same(integers, np.zeros((1, 3, 4)), np.int32)
    scale, zero = np.array(1, F32), np.array(7, U8)
    inputs = [x.astype(U8), scale, zero, w.astype(U8), scale, zero, scale, zero, np.array([1, -2, 3], np.int32)]
    same(answer("QLinearConv", inputs, opset=10), np.repeat([[[8], [5], [10]]], 4, axis=2), U8)
    empty = [v[:0] if v.shape == (1, 0, 5) else v for v in inputs]
    assert answer("QLinearConv", empty, opset=10).shape == (0, 3, 4)


# FusedMatMul of com.microsoft

FUSED: dict[str, Any] = {"opset": 1, "domain": "com.microsoft"}


def test_fused_matmul_does_not_transpose_vectors() -> None:
    """And a transposed matrix times a vector is just that, which ONNX Runtime gets wrong."""
    matrix, vector = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 10], np.float32)
    product = np.array([30, 41, 52], np.float32)
    same(answer("FusedMatMul", [vector, matrix], {"transA": 1}, **FUSED), product)
    same(answer("FusedMatMul", [vector, matrix.T.copy()], {"transA": 1, "transB": 1}, **FUSED), product)
    same(answer("FusedMatMul", [matrix, vector], {"transA": 1}, **FUSED), product)
    same(answer("FusedMatMul", [vector, vector], {"transA": 1, "transB": 1}, **FUSED), np.float32(101))


@pytest.mark.parametrize(("a", "b"), [((2, 3), (3, 4)), ((2, 5, 3), (3, 4)), ((3,), (3,)), ((5, 2, 3), (1, 5, 3, 4))])
@pytest.mark.parametrize("name", ["transBatchA", "transBatchB"])
def test_fused_matmul_of_batches_needs_one_rank(a: tuple[int, ...], b: tuple[int, ...], name: str) -> None:
    left, right = refusals("FusedMatMul", [np.ones(a, np.float32), np.ones(b, np.float32)], {name: 1}, **FUSED)
    assert isinstance(left, diptych_reference.ShapeError)
    assert isinstance(right, diptych.ShapeError)


def test_fused_matmul_moves_the_first_axis_before_it_transposes() -> None:
    """A is [K, batch, M] where both are set; here only one order multiplies."""
    a = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    b = np.arange(40, dtype=np.float32).reshape(2, 4, 5)
    expected = np.einsum("kbm,bkn->bmn", a, b)
    same(answer("FusedMatMul", [a, b], {"transA": 1, "transBatchA": 1}, **FUSED), expected)


def test_fused_matmul_rounds_the_product_before_it_scales() -> None:
    """In float16 1 + 2^-11 is 1, and 3 times it is 3; rounded once it would be 3.002."""
    a, b = np.array([[1, 1]], np.float16), np.array([[1], [2**-11]], np.float16)
    same(answer("FusedMatMul", [a, b], {"alpha": 3.0}, **FUSED), np.array([[3]], np.float16))
    a, b = np.array([[1, 1]], np.float16), np.array([[1], [2**-10]], np.float16)
    same(answer("FusedMatMul", [a, b], {"alpha": 1.0}, **FUSED), np.array([[1 + 2**-10]], np.float16))


def test_fused_matmul_scales_an_empty_sum() -> None:
    a, b = np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)
    same(answer("FusedMatMul", [a, b], {"alpha": -2.0}, **FUSED), np.full((2, 3), -0.0, np.float32))
    same(answer("FusedMatMul", [a, b], **FUSED), np.zeros((2, 3), np.float32))
