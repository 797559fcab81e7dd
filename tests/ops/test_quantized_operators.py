"""Quantized operators of com.microsoft: bit by bit what they are composed of, and beside ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.ops.composition import (
    Nodes,
    both,
    byte_weights,
    case,
    composed,
    near_onnxruntime,
    numbers,
    onnxruntime_on,
    same_bits,
)

from diptych.testing.values import Array

TYPES = (np.uint8, np.int8)


def integers(dtype: Any, *shape: int, seed: int = 0) -> Array:
    ends = np.iinfo(dtype)
    random = np.random.default_rng(seed + sum(shape))
    return random.integers(ends.min, ends.max, shape, endpoint=True).astype(dtype)


def scale(value: float) -> Array:
    return np.array(value, np.float32)


def near(op_type: str, inputs: list[Any], attributes: dict[str, Any], graph: Nodes, share: float = 0.0) -> None:
    """Bit by bit the graph, whose inputs are i0, i1 ..; a `share` may be one quantum from ONNX Runtime's."""
    one = case(op_type, inputs, attributes)
    [y] = both(one)
    feeds = {f"i{i}": value for i, value in enumerate(inputs)}
    same_bits([y], composed(graph, feeds, ["y"]))
    [peer] = onnxruntime_on(one)
    assert (y.dtype, y.shape) == (peer.dtype, peer.shape)
    apart = np.abs(y.astype(int) - peer.astype(int))
    assert apart.max(initial=0) <= 1
    assert np.count_nonzero(apart) <= share * apart.size


SHAPES = [((2, 3, 40), (2, 3, 40)), ((2, 3, 40), (40,)), ((3, 1), (2, 1, 40)), ((40,), ()), ((0, 4), (4,))]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["Add", "Mul"])
def test_binary(dtype: Any, shapes: Any, name: str) -> None:
    """Sums of quantized numbers lie between two integers often, where ONNX Runtime's other order decides otherwise."""
    a, b = (integers(dtype, *shape, seed=i) for i, shape in enumerate(shapes))
    zeros = [np.array(value, dtype) for value in (3, 9, 5)]
    inputs = [a, scale(0.05), zeros[0], b, scale(0.03), zeros[1], scale(0.081), zeros[2]]
    graph = [
        ("DequantizeLinear", "i0 i1 i2", "a", {}),
        ("DequantizeLinear", "i3 i4 i5", "b", {}),
        (name, "a b", "c", {}),
        ("QuantizeLinear", "c i6 i7", "y", {}),
    ]
    near(f"QLinear{name}", inputs, {}, graph, 0.05)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("name", "attributes"),
    [("Sigmoid", {}), ("LeakyRelu", {}), ("LeakyRelu", {"alpha": 0.3})],
    ids=str,
)
def test_unary(dtype: Any, name: str, attributes: dict[str, Any]) -> None:
    every = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype).reshape(2, 128)
    inputs = [every, scale(0.05), np.array(3, dtype), scale(0.0041), np.array(7, dtype)]
    graph = [
        ("DequantizeLinear", "i0 i1 i2", "a", {}),
        (name, "a", "b", attributes),
        ("QuantizeLinear", "b i3 i4", "y", {}),
    ]
    near(f"QLinear{name}", inputs, attributes, graph, 0.01)


POOLS: list[tuple[str, dict[str, Any]]] = [
    ("GlobalAveragePool", {}),
    ("AveragePool", {"kernel_shape": [2, 2]}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER"}),
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("name", "attributes"), POOLS, ids=str)
@pytest.mark.parametrize("last", [0, 1])
def test_pools(dtype: Any, name: str, attributes: dict[str, Any], last: int) -> None:
    x = integers(dtype, 2, 5, 7, 6)
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if last else x
    inputs = [x, scale(0.05), np.array(3, dtype), scale(0.021), np.array(7, dtype)]
    graph = [
        ("DequantizeLinear", "i0 i1 i2", "a", {}),
        ("Transpose", "a", "b", {"perm": [0, 3, 1, 2] if last else [0, 1, 2, 3]}),
        (name, "b", "c", attributes),
        ("Transpose", "c", "d", {"perm": [0, 2, 3, 1] if last else [0, 1, 2, 3]}),
        ("QuantizeLinear", "d i3 i4", "y", {}),
    ]
    near(f"QLinear{name}", inputs, {**attributes, "channels_last": last}, graph, 0.06)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("axis", "opset"), [(-1, 13), (1, 13), (0, 22), (1, 11), (2, 12)])
def test_softmax(dtype: Any, axis: int, opset: int) -> None:
    inputs = [integers(dtype, 2, 3, 9), scale(0.05), np.array(3, dtype), scale(1 / 256), np.array(0, dtype)]
    softmax: Nodes = [("Softmax", "a", "b", {"axis": axis})]
    if opset < 13:
        lead = int(np.prod((2, 3, 9)[:axis]))
        flat, back = np.array([lead, -1]), np.array([2, 3, 9])
        softmax = [("Reshape", "a flat", "m", {}), ("Softmax", "m", "n", {"axis": 1}), ("Reshape", "n back", "b", {})]
    graph = [("DequantizeLinear", "i0 i1 i2", "a", {}), *softmax, ("QuantizeLinear", "b i3 i4", "y", {})]
    one = case("QLinearSoftmax", inputs, {"axis": axis, "opset": opset})
    [y] = both(one)
    feeds = {f"i{i}": value for i, value in enumerate(inputs)}
    if opset < 13:
        feeds |= {"flat": flat, "back": back}
    same_bits([y], composed(graph, feeds, ["y"]))
    [peer] = onnxruntime_on(one)
    assert np.abs(y.astype(int) - peer.astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [1, -2])
