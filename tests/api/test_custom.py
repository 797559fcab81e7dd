"""Operators of users: a Python function or a graph, on both panels, with errors that name node and cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from onnx import FunctionProto, ModelProto, TensorProto, helper

import diptych
import diptych_reference

DOMAIN = "com.example.tests"
X = np.array([[-1.5, 0.25, 3.0]], np.float32)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """The reference forgets what a test registered; the engine keeps it, under names that no other test uses."""
    yield
    for key in [key for key in diptych_reference.registry if key[0] == DOMAIN]:
        del diptych_reference.registry[key]


def model(op_type: str, n_inputs: int = 1, n_outputs: int = 1, **attributes: Any) -> ModelProto:
    inputs, outputs = [f"x{i}" for i in range(n_inputs)], [f"y{i}" for i in range(n_outputs)]
    node = helper.make_node(op_type, inputs, outputs, "mine", domain=DOMAIN, **attributes)
    after = helper.make_node("Neg", ["y0"], ["z"])
    graph = helper.make_graph(
        [node, after],
        "custom",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [helper.make_empty_tensor_value_info(name) for name in ["z", *outputs[1:]]],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def both(proto: ModelProto, *inputs: Any) -> list[Any]:
    """The outputs, equal on both panels."""
    feeds = {f"x{i}": value for i, value in enumerate(inputs)}
    left = diptych_reference.ReferenceSession(proto).run(None, feeds)
    right = diptych.InferenceSession(proto.SerializeToString()).run(None, feeds)
    for a, b in zip(left, right, strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)
    return right


def test_a_function_with_attributes_and_optional_inputs() -> None:
    @diptych.register_operator(DOMAIN, "Clamp")
    def clamp(x: Any, low: Any = None, *, high: float = 1.0) -> Any:
        return np.minimum(x if low is None else np.maximum(x, low), x.dtype.type(high))

    [z] = both(model("Clamp", high=0.5), X)
    assert z.tolist() == [[1.5, -0.25, -0.5]]
    [z] = both(model("Clamp", 2), X, np.float32(-1))
    assert z.tolist() == [[1.0, -0.25, -1.0]]


def test_several_outputs_and_any_number_of_inputs() -> None:
    @diptych.register_operator(DOMAIN, "Extremes", since=2)
    def extremes(*xs: Any, n_outputs: int) -> Any:
        stacked = np.stack(xs)
        assert n_outputs in (1, 2)
        return stacked.min(0), stacked.max(0)

    low, high = both(model("Extremes", 3, 2), X, X + 1, X - 1)
    assert np.array_equal(low, -(X - 1))
    assert np.array_equal(high, X + 1)
    assert np.array_equal(both(model("Extremes", 1), X)[0], -X)


def test_a_graph() -> None:
    body = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("LeakyRelu", ["square"], ["y"]),
    ]
    body[1].attribute.add(name="alpha", ref_attr_name="slope", type=1)
    function: FunctionProto = helper.make_function(
        DOMAIN, "Squared", ["x"], ["y"], body, [helper.make_opsetid("", 21)], ["slope"]
    )
    diptych.register_operator(DOMAIN, "Squared", function)
    [z] = both(model("Squared", slope=0.1), X)
    assert np.array_equal(z, -(X * X))
    [z] = both(model("Squared", slope=0.1), X[0, :0])
    assert z.shape == (0,)


def test_an_exception_arrives_with_node_and_cause() -> None:
    @diptych.register_operator(DOMAIN, "Fails")
    def fails(x: Any) -> Any:
        raise KeyError("the table")

    session = diptych.InferenceSession(model("Fails").SerializeToString())
    with pytest.raises(diptych.CustomOperatorError, match=r"'mine' \(.*Fails\).*KeyError.*the table") as caught:
        session.run(None, {"x0": X})
    assert isinstance(caught.value.__cause__, KeyError)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize(
    ("n_inputs", "attributes", "message"),
    [(2, {"a": 1}, "2 inputs, expected 1 to 1"), (1, {"a": 1, "b": 2}, "unknown attributes"), (1, {}, "missing")],
)
def test_what_does_not_fit_the_signature_is_refused(n_inputs: int, attributes: dict[str, Any], message: str) -> None:
    diptych.register_operator(DOMAIN, "Strict", lambda x, *, a: x)
    proto = model("Strict", n_inputs, **attributes)
    with pytest.raises(diptych.InvalidModelError, match=f"mine.*{message}"):
        diptych.InferenceSession(proto.SerializeToString())
    with pytest.raises(diptych_reference.InvalidModelError):
        diptych_reference.ReferenceSession(proto).run(None, {f"x{i}": X for i in range(n_inputs)})


def test_inferred_types_are_held_to() -> None:
    def infer(x: Any) -> Any:
        return [(x[0], (*x[1], 2))]

    diptych.register_operator(DOMAIN, "Pairs", lambda x: np.stack([x, x], -1), infer=infer)
    assert both(model("Pairs"), X)[0].shape == (1, 3, 2)
    diptych.register_operator(DOMAIN, "Pairs", lambda x: x, infer=infer)  # a second definition replaces the first
    with pytest.raises(diptych.CustomOperatorError, match=r"infer says float32\[1, 3, 2\]"):
        diptych.InferenceSession(model("Pairs").SerializeToString()).run(None, {"x0": X})


def test_inputs_are_not_to_be_written() -> None:
    def writes(x: Any) -> Any:
        x[...] = 0
        return x

    diptych.register_operator(DOMAIN, "Writes", writes)
    with pytest.raises(diptych.CustomOperatorError, match="read-only"):
        diptych.InferenceSession(model("Writes").SerializeToString()).run(None, {"x0": X})


def test_what_may_not_be_registered() -> None:
    with pytest.raises(diptych.InvalidInputError, match="the engine's own"):
        diptych.register_operator("", "Relu", lambda x: x)
    with pytest.raises(diptych.InvalidInputError, match="expected a function or FunctionProto"):
        diptych.register_operator(DOMAIN, "Nothing", 7)
    with pytest.raises(diptych.InvalidInputError, match="versions begin at 1"):
        diptych.register_operator(DOMAIN, "Zeroth", lambda x: x, since=0)


def test_versions_are_chosen_by_the_opset() -> None:
    diptych.register_operator(DOMAIN, "Versioned", lambda x: x + 1, since=1)
    diptych.register_operator(DOMAIN, "Versioned", lambda x: x + 2, since=3)
    diptych.register_operator(DOMAIN, "Versioned", lambda x: x + 4, since=4)
    assert np.array_equal(both(model("Versioned"), X)[0], -(X + 2))
    diptych.register_operator(DOMAIN, "Later", lambda x: x, since=4)
    with pytest.raises(diptych.UnsupportedOperatorError, match="register_operator"):
        diptych.InferenceSession(model("Later").SerializeToString())


def test_runs_from_many_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    diptych.register_operator(DOMAIN, "Shared", lambda x: x * 2)
    session = diptych.InferenceSession(model("Shared").SerializeToString())
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda k: session.run(None, {"x0": X + k})[0], range(200)))
    assert all(np.array_equal(z, -(X + k) * 2) for k, z in enumerate(results))
