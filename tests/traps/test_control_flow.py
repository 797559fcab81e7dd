"""If, Loop, Scan, SequenceMap, and what their bodies see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, TensorProto, helper
from tests.traps.both import answer, answers, refusals, same
from tests.traps.test_sequence import on_both, refused_by_both

import diptych
from diptych.testing import Case
from diptych_reference import Sequence

F = TensorProto.FLOAT
X = np.arange(1, 7, dtype=np.float32)


def body(states: int, dims: list[Any] | None = None, change: str = "Identity", scans: int = 1) -> GraphProto:
    """`(state…, x) -> (state + x …, scan…)`; scan outputs are the first new state, or x without states."""
    names = [f"s{i}" for i in range(states)]
    nodes = [helper.make_node("Add", [name, "x"], [f"{name}_sum"]) for name in names]
    nodes += [helper.make_node(change, [f"{name}_sum"], [f"{name}_next"]) for name in names]
    nodes += [helper.make_node("Identity", ["s0_sum" if states else "x"], [f"out{i}"]) for i in range(scans)]
    inputs = [helper.make_tensor_value_info(name, F, None) for name in (*names, "x")]
    outputs = [helper.make_tensor_value_info(f"{name}_next", F, dims) for name in names]
    outputs += [helper.make_tensor_value_info(f"out{i}", F, dims) for i in range(scans)]
    return helper.make_graph(nodes, "body", inputs, outputs)


def scanned(x: Any, *states: Any, opset: int = 11, dims: Any = None, lens: Any = None, **attributes: Any) -> list[Any]:
    inputs = [*states, x] if opset > 8 else [lens, *states, x]
    graph = attributes.pop("body", None) or body(len(states), dims)
    attributes = {"num_scan_inputs": 1, "body": graph, **attributes}
    return answers("Scan", inputs, attributes, opset=opset, n_outputs=len(states) + 1)


def test_scan_states_come_first_then_scans() -> None:
    last, sums = scanned(X, np.float32(10) * np.ones((), np.float32))
    same(last, 10 + 21)
    same(sums, [11, 13, 16, 20, 25, 31])


def test_scan_directions() -> None:
    """Of an input: which slab comes first; of an output: on which side the next value goes."""
    zero = np.zeros((), np.float32)
    same(scanned(X[:3], zero, scan_input_directions=[1])[1], [3, 5, 6])
    same(scanned(X[:3], zero, scan_output_directions=[1])[1], [6, 3, 1])
    same(scanned(X[:3], zero, scan_input_directions=[1], scan_output_directions=[1])[1], [6, 5, 3])
    for name in ("scan_input_directions", "scan_output_directions"):
        for value in ([2], [0, 0], []):
            attributes = {"num_scan_inputs": 1, "body": body(1), name: value}
            refusals("Scan", [zero, X], attributes, opset=11)


def test_scan_axes_count_from_either_end() -> None:
    """Those of outputs in the rank of the output, which is one more than the element's."""
    x, state = X.reshape(2, 3), np.zeros(2, np.float32)
    rows = np.cumsum(x, axis=1)  # by columns
    for opset in (9, 11, 25):
        for axis in (1, -1):
            last, sums = scanned(x, state, opset=opset, scan_input_axes=[axis], scan_output_axes=[axis])
            same(last, [6, 15])
            same(sums, rows)
    same(scanned(x, state, scan_input_axes=[1])[1], rows.T)
    same(scanned(x, state, scan_input_axes=[1], scan_output_axes=[-2])[1], rows.T)
    for attributes in ({"scan_input_axes": [2]}, {"scan_output_axes": [2]}, {"scan_output_axes": [-3]}):
        wanted = {"num_scan_inputs": 1, "body": body(1), "scan_input_axes": [1], **attributes}
        refusals("Scan", [state, x], wanted, opset=11)


def test_scan_without_states() -> None:
    same(scanned(X)[0], X)


def test_scan_8_lengths() -> None:
    """Each batch for itself; what lies past its length is 0; a length of 0 leaves the state."""
    x, state = X.reshape(2, 3), np.array([10, 20], np.float32)
    same(scanned(x, state, opset=8)[1], [[11, 13, 16], [24, 29, 35]])
    last, sums = scanned(x, state, opset=8, lens=np.array([2, 0]))
    same(last, [13, 20])
    same(sums, [[11, 13, 0], [0, 0, 0]])
    for lens in (np.array([4, 1]), np.array([-1, 1]), np.array([1]), np.array([[1, 1]])):
        refusals("Scan", [lens, state, x], {"num_scan_inputs": 1, "body": body(1)}, opset=8)


def test_scan_8_backward() -> None:
    x, state = X.reshape(2, 3), np.zeros(2, np.float32)
    last, sums = scanned(x, state, opset=8, lens=np.array([2, 3]), directions=[1])
    same(last, [3, 15])
    same(sums, [[2, 3, 0], [6, 11, 15]])


