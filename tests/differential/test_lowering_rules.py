"""The rules of docs/quantization.md, one by one, on both panels: what becomes what, what stays, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.differential.quantized_graphs import Build, S, became, conv, gemm, lowered, matmul

import diptych
import diptych_reference

HALF = np.float32(0.5)
STEPS = np.array([1, 2, 3], np.float32) * np.float32(0.01) * S


def test_conv_between_q_and_dq() -> None:
    b = Build()
    bias = b.bias(S * (np.float32(0.01) * np.arange(1, 4)).astype(np.float32), 3)
    b.quantize(conv(b, bias))
    [entry] = lowered(b.model("y"))
    assert entry["nodes_out"] == [("p", "QLinearConv")]
    assert [name for name, _ in entry["nodes_in"]] == ["xd", "wd", "bd", "p", "y"]
    assert (entry["meaning"], entry["graph"], entry["reason"]) == ("integer", "", "")


@pytest.mark.parametrize(
    ("kind", "zero", "expected"),
    [
        ("Relu", 0, "QLinearConv"),
        ("Relu", 3, "QLinearConv Max"),
        ("Clip", 0, "QLinearConv Min"),
        ("Clip", 3, "QLinearConv Max Min"),
        ("Sigmoid", 0, "ConvInteger Cast Mul"),
    ],
)
def test_activations_before_q(kind: str, zero: int, expected: str) -> None:
    b = Build()
    bounds = [b.constant("low", np.float32(0)), b.constant("high", np.float32(3))] if kind == "Clip" else []
    b.quantize(b.node(kind, [conv(b), *bounds], "a"), zero=zero)
    assert became(b.model("y")) == expected


def test_relu6_is_subsumed_where_6_is_the_end_of_the_type() -> None:
    b = Build()
    ends = [b.constant("low", np.float32(0)), b.constant("high", np.float32(6))]
    b.quantize(b.node("Clip", [conv(b), *ends], "a"), zero=0, scale=6 / 255)
    assert became(b.model("y")) == "QLinearConv"


def test_max_and_min_of_bytes_came_with_opset_12() -> None:
    b = Build(opset=11)
    b.quantize(b.node("Relu", [conv(b, axis=None)], "a"), zero=3)
    assert became(b.model("y")) == "ConvInteger Cast Mul"
    b = Build(opset=10)
    b.quantize(b.node("Clip", [conv(b, axis=None)], "a", min=0.0), zero=0)
    assert became(b.model("y")) == "QLinearConv"


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (STEPS, "ConvInteger Add Cast Mul"),
        (STEPS * np.float32(1 + 2.0**-22), "ConvInteger Add Cast Mul"),
        (STEPS * np.float32(1 + 2.0**-15), "ConvInteger Cast Mul Add"),
        (np.float32(0.01), "ConvInteger Cast Mul Add"),
    ],
)
def test_an_int32_bias_of_another_scale_is_one_of_floats(scale: Any, expected: str) -> None:
    b = Build()
    conv(b, b.bias(scale, 3, zero=True))
    assert became(b.model("p")) == expected


def test_a_bias_of_another_scale_counts_in_its_own() -> None:
    """ONNX Runtime's issue 24711: taken for one in the product's scale it would vanish."""
    b = Build()
    b.constants["b"] = np.array([1], np.int32)
    b.quantize(conv(b, b.bias(np.float32(100.0), 3)), scale=1.0, zero=0)
    model = b.model("y")
    assert lowered(model)[0]["nodes_out"][-1] == ("p/Add", "Add")
    zeros = {"x": np.zeros((1, 2, 4, 4), np.float32)}
    (y,) = diptych.InferenceSession(model.SerializeToString()).run(None, zeros)
    assert [y[0, 0].max(), y[0, 2].max()] == [0, 255]  # -150 * 100 and 50 * 100


def test_a_bias_of_floats() -> None:
    b = Build()
    b.quantize(conv(b, b.constant("bf", np.ones(3, np.float32))))
    assert became(b.model("y")) == "ConvInteger Cast Mul Add"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "QLinearMatMul"),
        ({"alpha": 0.5}, "alpha is not 1"),
        ({"beta": 2.0}, "beta is not 1"),
        ({"transA": 1}, "transA is not 0"),
    ],
)
def test_gemm(options: dict[str, Any], expected: str) -> None:
    b = Build()
    shape = [5, 4] if options.get("transA") else [4, 5]
    inputs = [b.activation(shape), b.weights((5, 3), axis=1)]
    b.quantize(b.node("Gemm", inputs, "p", **options))
    assert became(b.model("y")) == expected


def test_gemm_with_transposed_weights_and_an_int32_bias() -> None:
    b = Build()
    inputs = [b.activation([4, 5]), b.weights((3, 5), axis=0), b.bias(STEPS, 3)]
    b.node("Gemm", inputs, "p", transB=1)
    assert became(b.model("p")) == "Transpose MatMulInteger Add Cast Mul"


def test_a_transpose_between_dq_and_product() -> None:
    b = Build()
    turned = b.node("Transpose", [b.weights((3, 5), axis=0)], "t")
    b.quantize(b.node("MatMul", [b.activation([4, 5]), turned], "p"))
    assert became(b.model("y")) == "Transpose QLinearMatMul"


def test_weights_of_training_with_quantization() -> None:
    """Floats behind Q and DQ, their scale from a Constant node behind an Identity."""
    b = Build(opset=13)
    b.constant("wf", np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    b.nodes.append(helper.make_node("Constant", [], ["c"], "c", value_float=0.01))
    b.node("Identity", ["c"], "ws")
    b.constant("wz", np.int8(0))
    b.node("QuantizeLinear", ["wf", "ws", "wz"], "wq")
    weights = b.node("DequantizeLinear", ["wq", "ws", "wz"], "wd")
    b.quantize(b.node("MatMul", [b.activation([4, 5]), weights], "p"))
    assert became(b.model("y")) == "QLinearMatMul"


def test_other_readers_of_the_product_and_of_dq() -> None:
    """Then Q is not fused; what others read stays."""
    b = Build()
    b.quantize(matmul(b))
    b.node("Neg", ["p"], "n"), b.node("Neg", ["xd"], "m")
    assert became(b.model("y", "n", "m")) == "MatMulInteger Cast Mul"
    b = Build()
    b.quantize(matmul(b))
    assert became(b.model("y", "p")) == "MatMulInteger Cast Mul"
    assert became(b.model("y", "xd")) == "QLinearMatMul"


def test_products_of_two_activations() -> None:
    b = Build()
    left, right = b.activation([2, 4, 5]), b.activation([2, 5, 4], "z")
    b.quantize(b.node("MatMul", [left, right], "p"))
    assert became(b.model("y")) == "QLinearMatMul"


def stays_not_quantized(b: Build) -> None:
    b.inputs["x"] = (TensorProto.FLOAT, [4, 5])
    b.node("MatMul", ["x", b.weights((5, 3))], "p")


def stays_scale(b: Build) -> None:
    matmul(b)
    del b.constants["xs"]
    b.inputs["xs"] = (TensorProto.FLOAT, [])


def stays_overridable(b: Build) -> None:
    matmul(b)
    b.inputs["ws"] = (TensorProto.FLOAT, [3])


def stays_blocks(b: Build) -> None:
    b.activation([4, 6])
    b.constant("w", np.ones((6, 3), np.int8)), b.constant("ws", np.full((2, 3), 0.01, np.float32))
    b.node("MatMul", ["xd", b.node("DequantizeLinear", ["w", "ws"], "wd", axis=0, block_size=3)], "p")


def stays_int16(b: Build) -> None:
    b.node("MatMul", [b.activation([4, 5]), b.weights((5, 3), dtype=np.int16)], "p")


def stays_float16(b: Build) -> None:
    b.inputs["x"] = (TensorProto.UINT8, [4, 5])
    b.constant("s", np.float16(0.1))
    b.constant("w", np.ones((5, 3), np.uint8))
    left, right = b.node("DequantizeLinear", ["x", "s"], "xd"), b.node("DequantizeLinear", ["w", "s"], "wd")
    b.node("MatMul", [left, right], "p")


def stays_unknown(b: Build) -> None:
    b.inputs["x"] = (TensorProto.UINT8, [4, 5])
    b.constant("xs", S)
    b.node("Identity", ["x"], "i")
    b.node("MatMul", [b.node("DequantizeLinear", ["i", "xs"], "xd"), b.weights((5, 3))], "p")


def stays_other_axis(b: Build) -> None:
    matmul(b, axis=0)


def stays_negative(b: Build) -> None:
    matmul(b)
    b.constants["ws"] = -b.constants["ws"]


def stays_tiny(b: Build) -> None:
    matmul(b)
    b.constants["ws"] = np.full(3, 1e-37, np.float32)


def stays_long(b: Build) -> None:
    b.inputs["x"] = (TensorProto.FLOAT, [1, 33026])
    b.constant("xs", S), b.constant("xz", np.uint8(0)), b.constant("w", np.ones((33026, 1), np.uint8))
    b.node("QuantizeLinear", ["x", "xs", "xz"], "xq")
    left = b.node("DequantizeLinear", ["xq", "xs", "xz"], "xd")
    b.node("MatMul", [left, b.node("DequantizeLinear", ["w", "xs", "xz"], "wd")], "p")


def stays_transposed_conv(b: Build) -> None:
    b.node("ConvTranspose", [b.activation([1, 2, 4, 4]), b.weights((2, 3, 3, 3))], "p")


def stays_variable_weights(b: Build) -> None:
    b.node("Conv", [b.activation([1, 2, 4, 4]), b.activation([3, 2, 1, 1], "w")], "p")


def stays_variable_bias(b: Build) -> None:
    b.inputs["bias"] = (TensorProto.FLOAT, [3])
    gemm(b, "bias")


def stays_wide_bias(b: Build) -> None:
    gemm(b, b.constant("bias", np.ones((4, 3), np.float32)))


STAYS = {
    stays_not_quantized: "A is not quantized",
    stays_scale: "A has a scale that is no constant",
    stays_overridable: "B has a scale that is no constant",
    stays_blocks: "B is quantized in blocks",
    stays_int16: "B is int16",
    stays_float16: "A is not dequantized to float",
    stays_unknown: "A is of unknown type: give its DequantizeLinear a zero point",
    stays_other_axis: "B has scales along axis 0, which is not the output's",
    stays_negative: "B has a scale that is negative or not finite",
    stays_tiny: "the product of the scales of A and B is no normal number",
    stays_long: "sums of 33026 products may pass int32",
    stays_transposed_conv: "ONNX has no ConvTranspose of integers",
    stays_variable_weights: "W is no constant",
    stays_variable_bias: "the bias is no constant",
    stays_wide_bias: "the bias has shape [4, 3]",
}


@pytest.mark.parametrize(("build", "reason"), STAYS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_what_stays(build: Any, reason: str) -> None:
    b = Build()
    build(b)
    if build is stays_scale:
        model = b.model("p")
        content = model.SerializeToString()
        assert [entry["reason"] for entry in diptych.InferenceSession(content).lowering()] == [reason]
        assert [entry.reason for entry in diptych_reference.ReferenceSession(content).lowering] == [reason]
    else:
        assert became(b.model("p")) == reason
