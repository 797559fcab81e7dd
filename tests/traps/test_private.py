"""Operators that stand only in graphs which ONNX Runtime saved for one machine: both panels say so, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import diptych
import diptych_reference

onnxruntime.set_default_logger_severity(4)

PRIVATE = [
    *(("com.microsoft.nchwc", name) for name in ("Conv", "MaxPool", "ReorderInput", "ReorderOutput", "Upsample")),
    *(("com.ms.internal.nhwc", name) for name in ("Conv", "QLinearConv", "Resize")),
    *(("com.microsoft", name) for name in ("FusedConv", "FusedGemm", "NhwcConv", "NhwcFusedConv", "NhwcMaxPool")),
]


def refused(model: bytes, feeds: dict[str, Any], operator: str) -> None:
    """By both panels, with the operator's name and what to do."""
    runs: list[tuple[Callable[[], Any], type[Exception]]] = [
        (
            lambda: diptych_reference.ReferenceSession(model).run(None, feeds),
            diptych_reference.UnsupportedOperatorError,
        ),
        (lambda: diptych.InferenceSession(model).run(None, feeds), diptych.UnsupportedOperatorError),
    ]
    for run, error in runs:
        with pytest.raises(error) as caught:
            run()
        said = str(caught.value)
        assert f"operator {operator} comes from ONNX Runtime's optimizer" in said
        assert "Load the original model, or save it with a lower graph_optimization_level" in said


@pytest.mark.parametrize(("domain", "op_type"), PRIVATE, ids=".".join)
def test_a_private_operator(domain: str, op_type: str) -> None:
    x = np.zeros((1, 8, 4, 4), np.float32)
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x", "x"], ["y"], domain=domain)],
        "g",
        [helper.make_tensor_value_info("x", 1, x.shape)],
        [helper.make_empty_tensor_value_info("y")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    refused(model, {"x": x}, f"{domain}.{op_type}")


def saved(tmp_path: Path, level: Any) -> bytes:
    """A convolution, Relu and pooling as ONNX Runtime saves it."""
    weight = np.ones((16, 16, 3, 3), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("MaxPool", ["r"], ["y"], kernel_shape=[2, 2]),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 16, 8, 8])],
        [helper.make_tensor_value_info("y", 1, [1, 16, 7, 7])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(tmp_path / "saved.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return (tmp_path / "saved.onnx").read_bytes()


def test_what_onnxruntime_saves(tmp_path: Path) -> None:
    """With its greatest optimization it is refused; as the message says, with less it runs."""
    levels = onnxruntime.GraphOptimizationLevel
    feeds = {"x": np.ones((1, 16, 8, 8), np.float32)}
    model = saved(tmp_path, levels.ORT_ENABLE_ALL)
    private = next(node for node in onnx.load_from_string(model).graph.node if node.domain)
    refused(model, feeds, f"{private.domain}.{private.op_type}")
    lower = saved(tmp_path, levels.ORT_ENABLE_BASIC)
    [left] = diptych_reference.ReferenceSession(lower).run(None, feeds)
    [right] = diptych.InferenceSession(lower).run(None, feeds)
    assert left.tobytes() == np.asarray(right).tobytes()


def test_a_users_own_operator_of_that_name_is_no_business_of_ours() -> None:
    """Whoever registers one, or brings a function of that name, may have it."""
    graph = helper.make_graph(
        [helper.make_node("FusedGemm", ["x"], ["y"], domain="com.microsoft")],
        "g",
        [helper.make_tensor_value_info("x", 1, [2])],
        [helper.make_empty_tensor_value_info("y")],
    )
    function = helper.make_function(
        "com.microsoft",
        "FusedGemm",
        ["a"],
        ["b"],
        [helper.make_node("Neg", ["a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=[function]).SerializeToString()
    x = np.array([1, 2], np.float32)
    for session in (diptych_reference.ReferenceSession(model), diptych.InferenceSession(model)):
        assert np.array_equal(session.run(None, {"x": x})[0], -x)
