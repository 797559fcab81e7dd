"""Sequences and optionals."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser
from tests.traps.both import answer, refusals, same

import diptych
import diptych.onnxruntime
import diptych_reference
from diptych.compare import compare
from diptych_reference import NOTHING, Sequence

X = np.arange(6, dtype=np.float32)
FLOAT, INT64 = (helper.make_tensor_type_proto(number, None) for number in (TensorProto.FLOAT, TensorProto.INT64))


def position(value: int) -> Any:
    return np.array(value, np.int64)


def test_split_to_sequence_lengths() -> None:
    """A scalar need not divide the length; a list adds up, and may hold 0."""
    assert [len(x) for x in answer("SplitToSequence", [X, np.array(4)], opset=11)] == [4, 2]
    assert [len(x) for x in answer("SplitToSequence", [X, np.array([0, 6])], opset=24)] == [0, 6]
    assert [x.shape for x in answer("SplitToSequence", [X, np.array([6], np.int32)], opset=11)] == [(6,)]
    for split in (np.array(0), np.array(-1), np.array([5]), np.array([7, -1]), np.array([[6]])):
        refusals("SplitToSequence", [X, split], opset=11)


def test_split_ignores_keepdims() -> None:
    assert [x.shape for x in answer("SplitToSequence", [X], {"keepdims": 0}, opset=11)] == [()] * 6
    pieces = answer("SplitToSequence", [X, np.array(1)], {"keepdims": 0}, opset=11)
    assert [x.shape for x in pieces] == [(1,)] * 6


def test_positions_count_from_either_end() -> None:
    items = [X, X[:2]]
    same(answer("SequenceAt", [items, position(-2)], opset=11), X)
    assert [len(x) for x in answer("SequenceErase", [items], opset=11)] == [6]
    assert [len(x) for x in answer("SequenceInsert", [items, X[:0], position(-1)], opset=11)] == [6, 0, 2]
    assert [len(x) for x in answer("SequenceInsert", [items, X[:0], position(2)], opset=11)] == [6, 2, 0]
    assert [len(x) for x in answer("SequenceInsert", [items, X[:0], position(-2)], opset=11)] == [0, 6, 2]
    for op_type, values in (("SequenceAt", [2, -3]), ("SequenceErase", [2, -3])):
        for value in values:
            refusals(op_type, [items, position(value)], opset=11)
    for value in (3, -3):
        refusals("SequenceInsert", [items, X, position(value)], opset=11)
    refusals("SequenceErase", [Sequence([], X.dtype)], opset=11)


def test_concat_from_sequence() -> None:
    """Along an axis that is there, lengths may differ; along a new one, nothing may. Its range is one greater."""
    a, b = X.reshape(2, 3), X[:2].reshape(2, 1)
    assert answer("ConcatFromSequence", [[a, b]], {"axis": -1}, opset=11).shape == (2, 4)
    assert answer("ConcatFromSequence", [[a, a, a]], {"axis": -1, "new_axis": 1}, opset=11).shape == (2, 3, 3)
    assert answer("ConcatFromSequence", [[X[0], X[1]]], {"axis": 0, "new_axis": 1}, opset=11).shape == (2,)
    refusals("ConcatFromSequence", [[a, b]], {"axis": 0}, opset=11)
    refusals("ConcatFromSequence", [[a, b]], {"axis": 0, "new_axis": 1}, opset=11)
    refusals("ConcatFromSequence", [[a]], {"axis": 2}, opset=11)
    refusals("ConcatFromSequence", [[X[0]]], {"axis": 0}, opset=11)
    refusals("ConcatFromSequence", [Sequence([], X.dtype)], {"axis": 0}, opset=11)


Panels = tuple[diptych.InferenceSession, diptych_reference.ReferenceSession]


def parsed(text: str) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: 10, opset_import: ["": 18]> {text}')


def model(source: str | onnx.ModelProto) -> Panels:
    proto = parsed(source) if isinstance(source, str) else source
    return diptych.InferenceSession(proto.SerializeToString()), diptych_reference.ReferenceSession(proto)


def on_both(source: str | onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """Outputs, equal on both panels."""
    engine, reference = model(source)
    expected = reference.run(None, feeds)
    assert all(compare(e, a).equal for e, a in zip(expected, engine.run(None, feeds), strict=True))
    return expected


def refused_by_both(source: str | onnx.ModelProto, feeds: dict[str, Any]) -> None:
    engine, reference = model(source)
    with pytest.raises(diptych.Error):
        engine.run(None, feeds)
    with pytest.raises(diptych_reference.Error):
        reference.run(None, feeds)


def test_an_empty_sequence_has_a_type() -> None:
    """From its attribute, from the model's input, from the sequence it was; a bare list given alone has none."""
    insert = "g (seq(float[N]) s, int64[N] x) => (seq(int64[N]) y)"
    refused_by_both(insert + "{ y = SequenceInsert(s, x) }", {"s": [], "x": X.astype(np.int64)})
    refused_by_both(insert + "{ e = SequenceErase(s) y = SequenceInsert(e, x) }", {"s": [X], "x": X.astype(np.int64)})
    made = "g (int64[N] x) => (seq(int64[N]) y) { s = SequenceEmpty<dtype=%d>() y = SequenceInsert(s, x) }"
    refused_by_both(made % TensorProto.FLOAT, {"x": X.astype(np.int64)})
    [y] = on_both(made % TensorProto.INT64, {"x": X.astype(np.int64)})
    assert y[0].dtype == np.int64
    refusals("SequenceInsert", [[X], X.astype(np.int64)], opset=11)
    refusals("SequenceInsert", [Sequence([], X.dtype), X.astype(np.int64)], opset=11)
    for run in (diptych.run_operator, diptych_reference.run_operator):
        [y] = run("SequenceInsert", [[], X], opset=11)  # type: ignore[operator]
        same(y[0], X)


