"""Maps from and to Python: dicts in, dicts of Python's own numbers and strings out, as ONNX Runtime has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import diptych
import diptych_reference
from diptych.compare import compare

ML = "ai.onnx.ml"


def map_type(key: int, value: int) -> onnx.TypeProto:
    return helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, []))


def model(op_type: str, source: onnx.TypeProto, target: onnx.TypeProto, **attributes: Any) -> bytes:
    """A model of one node, with its input and output declared."""
    node = helper.make_node(op_type, ["x"], ["y"], domain=ML, **attributes)
    x, y = helper.make_value_info("x", source), helper.make_value_info("y", target)
    graph = helper.make_graph([node], "g", [x], [y])
    opsets = [helper.make_opsetid(ML, 1), helper.make_opsetid("", 17)]
    found: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return found


FLOATS = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 3])
ZIP = model(
    "ZipMap",
    FLOATS,
    helper.make_sequence_type_proto(map_type(TensorProto.STRING, TensorProto.FLOAT)),
    classlabels_strings=["c", "a", "b"],
)
VECTOR = model(
    "DictVectorizer",
    map_type(TensorProto.INT64, TensorProto.FLOAT),
    helper.make_tensor_type_proto(TensorProto.FLOAT, [None]),
    int64_vocabulary=[3, 1],
)


def test_zip_map_gives_dicts_as_onnxruntime_does() -> None:
    x = np.array([[0.25, 0.5, 0.1], [1, 2, 3]], np.float32)
    session = diptych.InferenceSession(ZIP)
    assert session.get_outputs()[0].type == "seq(map(string,tensor(float)))"
    (found,) = session.run(None, {"x": x})
    assert found == [{"a": 0.5, "b": float(np.float32(0.1)), "c": 0.25}, {"a": 2.0, "b": 3.0, "c": 1.0}]
    assert [type(value) for value in found[0].values()] == [float] * 3
    onnxruntime = pytest.importorskip("onnxruntime")
    theirs = onnxruntime.InferenceSession(ZIP, providers=["CPUExecutionProvider"])
    assert theirs.get_outputs()[0].type == session.get_outputs()[0].type
    assert theirs.run(None, {"x": x}) == [found]
    (reference,) = diptych_reference.ReferenceSession(ZIP).run(None, {"x": x})
    assert compare(reference, found).equal
    assert session.run(None, {"x": np.zeros((0, 3), np.float32)}) == [[]]


def test_the_drop_in_gives_them_too() -> None:
    from diptych import onnxruntime

    session = onnxruntime.InferenceSession(ZIP)
    (value,) = session.run_with_ort_values(
        None, {"x": onnxruntime.OrtValue.ortvalue_from_numpy(np.ones((1, 3), np.float32))}
    )
    assert value.data_type() == "seq(map(string,tensor(float)))"
    assert not value.is_tensor()


def test_dicts_are_fed_by_their_declared_types() -> None:
    session = diptych.InferenceSession(VECTOR)
    assert session.get_inputs()[0].type == "map(int64,tensor(float))"
    assert repr(session.get_inputs()[0]).count("map(int64,tensor(float))") == 1
    reference = diptych_reference.ReferenceSession(VECTOR)
    for fed, expected in (
        ({1: 2.5, 3: -1}, [-1.0, 2.5]),
        ({np.int64(1): np.float32(2.5)}, [0.0, 2.5]),
        ({}, [0.0, 0.0]),
        ({7: 1.0}, [0.0, 0.0]),
    ):
        for panel in (session, reference):
            (y,) = panel.run(None, {"x": fed})
            assert (y.dtype, y.tolist()) == (np.float32, expected)


@pytest.mark.parametrize(
    "fed", [{"1": 2.0}, {1: "2"}, {1: None}, {1.5: 2.0}, {1: [1.0, 2.0]}, [1.0], np.ones(1, np.float32), None]
)
def test_other_values_are_refused(fed: Any) -> None:
    with pytest.raises(diptych.InvalidInputError):
        diptych.InferenceSession(VECTOR).run(None, {"x": fed})


def test_an_operator_takes_a_dict() -> None:
    (y,) = diptych.run_operator("CastMap", [{2: "4", 1: "3"}], domain=ML)
    assert y.tolist() == [[3.0, 4.0]]
    (maps,) = diptych.run_operator("ZipMap", [np.ones((1, 2), np.float32)], {"classlabels_int64s": [4, 4]}, domain=ML)
    assert maps == [{4: 1.0}]
    with pytest.raises(diptych.InvalidInputError, match="does not say of what type"):
        diptych.run_operator("CastMap", [{}], domain=ML)
    with pytest.raises(diptych.InvalidTypeError, match="tensor"):
        diptych.run_operator("CastMap", [np.ones(3, np.float32)], domain=ML)
    with pytest.raises(diptych.InvalidTypeError, match="map"):
        diptych.run_operator("Relu", [{1: np.float32(1)}])


def test_keys_are_in_order() -> None:
    """Keys come in ascending order, also where the output has no declared type."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])
    zipped = helper.make_node("ZipMap", ["x"], ["z"], domain=ML, classlabels_int64s=[5, 3])
    graph = helper.make_graph([zipped], "g", [x], [helper.make_empty_tensor_value_info("z")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid(ML, 1)], ir_version=8).SerializeToString()
    feeds = {"x": np.array([[1, 2], [3, 4]], np.float32)}
    (found,) = diptych.InferenceSession(made).run(None, feeds)
    assert found == [{5: 1.0, 3: 2.0}, {5: 3.0, 3: 4.0}]
    assert list(found[0]) == [3, 5]


def test_maps_compare() -> None:
    one = {1: np.float32(0.1), 2: np.float32("nan")}
    assert compare([one], [{2: float("nan"), 1: float(np.float32(0.1))}]).equal
    assert not compare(one, {1: 0.1, 2: float("nan")}).equal  # 0.1 is no binary32 number
    assert not compare(one, {1: float(np.float32(0.1))}).equal
    assert not compare({1: np.float32(0.0)}, {1: -0.0}).equal
    assert not compare({1: np.float32(1)}, {1: 1}).equal
    assert compare({"a": "b"}, {"a": "b"}).equal
    assert not compare({"a": "b"}, {"a": "c"}).equal
