"""Operators of com.microsoft that stand for several of ONNX: bit by bit those, and beside ONNX Runtime."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from tests.ops.composition import both, case, composed, near_onnxruntime, numbers, same_bits

import diptych
import diptych_reference
from diptych.testing import Case
from diptych.testing.values import Array, onnx_number

FLOATS = (np.float32, np.float16, ml_dtypes.bfloat16)


# SkipLayerNormalization and SkipSimplifiedLayerNormalization

SKIPS = [((2, 3, 40), (2, 3, 40)), ((2, 3, 40), (1, 3, 40)), ((2, 3, 40), (3, 40)), ((6, 40), (6, 40))]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shapes", SKIPS)
@pytest.mark.parametrize(("with_beta", "with_bias"), [(False, False), (False, True), (True, False), (True, True)])
def test_skip_layer_normalization(dtype: Any, shapes: Any, with_beta: bool, with_bias: bool) -> None:
    x, skip = (numbers(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes))
    gamma, beta, bias = (numbers(40, dtype=dtype, seed=i) for i in range(3))
    feeds = {"x": x, "skip": skip, "gamma": gamma}
    feeds |= {"beta": beta} if with_beta else {}
    nodes = [("Add", "x skip", "a" if with_bias else "s", {})]
    if with_bias:
        feeds["bias"] = bias
        nodes.append(("Add", "a bias", "s", {}))
    inputs = [x, skip, gamma, beta if with_beta else None, bias if with_bias else None]
    attributes = {"axis": -1, "epsilon": 1e-3}
    nodes.append(("LayerNormalization", "s gamma beta" if with_beta else "s gamma", "y mean inverse", attributes))
    one = case("SkipLayerNormalization", inputs, {"epsilon": 1e-3}, 4)
    same_bits(both(one), composed(nodes, feeds, ["y", "mean", "inverse", "s"]))
    if dtype != ml_dtypes.bfloat16:  # it has no kernel
        near_onnxruntime(one, 1e-5 if dtype == np.float32 else 4e-3)
    if not with_beta:
        nodes[-1] = ("RMSNormalization", "s gamma", "y", attributes)
        one = case("SkipSimplifiedLayerNormalization", [*inputs[:3], inputs[4]], {"epsilon": 1e-3}, 4)
        y, mean, inverse, total = both(one)
        same_bits([y, total], composed(nodes, feeds, ["y", "s"]))
        assert mean.shape == inverse.shape == (*x.shape[:-1], 1)
        assert not mean.any()
        if dtype != ml_dtypes.bfloat16:
            near_onnxruntime(one, 1e-5 if dtype == np.float32 else 4e-3)


def test_skip_layer_normalization_with_few_outputs_in_place() -> None:
    """The sum waits in the output where nobody asks for it, also where the output lies in an input's place."""
    x, skip, gamma = numbers(2, 3, 40), numbers(3, 40), numbers(40)
    [y, _, _, _] = both(case("SkipLayerNormalization", [x, skip, gamma], {}, 4))
    [alone] = both(case("SkipLayerNormalization", [x, skip, gamma], {}))
    assert alone.tobytes() == y.tobytes()
    nodes = [("Neg", "x", "n", {}), ("Neg", "n", "m", {})]
    graph = helper.make_graph(
        [helper.make_node(op, i.split(), o.split()) for op, i, o, _ in nodes]
        + [helper.make_node("SkipLayerNormalization", ["m", "m", "g"], ["y", "", "", "s"], domain="com.microsoft")],
        "g",
        [helper.make_tensor_value_info("x", 1, [2, 3, 40]), helper.make_tensor_value_info("g", 1, [40])],
        [helper.make_empty_tensor_value_info(name) for name in "ys"],
    )
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    feeds = {"x": x, "g": gamma}
    same_bits(
        diptych.InferenceSession(model).run(None, feeds), diptych_reference.ReferenceSession(model).run(None, feeds)
    )


# SimplifiedLayerNormalization