def test_concat(dtype: Any, axis: int) -> None:
    a, b = integers(dtype, 2, 3, 4), integers(dtype, 2, 5, 4)
    zeros = [np.array(value, dtype) for value in (2, 1, 4)]
    inputs = [scale(0.05), zeros[0], a, scale(0.031), zeros[1], b, scale(0.06), zeros[2]]
    graph = [
        ("DequantizeLinear", "i2 i3 i4", "a", {}),
        ("DequantizeLinear", "i5 i6 i7", "b", {}),
        ("Concat", "a b", "c", {"axis": axis}),
        ("QuantizeLinear", "c i0 i1", "y", {}),
    ]
    near("QLinearConcat", inputs, {"axis": axis}, graph)
    near("QLinearConcat", inputs[:5], {"axis": axis}, [graph[0], ("QuantizeLinear", "a i0 i1", "y", {})])


@pytest.mark.parametrize("dtype", TYPES)
def test_where(dtype: Any) -> None:
    condition = np.random.default_rng(0).random((2, 1, 4)) > 0.5
    zeros = [np.array(value, dtype) for value in (2, 1, 4)]
    x, y = integers(dtype, 2, 3, 4), integers(dtype, 3, 1)
    inputs = [condition, x, scale(0.031), zeros[0], y, scale(0.06), zeros[1], scale(0.05), zeros[2]]
    graph = [
        ("DequantizeLinear", "i1 i2 i3", "a", {}),
        ("DequantizeLinear", "i4 i5 i6", "b", {}),
        ("Where", "i0 a b", "c", {}),
        ("QuantizeLinear", "c i7 i8", "y", {}),
    ]
    near("QLinearWhere", inputs, {}, graph)


# Products that become numbers


def columns(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.uniform(0.01, 0.1, shape).astype(np.float32)


@pytest.mark.parametrize("types", [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8), (np.int8, np.uint8)])
@pytest.mark.parametrize("b_shape", [(33, 20), (2, 33, 20)])
@pytest.mark.parametrize("scales", [(), (1,), (20,), (2, 1, 20)], ids=str)
@pytest.mark.parametrize("zeros", ["none", "one", "columns"])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("dynamic", [False, True])
def test_products(types: Any, b_shape: Any, scales: Any, zeros: str, with_bias: bool, dynamic: bool) -> None:
    if len(scales) > len(b_shape) or (dynamic and types[0] == np.int8):
        return
    random = np.random.default_rng(len(scales) + 10 * len(b_shape))
    b = byte_weights(integers(types[1], *b_shape))
    b_scale = columns(random, scales)
    each = (1, 20) if len(b_shape) == 2 else (2, 1, 20)
    b_zero = {"none": None, "one": integers(types[1]), "columns": integers(types[1], *each)}[zeros]
    bias = numbers(20) if with_bias else None
    feeds: dict[str, Any] = {"b": b, "b_scale": b_scale}
    if dynamic:
        feeds["x"] = numbers(2, 3, 33)
        name, inputs = "DynamicQuantizeMatMul", [feeds["x"], b, b_scale, b_zero, bias]
        graph: list[Any] = [("DynamicQuantizeLinear", "x", "a a_scale a_zero", {})]
    else:
        feeds |= {"a": integers(types[0], 2, 3, 33), "a_scale": scale(0.03), "a_zero": integers(types[0])}
        name = "MatMulIntegerToFloat"
        inputs = [feeds["a"], b, feeds["a_scale"], b_scale, feeds["a_zero"], b_zero, bias]
        graph = []
    feeds |= {} if b_zero is None else {"b_zero": b_zero}
    graph += [
        ("MatMulInteger", "a b a_zero" + ("" if b_zero is None else " b_zero"), "acc", {}),
        ("Cast", "acc", "sum", {"to": 1}),
        ("Mul", "a_scale b_scale", "scale", {}),
        ("Mul", "sum scale", "scaled" if with_bias else "y", {}),
    ]
    if with_bias:
        feeds["bias"] = bias
        graph.append(("Add", "scaled bias", "y", {}))
    one = case(name, inputs, {})
    same_bits(both(one), composed(graph, feeds, ["y"]))
    wrong = len(b_shape) == 3 and scales == (20,) and with_bias  # what it gives there is no sum with the bias
    if types != (np.int8, np.uint8) and not wrong:
        near_onnxruntime(one, 1e-6)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("shapes", [((4,), (4,)), ((4,), (4, 5)), ((2, 3, 4), (4,)), ((4,), (2, 4, 5))], ids=str)
def test_products_of_vectors(dynamic: bool, shapes: Any) -> None:
    b = byte_weights(integers(np.int8, *shapes[1]))
    if dynamic:
        near_onnxruntime(case("DynamicQuantizeMatMul", [numbers(*shapes[0]), b, scale(0.02)], {}), 1e-6)
    else:
        near_onnxruntime(case("MatMulIntegerToFloat", [integers(np.uint8, *shapes[0]), b, scale(0.1), scale(0.2)], {}))