def test_scan_without_a_step() -> None:
    """The declared shape, 0 where it is not fixed, and the scanned axis of length 0."""
    state = np.ones(2, np.float32)
    last, sums = scanned(np.zeros((0, 2), np.float32), state, dims=[2])
    same(last, state)
    assert sums.shape == (0, 2)
    assert scanned(np.zeros((0, 2), np.float32), state, dims=["n"], scan_output_axes=[1])[1].shape == (0, 0)
    batches = np.ones((3, 2), np.float32)
    last, sums = scanned(np.zeros((3, 0, 2), np.float32), batches, opset=8, dims=[2])
    same(last, batches)
    assert sums.shape == (3, 0, 2)
    assert scanned(np.zeros((0, 4, 2), np.float32), batches[:0], opset=8, dims=[2])[1].shape == (0, 4, 2)


def test_scan_states_keep_their_shape() -> None:
    growing = body(1, scans=0)
    refusals("Scan", [np.zeros((), np.float32), X.reshape(3, 2)], {"num_scan_inputs": 1, "body": growing}, opset=11)


def test_scan_needs_inputs_that_fit() -> None:
    """Equal lengths of what is scanned, as many inputs as the body, as many scan inputs as there are."""
    state = np.zeros((), np.float32)
    for inputs, count in (([state, X], 0), ([state, X], 3), ([X], 1), ([state, state, X], 1), ([state, X], -1)):
        refusals("Scan", inputs, {"num_scan_inputs": count, "body": body(1)}, opset=11)
    refusals("Scan", [X, X[:3]], {"num_scan_inputs": 2, "body": body(1)}, opset=11)
    refusals("Scan", [None, X], {"num_scan_inputs": 1, "body": body(1)}, opset=11)


def test_scan_sees_outer_values() -> None:
    [sums] = on_both(
        """g (float[N] x, float k) => (float[N] y) {
            y = Scan<num_scan_inputs = 1, body = b (float e) => (float o) { o = Mul(e, k) }>(x)
        }""",
        {"x": X, "k": np.float32(2) * np.ones((), np.float32)},
    )
    same(sums, 2 * X)


LOOP = """g (%s float v) => (float w, float[K] s) {
    w, s = Loop (%s v) <body = b (int64 i, bool go, float p) => (bool d, float q, float r) {
        one = Constant<value_float = 1.0>()
        three = Constant<value_float = 3.0>()
        q = Add(p, one)
        r = Identity(q)
        d = Less(q, three)
    }>
}"""


@pytest.mark.parametrize(
    ("inputs", "names", "feeds", "expected"),
    [
        ("int64 m, bool c, ", "m, c, ", {"m": np.array(9), "c": np.array(True)}, [1, 2, 3]),
        ("int64 m, bool c, ", "m, c, ", {"m": np.array(2), "c": np.array(True)}, [1, 2]),
        ("int64 m, bool c, ", "m, c, ", {"m": np.array(9), "c": np.array(False)}, []),
        ("int64 m, bool c, ", "m, c, ", {"m": np.array(0), "c": np.array(True)}, []),
        ("int64 m, bool c, ", "m, c, ", {"m": np.array(-5), "c": np.array(True)}, []),
        ("int64 m, ", "m, , ", {"m": np.array(9)}, [1, 2, 3]),
        ("bool c, ", ", c, ", {"c": np.array(True)}, [1, 2, 3]),
        ("", ", , ", {}, [1, 2, 3]),
    ],
)
def test_loop_conditions(inputs: str, names: str, feeds: dict[str, Any], expected: list[int]) -> None:
    """Either may be absent; the input gates the first iteration, the body's answer the next ones."""
    w, s = on_both(LOOP % (inputs, names), {**feeds, "v": np.zeros((), np.float32)})
    same(w, len(expected))
    same(s, np.array(expected, np.float32))


def test_branches_may_differ_in_shape_and_rank() -> None:
    text = """g (bool c, float[N] x) => (float[M] y) {
        y = If (c) <then_branch = t () => (float[N] a) { a = Identity(x) },
                    else_branch = e () => (float[] b) { b = ReduceSum<keepdims = 0>(x) }>
    }"""
    same(on_both(text, {"c": np.array(True), "x": X})[0], X)
    same(on_both(text, {"c": np.array(False), "x": X})[0], 21)


def test_the_other_branch_is_not_run() -> None:
    text = """g (bool c, float[N] x) => (float[N] y) {
        y = If (c) <then_branch = t () => (float[N] a) { a = Identity(x) },
                    else_branch = e () => (float[N] b) { s = Constant<value_ints = [5, 5]>() b = Reshape(x, s) }>
    }"""
    same(on_both(text, {"c": np.array(True), "x": X})[0], X)
    refused_by_both(text, {"c": np.array(False), "x": X})