@pytest.mark.parametrize("axis", [-1, 1, 0])
@pytest.mark.parametrize("types", [(np.float32,) * 2, (np.float16,) * 2, (np.float16, np.float32), (np.float64,) * 2])
def test_simplified_layer_normalization(axis: int, types: Any) -> None:
    x = numbers(2, 3, 40, dtype=types[0])
    scale = numbers(*x.shape[axis:], dtype=types[1])
    one = Case("SimplifiedLayerNormalization", "", 1, (x, scale), {"axis": axis, "epsilon": 1e-3}, 2)
    y, inverse = both(one)
    plain = [("RMSNormalization", "x scale", "y", {"axis": axis, "epsilon": 1e-3})]
    same_bits([y], composed(plain, {"x": x, "scale": scale}, ["y"]))
    wide = x.astype(np.float64)
    axes = tuple(range(axis % 3, 3))
    expected = 1 / np.sqrt((wide * wide).mean(axis=axes, keepdims=True) + np.float32(1e-3))
    assert inverse.dtype == np.float32
    np.testing.assert_allclose(inverse, expected, rtol=1e-6)
    near_onnxruntime(one, 3e-3 if np.float16 in types else 1e-6)


# EmbedLayerNormalization


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("segments", ["ids", "table", "none"])
@pytest.mark.parametrize("positions", ["none", "one", "each"])
@pytest.mark.parametrize("with_mask", [False, True])
def test_embed_layer_normalization(dtype: Any, segments: str, positions: str, with_mask: bool) -> None:
    random = np.random.default_rng(1)

    def integers(rows: int, *shape: int) -> Array:
        return random.integers(0, rows, shape).astype(np.int32)

    ids, segment_ids = integers(9, 2, 5), integers(2, 2, 5)
    tables = {name: numbers(rows, 24, dtype=dtype) for name, rows in (("words", 9), ("positions", 7), ("segments", 2))}
    gamma, beta = numbers(24, dtype=dtype), numbers(24, dtype=dtype, seed=5)
    position_ids = {"none": None, "one": integers(7, 1, 5), "each": integers(7, 2, 5)}[positions]
    mask = integers(3, 2, 5) if with_mask else None
    one = case(
        "EmbedLayerNormalization",
        [
            ids,
            segment_ids if segments == "ids" else None,
            tables["words"],
            tables["positions"],
            tables["segments"] if segments != "none" else None,
            gamma,
            beta,
            mask,
            position_ids,
        ],
        {"epsilon": 1e-3},
        3,
    )
    y, index, total = both(one)
    at = np.arange(5, dtype=np.int32)[None] if position_ids is None else position_ids
    feeds = {**tables, "ids": ids, "at": at, "segment_ids": segment_ids if segments == "ids" else 0 * ids}
    feeds |= {"gamma": gamma, "beta": beta}
    nodes = [
        ("Gather", "words ids", "w", {}),
        ("Gather", "positions at", "p", {}),
        ("Add", "w p", "s" if segments == "none" else "a", {}),
        ("Gather", "segments segment_ids", "g", {}),
    ]
    if segments != "none":
        nodes.append(("Add", "a g", "s", {}))
    nodes.append(("LayerNormalization", "s gamma beta", "y", {"epsilon": 1e-3}))
    same_bits([y, total], composed(nodes, feeds, ["y", "s"]))
    assert index.tolist() == ([0, 0] if mask is None else (mask == 1).sum(axis=1).tolist())
    near_onnxruntime(one, 2e-6 if dtype == np.float32 else 4e-3)


# Activations


@pytest.mark.parametrize("dtype", [*FLOATS, np.float64])
def test_gelus(dtype: Any) -> None:
    x, bias = numbers(3, 5, 40, dtype=dtype), numbers(40, dtype=dtype)
    feeds, add = {"x": x, "bias": bias}, ("Add", "x bias", "s", {})
    tanh = {"approximate": "tanh"}
    fused = [
        (case("Gelu", [x], {}), [("Gelu", "x", "y", {})]),
        (case("BiasGelu", [x, bias], {}), [add, ("Gelu", "s", "y", {})]),
        (case("FastGelu", [x, bias], {}), [add, ("Gelu", "s", "y", tanh)]),
        (case("FastGelu", [x], {}), [("Gelu", "x", "y", tanh)]),
    ]
    for one, nodes in fused:
        same_bits(both(one), composed(nodes, feeds, ["y"]))
        if dtype == np.float32:
            near_onnxruntime(one, 1e-6)
        if dtype == np.float16:
            near_onnxruntime(one, 2e-3)