def test_items_are_of_one_type() -> None:
    for run, error in (
        (diptych.run_operator, diptych.InvalidTypeError),
        (diptych_reference.run_operator, diptych_reference.InvalidTypeError),
    ):
        with pytest.raises(error):
            run("SequenceLength", [[X, X.astype(np.int64)]], opset=11)  # type: ignore[operator]
    refusals("SequenceConstruct", [X, X.astype(np.int64)], opset=11)


def test_sequences_of_strings() -> None:
    words = [np.array(["ä", ""], object), np.array("日", object)]
    joined = answer("SequenceInsert", [words, np.array([], object), position(0)], opset=11)
    assert [x.tolist() for x in joined] == [[], ["ä", ""], "日"]
    assert answer("SequenceAt", [words, position(1)], opset=11).shape == ()
    pieces = answer("SplitToSequence", [words[0]], {"keepdims": 0}, opset=11)
    assert answer("ConcatFromSequence", [pieces], {"axis": 0, "new_axis": 1}, opset=11).tolist() == ["ä", ""]


def test_an_optional_is_its_value() -> None:
    same(answer("Optional", [X], opset=15), X)
    same(answer("OptionalGetElement", [X], opset=15), X)
    assert len(answer("OptionalGetElement", [[X, X]], opset=15)) == 2
    assert answer("OptionalHasElement", [X], opset=15) == np.array(True)
    [y] = on_both("g (float[N] x) => (float[N] y) { o = Optional(x) y = Add(o, x) }", {"x": X})
    same(y, X + X)


def test_optional_has_element_of_an_absent_input() -> None:
    """From version 18 on the input may be absent; before, only an optional may hold nothing."""
    assert answer("OptionalHasElement", [None], opset=18) == np.array(False)
    assert answer("OptionalHasElement", [], opset=28) == np.array(False)
    assert answer("OptionalHasElement", [NOTHING], opset=15) == np.array(False)
    assert answer("OptionalHasElement", [Sequence([], X.dtype)], opset=18) == np.array(True)
    refusals("OptionalHasElement", [], opset=15)
    refusals("OptionalGetElement", [NOTHING], opset=18)


def test_an_empty_optional_goes_where_optionals_go() -> None:
    assert answer("Identity", [NOTHING], opset=16) is None
    refusals("Identity", [NOTHING], opset=14)
    refusals("Identity", [None], opset=16)
    refusals("Slice", [X, np.array([0]), np.array([1]), NOTHING], opset=13)


def test_an_optional_of_nothing_needs_a_type() -> None:
    refusals("Optional", [], opset=15)
    assert answer("Optional", [], {"type": FLOAT}, opset=15) is None
    assert answer("Optional", [], {"type": helper.make_sequence_type_proto(INT64)}, opset=28) is None
    same(answer("Optional", [X], {"type": FLOAT}, opset=28), X)


