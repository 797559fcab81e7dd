"""Gradient on both panels: equal bit by bit, and near the slope of a central difference in binary64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper

import diptych
import diptych_reference

DOMAIN = "ai.onnx.preview.training"
RANDOM = np.random.default_rng(7)


def node(op_type: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(op_type, [n.strip() for n in inputs.split(",")] if inputs else [], [output], **attributes)


def differentiate(nodes: Sequence[NodeProto], y: str, xs: Sequence[str], zs: Sequence[str] = ()) -> NodeProto:
    outputs = [f"d{y}_d{x}" for x in xs]
    return helper.make_node(
        "Gradient", [*xs, *zs], outputs, domain=DOMAIN, xs=list(xs), y=y, **({"zs": list(zs)} if zs else {})
    )


def model(nodes: Sequence[NodeProto], feeds: Mapping[str, Any], outputs: Sequence[str], opset: int = 22) -> bytes:
    types = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in feeds.items()}
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, dtype, None) for name, dtype in types.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def both(nodes: Sequence[NodeProto], feeds: Mapping[str, Any], outputs: Sequence[str], opset: int = 22) -> list[Any]:
    """Outputs of a model, equal on both panels."""
    content = model(nodes, feeds, outputs, opset)
    left = diptych_reference.ReferenceSession(content).run(None, feeds)
    right = diptych.InferenceSession(content).run(None, feeds)
    for expected, actual in zip(left, right, strict=True):
        assert (expected.dtype, expected.shape) == (actual.dtype, actual.shape)
        assert np.array_equal(expected, actual, equal_nan=True)
    return list(right)


def refused(nodes: Sequence[NodeProto], feeds: Mapping[str, Any], outputs: Sequence[str], opset: int = 22) -> None:
    """Both panels refuse, when the model is read or when it is run."""
    content = model(nodes, feeds, outputs, opset)
    with pytest.raises(diptych_reference.Error):
        diptych_reference.ReferenceSession(content).run(None, feeds)
    with pytest.raises(diptych.Error) as caught:
        diptych.InferenceSession(content).run(None, feeds)
    assert not isinstance(caught.value, diptych.InternalError)


def slopes(nodes: Sequence[NodeProto], feeds: Mapping[str, Any], y: str, x: str, opset: int) -> Any:
    """The central difference of the sum of `y` for each element of `x`."""
    session = diptych_reference.ReferenceSession(model(nodes, feeds, [y], opset))
    slope, h = np.zeros_like(feeds[x]), 1e-5
    for place in np.ndindex(feeds[x].shape):
        ends = []
        for side in (h, -h):
            moved = feeds[x].copy()
            moved[place] += side
            ends.append(np.sum(session.run(None, {**feeds, x: moved})[0]))
        slope[place] = (ends[0] - ends[1]) / (2 * h)
    return slope


def tensor(*shape: int) -> Any:
    return RANDOM.normal(size=shape)


def positive(*shape: int) -> Any:
    return RANDOM.uniform(0.5, 2.0, size=shape)


def weighted(op_type: str, inputs: str = "a", **attributes: Any) -> list[NodeProto]:
    """`y = w * op(inputs)`, so that the gradient that comes back is not all ones."""
    return [node(op_type, inputs, "t", **attributes), node("Mul", "t,w", "y")]


ONE = {"a": positive(3, 4), "w": tensor(3, 4)}
TWO = {"a": positive(3, 4), "b": positive(4), "w": tensor(3, 4)}
CONV = {
    "stride": {"strides": [2, 3]},
    "pad": {"pads": [1, 0, 2, 1]},
    "dilation": {"dilations": [2, 1], "pads": [2, 2, 1, 0]},
}
CONV["all"] = {"strides": [2, 2], "dilations": [1, 2], "pads": [1, 2, 0, 1]}
CASES: dict[str, tuple[list[NodeProto], dict[str, Any], int]] = {
    **{name: (weighted(name), ONE, 22) for name in (
        "Identity", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Sin", "Cos", "Relu", "Sigmoid", "Tanh",
        "Softplus", "Softmax", "LogSoftmax",
    )},
    **{name: (weighted(name, "a,b"), TWO, 22) for name in ("Add", "Sub", "Mul", "Div", "Pow", "Sum")},
    "Sub reversed": (weighted("Sub", "b,a"), TWO, 22),
    "Pow reversed": (weighted("Pow", "b,a"), TWO, 22),
    "twice the same": (weighted("Mul", "a,a"), ONE, 22),
    "Softmax axis": (weighted("Softmax", axis=0), ONE, 13),
    "MatMul": (weighted("MatMul", "a,b"), {"a": tensor(3, 2), "b": tensor(2, 4), "w": tensor(3, 4)}, 22),
    "MatMul batch": (
        weighted("MatMul", "a,b"), {"a": tensor(2, 1, 3, 2), "b": tensor(3, 2, 4), "w": tensor(2, 3, 3, 4)}, 22,
    ),
    **{f"Gemm {i}{j}": (
        weighted("Gemm", "a,b,c", transA=i, transB=j, alpha=0.5, beta=1.5),
        {"a": tensor(2, 3) if i else tensor(3, 2), "b": tensor(4, 2) if j else tensor(2, 4), "c": tensor(4),
         "w": tensor(3, 4)},
        22,
    ) for i in (0, 1) for j in (0, 1)},
    "Transpose": (weighted("Transpose", perm=[2, 0, 1]), {"a": tensor(2, 3, 4), "w": tensor(4, 2, 3)}, 22),
    "Transpose reversed": (weighted("Transpose"), {"a": tensor(2, 3), "w": tensor(3, 2)}, 22),
    "Flatten": (weighted("Flatten"), {"a": tensor(2, 3, 2), "w": tensor(2, 6)}, 22),
    "ReduceSum attribute": (weighted("ReduceSum", axes=[1], keepdims=0), {"a": tensor(2, 3), "w": tensor(2)}, 12),
    "ReduceMean attribute": (weighted("ReduceMean", axes=[-1, 0]), {"a": tensor(2, 3, 2), "w": tensor(1, 3, 1)}, 13),
    "ReduceMean all": (weighted("ReduceMean"), {"a": tensor(2, 3), "w": tensor(1, 1)}, 22),
    "shapes": (
        [node("Constant", "", "s", value_ints=[3, 2]), node("Reshape", "a,s", "r"),
         node("Constant", "", "e", value_ints=[2, 3, 2]), node("Expand", "r,e", "t"), node("Mul", "t,w", "y")],
        {"a": tensor(2, 3), "w": tensor(2, 3, 2)}, 22,
    ),
    "ReduceSum input": (
        [node("Constant", "", "s", value_ints=[0, -1]), node("ReduceSum", "a,s", "t"), node("Mul", "t,w", "y")],
        {"a": tensor(2, 3, 2), "w": tensor(1, 3, 1)}, 22,
    ),
    **{f"Conv {name}": (
        [node("Conv", "a,b,c", "t", **attributes), node("Mul", "t,t", "y")],
        {"a": tensor(2, 3, 7, 8), "b": tensor(2, 3, 3, 2), "c": tensor(2)}, 22,
    ) for name, attributes in ({"plain": {}} | CONV).items()},
    "Conv 1D": ([node("Conv", "a,b", "t", strides=[2]), node("Sin", "t", "y")],
                {"a": tensor(1, 2, 6), "b": tensor(3, 2, 3)}, 22),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_slopes(name: str) -> None:
    nodes, feeds, opset = CASES[name]
    xs = [x for x in feeds if x != "w"]
    gradients = both([*nodes, differentiate(nodes, "y", xs)], feeds, [f"dy_d{x}" for x in xs], opset)
    for x, actual in zip(xs, gradients, strict=True):
        expected = slopes(nodes, feeds, "y", x, opset)
        assert np.allclose(actual, expected, rtol=1e-6, atol=1e-7), (x, actual - expected)


def test_grouped_convolution_has_the_gradient_of_its_input() -> None:
    nodes = [node("Conv", "a,b", "t", group=2, pads=[1, 1]), node("Mul", "t,t", "y")]
    feeds = {"a": tensor(2, 4, 5), "b": tensor(6, 2, 3)}
    [actual] = both([*nodes, differentiate(nodes, "y", ["a"], ["b"])], feeds, ["dy_da"])
    assert np.allclose(actual, slopes(nodes, feeds, "y", "a", 22), rtol=1e-6, atol=1e-7)
    refused([*nodes, differentiate(nodes, "y", ["b"])], feeds, ["dy_db"])


@pytest.mark.parametrize("function", ["Exp", "Sin", "Tanh", "Sigmoid", "Sqrt", "Log", "Reciprocal", "Softplus", "Relu"])
def test_gradients_of_gradients(function: str) -> None:
    """d2O/dA2 by a Gradient whose y is an output of another one, as ONNX's text has it."""
    nodes = [node(function, "a", "f"), node("Mul", "f,b", "g"), node("Mul", "g,g", "o")]
    inner = differentiate(nodes, "o", ["a", "b"])
    feeds = {"a": positive(3), "b": positive(3)}
    outer = differentiate([*nodes, inner], "do_da", ["a", "b"])
    actual = both([*nodes, inner, outer], feeds, ["ddo_da_da", "ddo_da_db"])
    for x, gradient in zip("ab", actual, strict=True):
        expected = slopes([*nodes, inner], feeds, "do_da", x, 22)
        assert np.allclose(gradient, expected, rtol=1e-6, atol=1e-7)