@pytest.mark.parametrize("dtype", [*FLOATS, np.float64])
@pytest.mark.parametrize("attributes", [{}, {"alpha": 1.0}, {"alpha": -0.5}, {"alpha": 0.0}])
def test_quick_gelu(dtype: Any, attributes: dict[str, Any]) -> None:
    """Where nothing is rounded between, it is Mul, Sigmoid, Mul too; a factor of 1 needs no Mul."""
    x = numbers(3, 5, 40, dtype=dtype)
    one = case("QuickGelu", [x], attributes)
    alpha = attributes.get("alpha", 1.702)
    [y] = both(one)
    same_bits([y], both(Case("Swish", "", 24, (x,), {"alpha": alpha}, 1)))
    if dtype in (np.float32, np.float64):
        nodes = [("Mul", "x alpha", "a", {}), ("Sigmoid", "a", "g", {}), ("Mul", "x g", "y", {})]
        same_bits([y], composed(nodes, {"x": x, "alpha": np.float32(alpha).astype(dtype).reshape(1)}, ["y"]))
        near_onnxruntime(one, 1e-6)


# FusedMatMul

NAMES = ("transA", "transB", "transBatchA", "transBatchB")
COINS = (0, 1)
MATRICES = [((a, b, 0, 0), ()) for a, b in itertools.product(COINS, COINS)]
BATCHES = [(flags, batch) for flags in itertools.product(COINS, repeat=4) for batch in ((2,), (2, 3))]


@pytest.mark.parametrize("dtype", [*FLOATS, np.float64])
@pytest.mark.parametrize(("flags", "batch"), MATRICES + BATCHES, ids=str)
@pytest.mark.parametrize("alpha", [1.0, 0.375])
def test_fused_matmul(dtype: Any, flags: tuple[int, ...], batch: tuple[int, ...], alpha: float) -> None:
    feeds, nodes, names = {}, [], []
    rank = len(batch) + 2
    for i, (name, shape) in enumerate((("a", (*batch, 5, 33)), ("b", (*batch, 33, 20)))):
        turned, moved = flags[i], flags[2 + i]
        shape = (*shape[:-2], shape[-1], shape[-2]) if turned else shape
        feeds[name] = numbers(*((shape[-2], *shape[:-2], shape[-1]) if moved else shape), dtype=dtype, seed=i)
        axes = list(range(rank))
        axes = [*axes[1:-1], 0, axes[-1]] if moved else axes
        axes = [*axes[:-2], axes[-1], axes[-2]] if turned else axes
        nodes.append(("Transpose", name, f"{name}t", {"perm": axes}))
        names.append(f"{name}t")
    nodes.append(("MatMul", " ".join(names), "p", {}))
    if alpha == 1.0:
        nodes.append(("Identity", "p", "y", {}))
    else:
        nodes.append(("Mul", "p alpha", "y", {}))
        feeds["alpha"] = np.array(alpha, dtype)
    one = case("FusedMatMul", [feeds["a"], feeds["b"]], {"alpha": alpha, **dict(zip(NAMES, flags, strict=True))})
    same_bits(both(one), composed(nodes, feeds, ["y"]))
    if dtype in (np.float32, np.float64):
        near_onnxruntime(one, 1e-6)


@pytest.mark.parametrize("flags", [(0, 0, 1, 0), (1, 0, 0, 1), (0, 1, 1, 1), (1, 1, 0, 1)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_fused_matmul_of_weights(flags: tuple[int, ...], dtype: Any) -> None:
    """A constant right operand is packed once, and not mistaken for the same weight read in another way."""
    a, weight = numbers(4, 4, 4, dtype=dtype), numbers(4, 4, 4, dtype=dtype, seed=3)
    attributes: dict[str, Any] = dict(zip(NAMES, flags, strict=True))
    nodes = [
        helper.make_node("FusedMatMul", ["a", "w"], ["y"], domain="com.microsoft", **attributes),
        helper.make_node("MatMul", ["a", "w"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("a", onnx_number(a.dtype), [4, 4, 4])],
        [helper.make_empty_tensor_value_info(name) for name in "yz"],
        [helper.make_tensor("w", onnx_number(weight.dtype), [4, 4, 4], weight.tobytes(), raw=True)],
    )
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    feeds = {"a": a}
    same_bits(
        diptych.InferenceSession(model).run(None, feeds), diptych_reference.ReferenceSession(model).run(None, feeds)
    )
