"""MatMulNBits and GatherBlockQuantized beside ONNX Runtime, beside their parts, and with constant weights."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings

import diptych
import diptych_reference
from diptych.testing import Case, difference, engine_paths, on_engine, on_reference
from diptych.testing.blocks import pack, quantize_blocks
from diptych.testing.cases import operator_cases
from diptych.testing.oracles.base import gamma
from diptych.testing.oracles.nbits import weights_of
from diptych.testing.panels import Outcome
from diptych.testing.values import Array

onnxruntime.set_default_logger_severity(4)
MICROSOFT = "com.microsoft"


def with_weights(case: Case, first: int = 1) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The case as a model whose inputs from `first` on are initializers, and what is left to feed."""
    model, feeds = case.model(), case.feeds()
    weights = {name for name in feeds if int(name[1:]) >= first}
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(feeds[name], name) for name in sorted(weights))
    return model, {name: value for name, value in feeds.items() if name not in weights}


def beside(case: Case) -> tuple[Array, Array]:
    """What both panels agree on, and ONNX Runtime's answer for constant weights."""
    expected = on_reference(case)
    assert not difference(expected, on_engine(case)), case
    model, feeds = with_weights(case)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [ours], [peer] = expected.outputs, session.run(None, feeds)
    assert (ours.dtype, ours.shape) == (peer.dtype, peer.shape), case
    return ours, peer


def product(
    random: np.random.Generator, shape: tuple[int, ...], n: int, attributes: dict[str, int], zeros: str, dtype: Any
) -> Case:
    """A product of A [*shape] with weights that were quantized from normal numbers."""
    k, bits = shape[-1], attributes["bits"]
    weights = random.normal(size=(k, n)).astype(np.float32)
    b, scales, points = quantize_blocks(weights, attributes["block_size"], bits, symmetric=zeros == "default")
    if zeros == "floats":
        points = random.uniform(0, 1 << bits, scales.shape).astype(dtype)
    a, bias = random.normal(size=shape).astype(dtype), random.normal(size=n).astype(dtype)
    inputs = (a, b, scales.astype(dtype), points, None, bias)
    return Case("MatMulNBits", MICROSOFT, 1, inputs, {"K": k, "N": n, **attributes}, 1)


def magnitudes(case: Case) -> Array:
    """The sum of the magnitudes of all that is added, codes and zero points taken apart."""
    codes, zero, scale, _ = weights_of(case)
    a, bias = np.abs(case.inputs[0].astype(np.longdouble)), np.abs(case.inputs[5].astype(np.longdouble))
    return np.asarray(np.matmul(a, ((codes + np.abs(zero)) * np.abs(scale)).T) + bias)