def test_inputs_give_the_place_at_which_to_differentiate() -> None:
    """The node's inputs need not be the tensors that xs names: dY/dH at H_1 is not that at H."""
    nodes = [node("Neg", "x", "h"), node("Mul", "h,h", "y")]
    gradient = helper.make_node("Gradient", ["h_1"], ["d"], domain=DOMAIN, xs=["h"], y="y")
    feeds = {"x": np.array([1.0]), "h_1": np.array([5.0])}
    [d, y] = both([*nodes, gradient], feeds, ["d", "y"])
    assert (d.tolist(), y.tolist()) == ([10.0], [1.0])


def test_what_is_not_named_is_a_constant() -> None:
    nodes = [node("Mul", "x,z", "h"), node("Mul", "h,x", "y")]
    feeds = {"x": np.array([3.0]), "z": np.array([2.0])}
    [named] = both([*nodes, differentiate(nodes, "y", ["x"], ["z"])], feeds, ["dy_dx"])
    [unnamed] = both([*nodes, differentiate(nodes, "y", ["x"])], feeds, ["dy_dx"])
    assert named == unnamed == 12
    through = helper.make_node("Gradient", ["x", "h"], ["d"], domain=DOMAIN, xs=["x"], zs=["h"], y="y")
    [d] = both([*nodes, through], feeds, ["d"])
    assert d == 6  # h is held: only the second x counts


