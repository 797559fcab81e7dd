"""If and Loop: bodies that see outer values. Cases of these can only be run as models."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, TensorProto, helper

from diptych.testing.case import declared
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import onnx_number


@shape_rule("If")
def if_(s: Sketch) -> list[Any]:
    """A condition; branches of different shapes, from opset 11 on of different ranks."""
    s.n_outputs = s.integer(1, 2)
    shape = s.shape(limit=40)
    other = shape if s.since < 11 else s.shape(limit=40)
    s.outer = {"a": s.tensor(shape), "b": s.tensor(other)}
    order = [s.choose("a", "b") for _ in range(s.n_outputs)]
    s.set("then_branch", branch(s, order))
    s.set("else_branch", branch(s, ["b" if name == "a" else "a" for name in order]))
    return [np.full(s.choose((), (1,)), s.coin())]


def branch(s: Sketch, sources: list[str]) -> GraphProto:
    """A graph without inputs whose outputs are outer values."""
    names = [f"out{i}" for i in range(len(sources))]
    nodes = [helper.make_node("Identity", [source], [name]) for source, name in zip(sources, names, strict=True)]
    outputs = [helper.make_tensor_value_info(name, onnx_number(s.dtype), None) for name in names]
    return helper.make_graph(nodes, "branch", [], outputs)


@shape_rule("Loop")
def loop(s: Sketch) -> list[Any]:
    """State that is swapped with an outer value, a scan output, a trip count, a condition that may stop early."""
    state = s.tensor(s.shape(limit=40))
    s.outer = {"goes_on": np.array(s.choose(True, True, False)), "other": s.tensor(state.shape)}
    s.n_outputs = 3
    s.set("body", body(s, state))
    trips = np.array(s.choose(2, 0, 1, 5), dtype=np.int64)
    condition = np.array(s.choose(True, True, False)) if s.coin() else None
    return [trips, condition, state, s.tensor(state.shape)]


def body(s: Sketch, state: Any) -> GraphProto:
    """`(i, cond, p, q) -> goes_on, q, other, scan p`: three values on the move."""
    nodes = [
        helper.make_node("Identity", ["goes_on"], ["again"]),
        helper.make_node("Identity", ["q"], ["next_p"]),
        helper.make_node("Identity", ["other"], ["next_q"]),
        helper.make_node("Identity", ["p"], ["scan"]),
    ]
    number, shape = onnx_number(s.dtype), list(state.shape)
    inputs: list[onnx.ValueInfoProto] = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("cond", TensorProto.BOOL, []),
        declared("p", state),
        declared("q", state),
    ]
    outputs = [
        helper.make_tensor_value_info("again", TensorProto.BOOL, []),
        *(helper.make_tensor_value_info(name, number, shape) for name in ("next_p", "next_q", "scan")),
    ]
    return helper.make_graph(nodes, "body", inputs, outputs)
