"""If, Loop, Scan, SequenceMap: bodies that see outer values. Cases of these can only be run as models."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, TensorProto, helper

from diptych.testing.case import declared
from diptych.testing.families.sequence import sequence
from diptych.testing.schema import row
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import onnx_name, onnx_number
from diptych_reference.values import Sequence


def takes_sequences(s: Sketch, variable: str = "V") -> bool:
    """Whether this version takes sequences of the leading dtype, and operators of sequences do."""
    known = s.dtype in row("SequenceInsert", 11).types("T")
    return known and s.row.allows(variable, f"seq(tensor({onnx_name(s.dtype)}))")


@shape_rule("If")
def if_(s: Sketch) -> list[Any]:
    """A condition; branches of different shapes, from opset 11 on of different ranks; tensors or sequences."""
    if takes_sequences(s) and s.choose(False, False, True):
        return if_of_sequences(s)
    s.n_outputs = s.integer(1, 2)
    shape = s.shape(limit=40)
    other = shape if s.since < 11 else s.shape(limit=40)
    s.outer = {"a": s.tensor(shape), "b": s.tensor(other)}
    order = [s.choose("a", "b") for _ in range(s.n_outputs)]
    s.set("then_branch", branch(s, order))
    s.set("else_branch", branch(s, ["b" if name == "a" else "a" for name in order]))
    return [np.full(s.choose((), (1,)), s.coin())]


def if_of_sequences(s: Sketch) -> list[Any]:
    """Branches that give sequences, of which one may have no tensors; or one that gives an optional without value."""
    s.outer = {"a": sequence(s, least=1), "b": sequence(s, least=1), "t": s.tensor(s.shape((0, 2), limit=20))}
    optional = s.row.allows("V", f"optional(seq(tensor({onnx_name(s.dtype)})))")
    kinds = ("outer", "made", "empty", "nothing") if optional else ("outer", "made", "empty")
    for name, source in (("then_branch", "a"), ("else_branch", "b")):
        kind = s.choose(*kinds)
        tensor = helper.make_tensor_type_proto(onnx_number(s.dtype), None)
        nodes = {
            "outer": helper.make_node("Identity" if s.since > 13 else "SequenceErase", [source], ["out"]),
            "made": helper.make_node("SequenceConstruct", ["t", "t"], ["out"]),
            "empty": helper.make_node("SequenceEmpty", [], ["out"], dtype=onnx_number(s.dtype)),
            "nothing": helper.make_node("Optional", [], ["out"], type=helper.make_sequence_type_proto(tensor)),
        }
        output = helper.make_value_info("out", helper.make_sequence_type_proto(tensor))
        s.set(name, helper.make_graph([nodes[kind]], "branch", [], [output]))
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
    if takes_sequences(s) and s.choose(False, False, True):
        return loop_of_sequences(s)
    state = s.tensor(s.shape(limit=40))
    s.outer = {"goes_on": np.array(s.choose(True, True, False)), "other": s.tensor(state.shape)}
    s.n_outputs = 3
    s.set("body", body(s, state))
    trips = np.array(s.choose(2, 0, 1, 5), dtype=np.int64)
    condition = np.array(s.choose(True, True, False)) if s.coin() else None
    return [trips, condition, state, s.tensor(state.shape)]


def loop_of_sequences(s: Sketch) -> list[Any]:
    """A sequence that grows at an end by an outer tensor, and one that does not change."""
    s.outer = {"goes_on": np.array(s.choose(True, True, False)), "other": s.tensor(s.shape((0, 2), limit=20))}
    s.n_outputs = 2
    nodes = [
        helper.make_node("Identity", ["goes_on"], ["again"]),
        helper.make_node("SequenceInsert", ["p", "other", "i"] if s.coin() else ["p", "other"], ["next_p"]),
        helper.make_node("Identity", ["q"], ["next_q"])
        if s.since > 13
        else helper.make_node("SequenceInsert", ["q", "other"], ["next_q"]),
    ]
    tensor = helper.make_tensor_type_proto(onnx_number(s.dtype), None)
    of = {name: helper.make_value_info(name, helper.make_sequence_type_proto(tensor)) for name in ("p", "q")}
    of |= {f"next_{name}": helper.make_value_info(f"next_{name}", value.type) for name, value in of.items()}
    boolean = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("cond", "again")]
    inputs = [helper.make_tensor_value_info("i", TensorProto.INT64, []), boolean[0], of["p"], of["q"]]
    s.set("body", helper.make_graph(nodes, "body", inputs, [boolean[1], of["next_p"], of["next_q"]]))
    trips = np.array(s.choose(2, 0, 1, 5), dtype=np.int64)
    return [trips, None, sequence(s), sequence(s)]


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


@shape_rule("Scan")
def scan(s: Sketch) -> list[Any]:
    """States and slabs of one shape, which move one place on in each step; any axes and directions."""
    element = s.shape((0, 2), limit=12)
    n_states, n_inputs = s.integer(0, 2), s.integer(1, 2)
    n_scans = s.integer(0 if n_states else 1, 2)
    steps = s.choose(2, 0, 1, 3, 5)
    s.set("num_scan_inputs", n_inputs)
    s.outer = {"other": s.tensor(element)}
    s.n_outputs = n_states + n_scans
    s.set("body", moving_body(s, element, n_states, n_inputs, n_scans))
    if s.since == 8:
        return scan_batches(s, element, n_states, n_inputs, steps)
    whole = [s.tensor(element) for _ in range(n_states)]
    axes = scan_axes(s, "scan_input_axes", n_inputs, len(element) + 1)
    scan_axes(s, "scan_output_axes", n_scans, len(element) + 1)
    for name, count in (("scan_input_directions", n_inputs), ("scan_output_directions", n_scans)):
        if s.coin():
            s.set(name, [s.integer(0, 1) for _ in range(count)])
    for axis in axes:
        shape = list(element)
        shape.insert(axis % (len(element) + 1), steps)
        whole.append(s.tensor(shape))
    return whole


def scan_axes(s: Sketch, name: str, count: int, rank: int) -> list[int]:
    """Axes as an attribute, from version 11 on counted from either end; zeros if it is left out."""
    if not s.coin():
        return [0] * count
    return list(s.set(name, [s.axis(rank) if s.since >= 11 else s.integer(0, rank - 1) for _ in range(count)]))


def scan_batches(s: Sketch, element: tuple[int, ...], n_states: int, n_inputs: int, steps: int) -> list[Any]:
    """Version 8: batches of their own lengths."""
    batches = s.choose(1, 2, 3)
    lens = None
    if s.coin():
        lens = np.array([s.integer(0, steps) for _ in range(batches)], dtype=np.int64)
    if s.coin():
        s.set("directions", [s.integer(0, 1) for _ in range(n_inputs)])
    states = [s.tensor((batches, *element)) for _ in range(n_states)]
    return [lens, *states, *(s.tensor((batches, steps, *element)) for _ in range(n_inputs))]


def moving_body(s: Sketch, element: tuple[int, ...], n_states: int, n_inputs: int, n_scans: int) -> GraphProto:
    """Every state becomes what stands one place to its right, the last an outer value; scan outputs are any of them."""
    names = [f"in{i}" for i in range(n_states + n_inputs)]
    sources = [*names[1:], "other"]
    outputs = [f"out{i}" for i in range(n_states + n_scans)]
    picked = [sources[i] if i < n_states else s.choose(*names, "other") for i in range(len(outputs))]
    nodes = [helper.make_node("Identity", [source], [name]) for source, name in zip(picked, outputs, strict=True)]
    number = onnx_number(s.dtype)
    infos = {name: helper.make_tensor_value_info(name, number, list(element)) for name in (*names, *outputs)}
    return helper.make_graph(nodes, "body", [infos[n] for n in names], [infos[n] for n in outputs])


@shape_rule("SequenceMap")
def sequence_map(s: Sketch) -> list[Any]:
    """Sequences of one length, tensors beside them; outputs are inputs or an outer value."""
    first = sequence(s)
    inputs: list[Any] = [first]
    for _ in range(s.integer(0, 2)):
        again = Sequence([s.tensor(s.shape((0, 2), limit=20)) for _ in first], s.dtype)
        inputs.append(again if s.coin() else s.tensor(s.shape((0, 2), limit=20)))
    s.outer = {"other": s.tensor(s.shape((0, 2), limit=20))}
    s.n_outputs = s.integer(1, 2)
    names = [f"in{i}" for i in range(len(inputs))]
    outputs = [f"out{i}" for i in range(s.n_outputs)]
    nodes = [helper.make_node("Identity", [s.choose(*names, "other")], [name]) for name in outputs]
    infos = {name: helper.make_tensor_value_info(name, onnx_number(s.dtype), None) for name in (*names, *outputs)}
    s.set("body", helper.make_graph(nodes, "body", [infos[n] for n in names], [infos[n] for n in outputs]))
    return inputs