def test_a_tensor_that_y_does_not_depend_on_has_gradient_zero() -> None:
    nodes = [node("Exp", "x", "y"), node("Neg", "z", "unrelated")]
    feeds = {"x": np.ones(2), "z": np.ones((2, 3))}
    [d] = both([*nodes, differentiate(nodes, "y", ["z"])], feeds, ["dy_dz"])
    assert np.array_equal(d, np.zeros((2, 3)))
    [own] = both([differentiate([], "x", ["x"])], {"x": np.ones(2)}, ["dx_dx"])
    assert np.array_equal(own, np.ones(2))


def test_outputs_may_be_left_out_and_nodes_be_in_any_order() -> None:
    nodes = [node("Mul", "h,b", "y"), node("Exp", "a", "h")]
    gradient = helper.make_node("Gradient", ["a", "b"], ["", "db"], domain=DOMAIN, xs=["a", "b"], y="y")
    feeds = {"a": np.zeros(2), "b": np.ones(2)}
    [db] = both([gradient, *nodes], feeds, ["db"])
    assert np.array_equal(db, np.ones(2))


def test_what_cannot_be_differentiated_is_refused() -> None:
    feeds = {"x": np.ones((2, 2)), "n": np.ones(2, np.int64)}
    refused([node("Erf", "x", "y"), differentiate([], "y", ["x"])], feeds, ["dy_dx"])
    refused([node("Cast", "x", "y", to=7), differentiate([], "y", ["x"])], feeds, ["dy_dx"])
    refused([node("Neg", "x", "y"), differentiate([], "y", ["n"])], feeds, ["dy_dn"])
    refused([node("Neg", "x", "y"), differentiate([], "nothing", ["x"])], feeds, ["dnothing_dx"])
    refused([node("Softmax", "x", "y"), differentiate([], "y", ["x"])], feeds, ["dy_dx"], opset=11)
    wrong_count = helper.make_node("Gradient", ["x", "x"], ["d"], domain=DOMAIN, xs=["x"], y="y")
    refused([node("Neg", "x", "y"), wrong_count], feeds, ["d"])
    circle = helper.make_node("Gradient", ["x"], ["d"], domain=DOMAIN, xs=["x"], y="d")
    refused([circle], feeds, ["d"])
    with pytest.raises(diptych_reference.Error):
        diptych_reference.run_operator("Gradient", [feeds["x"]], {"xs": ["x"], "y": "x"}, opset=1, domain=DOMAIN)
    with pytest.raises(diptych.Error):
        diptych.run_operator("Gradient", [feeds["x"]], {"xs": ["x"], "y": "x"}, opset=1, domain=DOMAIN)
