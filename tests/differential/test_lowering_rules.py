"""The rules of docs/quantization.md, one by one, on both panels: what becomes what, what stays, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

import diptych
import diptych_reference
from diptych.compare import compare

OPSET = 21
S, HALF = np.float32(0.02), np.float32(0.5)


class Build:
    """A model in the making: `x` is quantized with scale 0.02 and zero point 128, `w` is int8 with scale 0.01."""

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: dict[str, tuple[int, list[int] | None]] = {}
        self.outputs: list[str] = []
        self.functions: list[onnx.FunctionProto] = []

    def node(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node named as its output."""
        self.nodes.append(helper.make_node(op_type, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """An initializer."""
        self.constants[name] = np.asarray(value)
        return name

    def activation(self, shape: list[int], name: str = "x", zero: int = 128) -> str:
        """An input, quantized and dequantized."""
        self.inputs[name] = (TensorProto.FLOAT, shape)
        self.constant("xs", S), self.constant("xz", np.uint8(zero))
        self.node("QuantizeLinear", [name, "xs", "xz"], f"{name}q")
        return self.node("DequantizeLinear", [f"{name}q", "xs", "xz"], f"{name}d")

    def weights(self, shape: tuple[int, ...], name: str = "w", axis: int | None = None, dtype: Any = np.int8) -> str:
        """Constant weights, dequantized; `axis`: a scale for each of its indices."""
        rng = np.random.default_rng(len(self.nodes))
        self.constant(name, rng.integers(-100, 100, shape).astype(dtype))
        n = () if axis is None else (shape[axis],)
        self.constant(f"{name}s", np.full(n, 0.01, np.float32) * np.arange(1, 1 + np.prod(n, dtype=int)).reshape(n))
        self.constants[f"{name}s"] = self.constants[f"{name}s"].astype(np.float32)
        self.constant(f"{name}z", np.zeros(n, dtype))
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", [name, f"{name}s", f"{name}z"], f"{name}d", **attributes)

    def bias(self, scale: Any, n: int, zero: bool = False) -> str:
        """An int32 bias, dequantized."""
        self.constant("b", np.arange(n, dtype=np.int32) * 100 - 150)
        inputs = ["b", self.constant("bs", np.asarray(scale, np.float32))]
        if zero:
            inputs.append(self.constant("bz", np.zeros(np.shape(scale), np.int32)))
        return self.node("DequantizeLinear", inputs, "bd", **({"axis": 0} if np.ndim(scale) else {}))

    def quantize(self, name: str, zero: int = 128, scale: float = 0.03, dtype: Any = np.uint8) -> str:
        """QuantizeLinear as an output."""
        self.constant("ys", np.float32(scale)), self.constant("yz", dtype(zero))
        return self.node("QuantizeLinear", [name, "ys", "yz"], "y")

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The model."""
        graph = helper.make_graph(
            self.nodes,
            "rules",
            [helper.make_tensor_value_info(name, *described) for name, described in self.inputs.items()],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("local", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=self.functions)


def lowered(model: onnx.ModelProto, seed: int = 0, **shapes: tuple[int, ...]) -> list[dict[str, Any]]:
    """What both panels say, after seeing that they say it alike and give the same bits; so does the lowered file."""
    content = model.SerializeToString()
    rng = np.random.default_rng(seed)
    feeds = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    if not feeds:
        for value in model.graph.input:
            shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            kind = np.dtype(dtype).kind
            feeds[value.name] = (rng.normal(size=shape) if kind == "f" else rng.integers(0, 100, shape)).astype(dtype)
    left = diptych_reference.ReferenceSession(content)
    right = diptych.InferenceSession(content)
    found = right.lowering()
    plain = [{**entry, **{key: tuple(entry[key]) for key in ("nodes_in", "nodes_out")}} for entry in found]
    assert plain == [vars(entry) for entry in left.lowering]
    expected = left.run(None, feeds)
    file = diptych_reference.lowered_model(content).SerializeToString()
    options = diptych.SessionOptions(quantized="float")
    for session in (
        right,
        diptych.InferenceSession(file),
        diptych.InferenceSession(file, options),
        diptych_reference.ReferenceSession(file, quantized="float"),
    ):
        for wanted, got in zip(expected, session.run(None, feeds), strict=True):
            assert not compare(wanted, got).problem
    inexact = diptych.InferenceSession(content, options).run(None, feeds)
    floats = diptych_reference.ReferenceSession(content, quantized="float").run(None, feeds)
    for wanted, got in zip(inexact, floats, strict=True):
        assert not compare(wanted, got).problem
    return found


def became(model: onnx.ModelProto) -> str:
    """Operators of the only product, or why it stays."""
    [entry] = lowered(model)
    return entry["reason"] or " ".join(op_type for _, op_type in entry["nodes_out"])


def conv(b: Build, *bias: str, axis: int | None = 0, **attributes: Any) -> str:
    """A convolution."""
    inputs = [b.activation([1, 2, 4, 4]), b.weights((3, 2, 3, 3), axis=axis), *bias]
    return b.node("Conv", inputs, "p", pads=[1, 1, 1, 1], **attributes)


def gemm(b: Build, *bias: str, **attributes: Any) -> str:
    """A Gemm."""
    inputs = [b.activation([4, 5]), b.weights((5, 3), axis=1), *bias]
    return b.node("Gemm", inputs, "p", **attributes)


def matmul(b: Build, axis: int | None = 1) -> str:
    """A MatMul."""
    return b.node("MatMul", [b.activation([4, 5]), b.weights((5, 3), axis=axis)], "p")


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


def test_unknown_settings_are_refused() -> None:
    content = Build().model().SerializeToString()
    with pytest.raises(diptych.InvalidInputError, match="quantized"):
        diptych.InferenceSession(content, diptych.SessionOptions(quantized="int"))
    with pytest.raises(diptych_reference.InvalidInputError, match="quantized"):
        diptych_reference.ReferenceSession(content, quantized="int")


LOOP = """<ir_version: 10, opset_import: ["": 21]>
loops (float[4, 5] x) => (float[?, ?] y)
<float xs = {0.02}, uint8 xz = {128}, int8[5, 5] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
 20, 21, 22, 23, 24, 25}, float ws = {0.01}, int64 trips = {3}, bool yes = {1}> {
  xq = QuantizeLinear(x, xs, xz)
  [loop] y = Loop <body = inner (int64 i, bool go, float[4, 5] a) => (bool on, float[4, 5] b) {
    on = Identity(go)
    aq = QuantizeLinear(a, xs, xz)
    ad = DequantizeLinear(aq, xs, xz)
    wd = DequantizeLinear(w, ws)
    [product] b = MatMul(ad, wd)
  }> (trips, yes, x)
  unused = Identity(xq)
}"""


def test_bodies_of_loops() -> None:
    """Their constants come from outside."""
    [entry] = lowered(parser.parse_model(LOOP))
    assert (entry["graph"], entry["node"]) == ("loop.body", "product")
    assert [op_type for _, op_type in entry["nodes_out"]] == ["MatMulInteger", "Cast", "Mul"]


FUNCTION = """<ir_version: 10, opset_import: ["": 21, "local": 1]>
calls (float[4, 5] x) => (y, n)
<float xs = {0.02}, uint8 xz = {128}, int8[5, 2] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, float[2] ws = {0.01, 0.02}> {
  [fake] q, d = local.Fake(x, xs, xz)
  wd = DequantizeLinear <axis = -1> (w, ws)
  [linear] p, n = local.Linear <seed = 1.5> (d, wd)
  [again] y, unused = local.Fake(p, xs, xz)
}
<domain: "local", opset_import: ["": 21]> Fake (x, s, z) => (q, d) {
  q = QuantizeLinear(x, s, z)
  d = DequantizeLinear(q, s, z)
}
<domain: "local", opset_import: ["": 21]> Linear <seed: float = 0.5> (a, b) => (p, n) {
  [product] p = MatMul(a, b)
  r = RandomNormalLike(a)
  t = Constant <value = int64[1] {0}> ()
  n = Neg(r)
}
"""


def test_functions_are_expanded_and_draw_the_same_numbers() -> None:
    model = parser.parse_model(FUNCTION)
    [entry] = lowered(model)
    assert entry["node"] == "linear/product"
    assert entry["nodes_in"][-1][0].startswith("again/")
    assert [op_type for _, op_type in entry["nodes_out"]] == ["QLinearMatMul"]


def test_a_function_of_another_opset() -> None:
    """It is lowered; a file cannot say two opsets unless the operators are the same in both."""
    model = parser.parse_model(
        FUNCTION.replace('"local", opset_import: ["": 21]> Linear', '"local", opset_import: ["": 12]> Linear')
    )
    content = model.SerializeToString()
    left, right = diptych_reference.ReferenceSession(content), diptych.InferenceSession(content)
    assert (
        [entry["node"] for entry in right.lowering()] == [entry.node for entry in left.lowering] == ["linear/product"]
    )
    feeds = {"x": np.ones((4, 5), np.float32)}
    for wanted, got in zip(left.run(None, feeds), right.run(None, feeds), strict=True):
        assert not compare(wanted, got).problem
    with pytest.raises(diptych_reference.UnsupportedOperatorError, match="opset 12"):
        diptych_reference.lowered_model(content)


GRADIENT = """<ir_version: 10, opset_import: ["": 21, "ai.onnx.preview.training": 1]>
slope (float[4, 5] x) => (y, dy)
<float xs = {0.02}, uint8 xz = {128}, int8[5, 2] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, float ws = {0.01}> {
  xq = QuantizeLinear(x, xs, xz)
  xd = DequantizeLinear(xq, xs, xz)
  wd = DequantizeLinear(w, ws)
  y = MatMul(xd, wd)
  dy = ai.onnx.preview.training.Gradient <xs = ["xd"], y = "y"> (xd)
}
"""


def test_what_is_differentiated_stays() -> None:
    assert lowered(parser.parse_model(GRADIENT)) == []


@pytest.mark.parametrize("attribute", ["axis", "block_size", "output_dtype"])
def test_malformed_attributes_are_left_to_the_run(attribute: str) -> None:
    b = Build()
    matmul(b)
    node = b.nodes[2]
    del node.attribute[:]
    node.attribute.append(helper.make_attribute(attribute, "text"))
    content = b.model("p").SerializeToString()
    left = diptych_reference.ReferenceSession(content)
    assert [entry.reason for entry in left.lowering] == [f"DequantizeLinear has a malformed attribute {attribute}"]
    with pytest.raises(diptych_reference.Error):
        left.run(None, {"x": np.ones((4, 5), np.float32)})
    with pytest.raises(diptych.Error):
        diptych.InferenceSession(content).run(None, {"x": np.ones((4, 5), np.float32)})


def test_nbits_computes_in_floats_where_floats_are_asked_for() -> None:
    """Only the left panel's lowering is looked at: it does not ask whether the operator exists."""
    node = helper.make_node(
        "MatMulNBits", ["x", "w", "s"], ["y"], "nbits", domain="com.microsoft", K=32, N=2, bits=4, accuracy_level=4
    )
    graph = helper.make_graph(
        [node], "g", [onnx.ValueInfoProto(name=name) for name in "xws"], [onnx.ValueInfoProto(name="y")]
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)], ir_version=10
    )
    loaded, found = diptych_reference.lower(diptych_reference.load(model), "float")
    assert loaded.graph.nodes[0].attributes["accuracy_level"] == 1
    assert [(entry.node, entry.meaning, entry.reason) for entry in found] == [
        ("nbits", "float", "accuracy_level 4 becomes 1")
    ]
    assert diptych_reference.lower(diptych_reference.load(model), "integer")[1] == []


