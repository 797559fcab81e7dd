"""Lowering beyond single patterns: settings, subgraphs, functions, gradients, profiles, on both panels."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from tests.differential.quantized_graphs import Build, lowered, matmul

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.testing.blocks import quantize_blocks


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


@pytest.mark.parametrize("level", [2, 3, 4])
def test_nbits_computes_in_floats_where_floats_are_asked_for(level: int) -> None:
    rng = np.random.default_rng(3)
    weights, scales, _ = quantize_blocks(rng.standard_normal((64, 5)), 32)
    inputs, constants = ["x", "w", "s"], {"w": weights, "s": scales}

    def model(level: int) -> bytes:
        attributes = {"K": 64, "N": 5, "bits": 4, "block_size": 32, "accuracy_level": level}
        node = helper.make_node("MatMulNBits", inputs, ["y"], "nbits", domain="com.microsoft", **attributes)
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])],
            [onnx.ValueInfoProto(name="y")],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()

    floats = diptych.SessionOptions(quantized="float")
    left = diptych_reference.ReferenceSession(model(level), quantized="float")
    right = diptych.InferenceSession(model(level), floats)
    said = [(entry["node"], entry["meaning"], entry["reason"]) for entry in right.lowering()]
    assert said == [("nbits", "float", f"accuracy_level {level} becomes 1")]
    assert said == [(entry.node, entry.meaning, entry.reason) for entry in left.lowering]
    feeds = {"x": rng.standard_normal((3, 64)).astype(np.float32)}
    (exact,) = diptych.InferenceSession(model(1)).run(None, feeds)
    for session in (left, right):
        assert not compare(exact, session.run(None, feeds)[0]).problem
    integer = diptych.InferenceSession(model(level))
    assert integer.lowering() == []
    assert bool(compare(exact, integer.run(None, feeds)[0]).problem) == (level == 4)


def test_profiles_name_the_original_nodes() -> None:
    b = Build()
    b.node("Relu", [matmul(b)], "r")
    options = diptych.SessionOptions()
    options.enable_profiling = True
    session = diptych.InferenceSession(b.model("r").SerializeToString(), options)
    session.run(None, {"x": np.ones((4, 5), np.float32)})
    names = {event["name"] for event in session.take_events()}
    assert {"p", "r"} <= names <= {"xq", "p", "p/Cast", "p/Mul", "r"}
    assert ("p", "MatMulInteger") in {(node["name"], node["op_type"]) for node in session.graph()["nodes"]}


def test_a_model_with_functions_and_nothing_to_lower_is_written_expanded() -> None:
    text = """<ir_version: 10, opset_import: ["": 21, "local": 1]>
    calls (float[4] x) => (float[4] y) { [call] y = local.Twice(x) }
    <domain: "local", opset_import: ["": 21]> Twice (a) => (b) { [inner] b = Add(a, a) }"""
    lowered_proto = diptych_reference.lowered_model(parser.parse_model(text))
    assert [node.name for node in lowered_proto.graph.node] == ["call/inner"]
    (y,) = diptych.InferenceSession(lowered_proto.SerializeToString()).run(None, {"x": np.ones(4, np.float32)})
    assert y.tolist() == [2.0] * 4