@pytest.mark.parametrize("level", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("zeros", ["default", "packed", "floats"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_products_beside_onnxruntime(level: int, bits: int, zeros: str, dtype: Any) -> None:
    """Both add K terms in orders of their own; at level 4 both quantize A to the same levels."""
    random = np.random.default_rng(bits)
    for shape, n, block in (((3, 100), 20, 32), ((1, 300), 33, 32), ((2, 3, 64), 17, 64), ((50,), 5, 32)):
        if zeros == "floats" and bits == 8:  # which ONNX Runtime has not
            continue
        attributes = {"bits": bits, "block_size": block, "accuracy_level": level}
        case = product(random, shape, n, attributes, zeros, dtype)
        ours, peer = beside(case)
        bound = 2 * gamma(shape[-1] + 8, np.float32) * magnitudes(case)
        if dtype == np.float16:  # each rounds once more
            bound = bound + np.spacing(np.abs(peer)).astype(np.longdouble)
        assert (np.abs(ours.astype(np.longdouble) - peer) <= bound).all(), case


def test_the_largest_blocks_are_quantized_like_the_others() -> None:
    """From 1024 on the difference of a dot product and zero points needs more than 24 bits."""
    random = np.random.default_rng(4)
    for block, bits, zeros in itertools.product((256, 1024, 4096), (4, 8), ("default", "packed")):
        case = product(
            random, (2, 5000), 18, {"bits": bits, "block_size": block, "accuracy_level": 4}, zeros, np.float32
        )
        assert not difference(on_reference(case), on_engine(case))


@pytest.mark.parametrize("data", [np.uint8, ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_gathering_beside_onnxruntime(data: Any, dtype: Any) -> None:
    random = np.random.default_rng(5)
    shape = (6, 5, 32)
    for bits, zeros, axes in itertools.product((2, 4, 8), (False, True), ((0, 2), (1, 2), (2, 0), (1, 1), (-3, -1))):
        packed = data == np.uint8
        if (packed and axes not in ((0, 2), (-3, -1))) or (not packed and bits != 4):
            continue
        logical = (*shape[:2], shape[2] * 8 // bits) if packed else shape
        blocked = axes[1] % 3
        by_block = [-(-n // 16) if axis == blocked else n for axis, n in enumerate(logical)]
        scales = random.uniform(0.1, 1, by_block).astype(dtype)
        inputs = [random.integers(0, 256, shape).astype(np.uint8), random.integers(-7, 8, (2, 3)), scales]
        if not packed:
            inputs[0] = (inputs[0] % 16 - (8 if data == ml_dtypes.int4 else 0)).astype(np.int8).astype(data)
        if zeros and data != ml_dtypes.float8_e4m3fn:
            points = random.integers(0, 1 << bits if packed else 8, by_block).astype(np.uint8)
            inputs.append(pack(points, bits) if packed else points.astype(data))
        attributes = {"block_size": 16, "gather_axis": axes[0], "quantize_axis": axes[1], "bits": bits}
        case = Case("GatherBlockQuantized", MICROSOFT, 1, tuple(inputs), attributes, 1)
        expected = on_reference(case)
        assert not difference(expected, on_engine(case)), case
        model, _ = with_weights(dataclasses.replace(case, inputs=tuple(inputs)), 0)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        assert not difference(expected, Outcome(tuple(session.run(None, {})))), case


@pytest.mark.parametrize("op_type", ["MatMulNBits", "GatherBlockQuantized"])
def test_constant_weights_give_the_same_bits(op_type: str) -> None:
    """Packed when the session is made, and when it runs; the first input of a product is what is fed."""

    @settings(max_examples=40)
    @given(operator_cases(op_type, 1, domain=MICROSOFT))
    def agree(case: Case) -> None:
        expected = on_reference(case)
        for first in (1, 2):
            model, feeds = with_weights(case, first)
            for isa, threads in engine_paths():
                options = diptych.SessionOptions()
                options.isa, options.intra_op_num_threads = isa, threads
                session = diptych.InferenceSession(model.SerializeToString(), options)
                for _ in range(2):
                    assert not difference(expected, Outcome(tuple(session.run(None, feeds)))), f"{isa}: {case}"

    agree()


def test_two_products_share_weights() -> None:
    """One B, with scales of their own."""
    random = np.random.default_rng(3)
    case = product(random, (2, 40), 24, {"bits": 4, "block_size": 16, "accuracy_level": 0}, "packed", np.float32)
    model, feeds = with_weights(case)
    twin = model.graph.node.add()
    twin.CopyFrom(model.graph.node[0])
    twin.input[2], twin.output[0] = "others", "y1"
    others = random.uniform(0.1, 1, case.inputs[2].shape).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(others, "others"))
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info("y1"))
    got = diptych.InferenceSession(model.SerializeToString()).run(None, feeds)
    second = dataclasses.replace(case, inputs=(*case.inputs[:2], others, *case.inputs[3:]))
    for one, y in zip((case, second), got, strict=True):
        assert not difference(on_reference(one), Outcome((y,)))


def dequantized_first(random: np.random.Generator, kind: str, shape: tuple[int, int, int], block: int) -> Any:
    """A model of blocked DequantizeLinear of constant weights and MatMul, its feeds, and the weights in float32."""
    m, k, n = shape
    dtype = np.dtype(getattr(ml_dtypes, kind, None) or kind)
    ends = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    codes = random.integers(int(ends.min), int(ends.max), (k, n), endpoint=True).astype(np.int16).astype(dtype)
    scales = random.uniform(0.01, 0.1, (-(-k // block), n)).astype(np.float32)
    points = random.integers(0, 4, scales.shape).astype(np.int16).astype(dtype)
    nodes = [
        onnx.helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["dense"], axis=0, block_size=block),
        onnx.helper.make_node("MatMul", ["a", "dense"], ["y"]),
    ]
    weights = {"w": codes, "scale": scales, "zero": points}
    graph = onnx.helper.make_graph(
        nodes,
        "weights",
        [onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [m, k])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [m, n])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    spread = [np.repeat(value.astype(np.float32), block, axis=0)[:k] for value in (scales, points)]
    dense = (codes.astype(np.float32) - spread[1]) * spread[0]
    return model, {"a": random.normal(size=(m, k)).astype(np.float32)}, dense


@pytest.mark.parametrize("kind", ["int4", "uint4", "int8", "uint8"])
def test_dequantizing_first_gives_the_bits_of_both_steps(kind: str) -> None:
    """Whatever is folded or packed: as MatMul of weights that somebody else has dequantized."""
    random = np.random.default_rng(8)
    for shape, block in (((1, 70, 33), 16), ((5, 64, 20), 32), ((3, 100, 70), 64)):
        model, feeds, dense = dequantized_first(random, kind, shape, block)
        expected = Outcome(tuple(diptych_reference.run_operator("MatMul", [feeds["a"], dense])))
        for session in (
            diptych.InferenceSession(model.SerializeToString()),
            diptych_reference.ReferenceSession(model),
        ):
            assert not difference(expected, Outcome(tuple(session.run(None, feeds))))


def test_both_ways_of_writing_a_product_give_the_same_bits() -> None:
    """MatMulNBits, and DequantizeLinear with MatMul, of the same weights of float."""
    random = np.random.default_rng(9)
    model, feeds, _ = dequantized_first(random, "uint4", (4, 96, 21), 32)
    weights = {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}
    codes, zero = (weights[name].astype(np.uint8).T for name in ("w", "zero"))
    b = pack(codes.reshape(21, 3, 32), 4)
    inputs = (feeds["a"], b, np.ascontiguousarray(weights["scale"].T), pack(zero, 4))
    case = Case("MatMulNBits", MICROSOFT, 1, inputs, {"K": 96, "N": 21, "block_size": 32}, 1)
    expected = Outcome(tuple(diptych.InferenceSession(model.SerializeToString()).run(None, feeds)))
    assert not difference(expected, on_engine(case))
    assert not difference(expected, on_reference(case))


@pytest.mark.parametrize(("bits", "symmetric"), list(itertools.product((2, 4, 8), (True, False))))
def test_quantized_weights_are_near(bits: int, symmetric: bool) -> None:
    """Each within half a step, of its block's scale."""
    weights = np.random.default_rng(1).normal(size=(50, 7))
    b, scales, zeros = quantize_blocks(weights, 16, bits, symmetric=symmetric)
    case = Case(
        "MatMulNBits", MICROSOFT, 1, (np.eye(50, dtype=np.float32), b, scales, zeros),
        {"K": 50, "N": 7, "block_size": 16, "bits": bits}, 1,
    )  # fmt: skip
    [back] = on_reference(case).outputs
    steps = np.repeat(scales, 16, axis=1)[:, :50].T
    # A zero point is an integer: an end may be missed by half a step more.
    assert (np.abs(back - weights) <= steps * (0.501 if symmetric else 1.01)).all()