@pytest.mark.parametrize("value", [None, [X, X[:2]], []], ids=["nothing", "sequence", "empty"])
def test_optional_sequences_pass_through_a_session(value: Any) -> None:
    """Fed and returned, by the session and by the drop-in module."""
    text = "g (optional(seq(float[N])) x) => (optional(seq(float[N])) y, bool[] h)"
    body = "{ y = Identity(x) h = OptionalHasElement(x) }"
    y, h = on_both(text + body, {"x": value})
    assert (value is None) == (y is None)
    assert h == np.array(value is not None)
    session = diptych.onnxruntime.InferenceSession(parsed(f"{text} {body}").SerializeToString())
    wrapped = diptych.onnxruntime.OrtValue(value)
    [y, _] = session.run_with_ort_values(None, {"x": wrapped})
    assert y.has_value() == (value is not None)
    assert y.is_tensor_sequence() == (value is not None)
    assert not y.is_tensor()
    assert y.data_type() == "seq(tensor(float))"


def test_a_sequence_of_another_type_is_not_fed() -> None:
    text = "g (seq(float[N]) x) => (seq(float[N]) y) { y = Identity(x) }"
    for value in ([X.astype(np.int64)], [X, X.astype(np.int64)], X, None):
        refused_by_both(text, {"x": value})


def test_a_branch_gives_an_optional() -> None:
    """Shapes that a list has never seen: nothing, then a sequence; and what reads them."""
    text = """g (bool c, float[N] x) => (bool h, optional(seq(float[N])) o) {
        o = If (c) <
            then_branch = t () => (optional(seq(float[N])) a) { s = SequenceConstruct(x, x) a = Optional(s) },
            else_branch = e () => (optional(seq(float[N])) b) { b = Optional() }
        >
        h = OptionalHasElement(o)
    }"""
    proto = parsed(text)
    else_branch = next(a.g for a in proto.graph.node[0].attribute if a.name == "else_branch")
    else_branch.node[0].attribute.append(helper.make_attribute("type", helper.make_sequence_type_proto(FLOAT)))
    h, o = on_both(proto, {"c": np.array(True), "x": X})
    assert (bool(h), len(o)) == (True, 2)
    h, o = on_both(proto, {"c": np.array(False), "x": X})
    assert (bool(h), o) == (False, None)


GROWING = """g (int64 n, float[N] x) => (seq(float[N]) y) {
    e = SequenceEmpty()
    y = Loop (n, , e) <body = b (int64 i, bool c, seq(float[N]) s) => (bool d, seq(float[N]) t) {
        d = Identity(c)
        t = SequenceInsert(s, x)
    }>
}"""


def test_a_loop_grows_a_sequence() -> None:
    [y] = on_both(GROWING, {"n": np.array(3), "x": X})
    assert [item.tolist() for item in y] == [X.tolist()] * 3
    [y] = on_both(GROWING, {"n": np.array(0), "x": X})
    assert y == []


def test_a_growing_sequence_is_not_copied() -> None:
    """Items are moved where nobody else holds the sequence, and what somebody holds does not change."""
    [y] = model(GROWING)[0].run(None, {"n": np.array(20_000), "x": X[:1]})
    assert len(y) == 20_000
    kept = """g (seq(float[N]) s, float[N] x) => (seq(float[N]) a, seq(float[N]) b, seq(float[N]) s2) {
        a = SequenceInsert(s, x) b = SequenceErase(s) s2 = Identity(s)
    }"""
    a, b, s = on_both(kept, {"s": [X, X[:2]], "x": X[:1]})
    assert [len(items) for items in (a, b, s)] == [3, 1, 2]
    twice = """g (seq(float[N]) s, float[N] x) => (seq(float[N]) c, int64 n) {
        a = Identity(s) b = SequenceInsert(a, x) c = SequenceInsert(b, x) n = SequenceLength(b)
    }"""
    c, n = on_both(twice, {"s": [X], "x": X})
    assert (len(c), int(n)) == (3, 2)


def test_a_fed_list_is_not_changed() -> None:
    fed = [X, X[:2]]
    on_both("g (seq(float[N]) s) => (seq(float[N]) y) { y = SequenceErase(s) }", {"s": fed})
    assert len(fed) == 2


def test_the_function_of_sequence_map_is_a_loop_over_sequences() -> None:
    """ONNX's own body of SequenceMap, expanded, gives the same."""
    schema = onnx.defs.get_schema("SequenceMap", 17)
    assert schema.has_context_dependent_function