def test_inputs_of_bodies_are_matched_by_order() -> None:
    """The body's names are its own, even where outer values have them."""
    same(scanned(X[:3], np.zeros((), np.float32), body=body(1))[1], [1, 3, 6])
    case = Case("Scan", "", 11, (X[:1], X[:1]), {"num_scan_inputs": 1, "body": body(1)}, 2)
    assert list(case.feeds()) == ["x0", "x1"]


def test_outputs_that_nobody_names_shift_nothing() -> None:
    text = """g (float[N] x) => (float[K] s) {
        m = Constant<value_int = 3>()
        unused, s = Loop (m, , x) <body = b (int64 i, bool c, float[N] p) => (bool d, float[N] q, float r) {
            d = Identity(c) q = Add(p, p) r = ReduceSum<keepdims = 0>(q)
        }>
    }"""
    same(on_both(text, {"x": X[:2]})[0], [6, 12, 24])
    scan = "g (float[N] x, float z) => (float[N] s) { u, s = Scan<num_scan_inputs = 1, body = b (float p, float e) => "
    scan += "(float q, float r) { q = Add(p, e) r = Identity(q) }>(z, x) }"
    same(on_both(scan, {"x": X[:3], "z": np.zeros((), np.float32)})[0], [1, 3, 6])


def mapped(inputs: list[Any], outputs: list[str], **how: Any) -> list[Any]:
    nodes = [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Shape", ["a"], ["shape"])]
    types = {"c": F, "shape": TensorProto.INT64, "a": F}
    infos = [helper.make_tensor_value_info(name, types[name], None) for name in outputs]
    formal = [helper.make_tensor_value_info(name, F, None) for name in ("a", "b")]
    graph = helper.make_graph(nodes, "body", formal, infos)
    return answers("SequenceMap", inputs, {"body": graph}, opset=17, n_outputs=len(outputs), **how)


def test_sequence_map_takes_tensors_and_sequences() -> None:
    sums, shapes = mapped([[X, X[:2]], X[:1]], ["c", "shape"])
    assert [x.tolist() for x in sums] == [(X + 1).tolist(), [2, 3]]
    assert [x.tolist() for x in shapes] == [[6], [2]]
    assert [x.tolist() for x in mapped([[X[:1], X[:2]], [X[:1], X[1:2]]], ["c"])[0]] == [[2], [3, 4]]


def test_sequence_map_of_nothing_has_the_declared_types() -> None:
    text = """g (seq(float[N]) s, %s x) => (seq(int64[M]) y) {
        t = SequenceMap<body = b (float[N] a) => (int64[M] o) { o = Shape(a) }>(s)
        y = SequenceInsert(t, x)
    }"""
    [y] = on_both(text % "int64[N]", {"s": [], "x": np.array([1])})
    assert y[0].tolist() == [1]
    refused_by_both(text % "float[N]", {"s": [], "x": X})


def test_sequence_map_needs_one_length() -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])],
        "body",
        [helper.make_tensor_value_info(name, F, None) for name in ("a", "b")],
        [helper.make_tensor_value_info("c", F, None)],
    )
    for second in ([X], [X, X, X], Sequence([], X.dtype)):
        refusals("SequenceMap", [[X, X], second], {"body": graph}, opset=17)
    refusals("SequenceMap", [[X, X]], {"body": graph}, opset=17)


def test_memory_limit_holds_for_what_bodies_pile_up() -> None:
    """Stacked outputs are made in full before the loop ends."""
    case = Case("Scan", "", 11, (np.zeros((), np.float32), np.zeros(10_000, np.float32)), {}, 2)
    case.attributes.update(num_scan_inputs=1, body=body(1))  # type: ignore[attr-defined]
    for limit, fits in ((30_000, False), (1 << 20, True)):
        options = diptych.SessionOptions()
        options.memory_limit = limit
        session = diptych.InferenceSession(case.model().SerializeToString(), options)
        if fits:
            assert len(session.run(None, case.feeds())[1]) == 10_000
        else:
            with pytest.raises(diptych.ResourceLimitError):
                session.run(None, case.feeds())


def test_a_long_scan_can_be_stopped() -> None:
    """An axis without elements costs nothing to feed, and as many steps as it is long."""
    endless = np.zeros((2**40, 0), np.float32)
    case = Case("Scan", "", 11, (endless,), {"num_scan_inputs": 1, "body": body(0, [0])}, 1)
    session = diptych.InferenceSession(case.model().SerializeToString())
    options = diptych.RunOptions()
    options.timeout = 0.2
    with pytest.raises((diptych.DeadlineExceededError, diptych.ResourceLimitError)):
        session.run(None, case.feeds(), options)


def test_answer_is_of_one_output() -> None:
    assert answer("SequenceLength", [[X, X]], opset=11) == np.array(2)