def test_profiles_name_the_original_nodes() -> None:
    b = Build()
    b.node("Relu", [matmul(b)], "r")
    options = diptych.SessionOptions()
    options.enable_profiling = True
    session = diptych.InferenceSession(b.model("r").SerializeToString(), options)
    session.run(None, {"x": np.ones((4, 5), np.float32)})
    assert {event["name"] for event in session.take_events()} <= {"xq", "p", "p/Cast", "p/Mul", "r"}
    assert ("p", "MatMulInteger") in {(node["name"], node["op_type"]) for node in session.graph()["nodes"]}


def test_a_model_with_functions_and_nothing_to_lower_is_written_expanded() -> None:
    text = """<ir_version: 10, opset_import: ["": 21, "local": 1]>
    calls (float[4] x) => (float[4] y) { [call] y = local.Twice(x) }
    <domain: "local", opset_import: ["": 21]> Twice (a) => (b) { [inner] b = Add(a, a) }"""
    lowered_proto = diptych_reference.lowered_model(parser.parse_model(text))
    assert [node.name for node in lowered_proto.graph.node] == ["call/inner"]
    (y,) = diptych.InferenceSession(lowered_proto.SerializeToString()).run(None, {"x": np.ones(4, np.float32)})
    assert y.tolist() == [2.0] * 4
