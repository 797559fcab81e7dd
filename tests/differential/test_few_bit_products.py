"""Blocked DequantizeLinear and MatMul as one MatMulNBits: no bit changes, and only what may becomes one."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.testing import engine_paths
from diptych.testing.values import numpy_dtype, onnx_number

Drawn = dict[str, Any]


@st.composite
def products(draw: Any) -> Drawn:
    """Extents, types and what is absent."""
    return {
        "k": draw(st.sampled_from([32, 1, 16, 17, 40, 100, 513])),
        "n": draw(st.sampled_from([1, 2, 7, 16, 33, 70])),
        "rows": draw(st.sampled_from([(1,), (), (5,), (2, 3), (0,)])),
        "block": draw(st.sampled_from([16, 32, 128, 3])),
        "kind": draw(st.sampled_from(["int4", "uint4", "int8", "uint8"])),
        "scale": draw(st.sampled_from(["float", "float", "float16"])),
        "zeros": draw(st.booleans()),
        "axis": draw(st.sampled_from([0, -2])),
        "seed": draw(st.integers(0, 0xFFFF)),
    }


def model(drawn: Drawn) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """DequantizeLinear of constants, then MatMul."""
    random, dtype = np.random.default_rng(drawn["seed"]), numpy_dtype(drawn["kind"])
    float_type = numpy_dtype(drawn["scale"])
    ends = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    by_block = (-(-drawn["k"] // drawn["block"]), drawn["n"])

    def integers(shape: tuple[int, ...]) -> Any:
        return random.integers(int(ends.min), int(ends.max), shape, endpoint=True).astype(np.int16).astype(dtype)

    constants = {"w": integers((drawn["k"], drawn["n"])), "scale": random.normal(size=by_block).astype(float_type)}
    if drawn["zeros"]:
        constants["zero"] = integers(by_block)
    a = random.normal(size=(*drawn["rows"], drawn["k"])).astype(float_type)
    nodes = [
        helper.make_node("DequantizeLinear", list(constants), ["dense"], axis=drawn["axis"], block_size=drawn["block"]),
        helper.make_node("MatMul", ["a", "dense"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("a", onnx_number(a.dtype), a.shape)],
        [helper.make_tensor_value_info("y", onnx_number(a.dtype), None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), {"a": a}


@given(products())
def test_no_bit_changes(drawn: Drawn) -> None:
    proto, feeds = model(drawn)
    [expected] = diptych_reference.ReferenceSession(proto).run(None, feeds)
    for isa, threads in engine_paths():
        for disabled in ([], ["few_bit_products"], ["constant_folding"]):
            options = diptych.SessionOptions(isa=isa, threads=threads, disabled_passes=disabled)
            [actual] = diptych.InferenceSession(proto, options).run(None, feeds)
            problem = compare(expected, actual).problem
            assert not problem, f"{isa}, {threads} threads, without {disabled}: {problem}"


SIMPLEST: Drawn = {
    "k": 32, "n": 2, "rows": (1,), "block": 16, "kind": "int4", "scale": "float", "zeros": False, "axis": 0, "seed": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "operators"),
    [
        ({}, ["MatMulNBits"]),
        ({"kind": "uint4", "zeros": True}, ["MatMulNBits"]),
        ({"kind": "uint8", "k": 1000, "n": 400}, ["MatMulNBits"]),  # too large to be folded
        ({"kind": "uint8"}, ["MatMul"]),  # folded
        ({"block": 3}, ["DequantizeLinear", "MatMul"]),
        ({"scale": "float16"}, ["DequantizeLinear", "MatMul"]),  # weights are rounded to 16 bits there
    ],
)
def test_which_products_it_takes(changed: Drawn, operators: list[str]) -> None:
    proto, feeds = model({**SIMPLEST, **changed})
    options = diptych.SessionOptions(threads=1)
    options.enable_profiling = True
    session = diptych.InferenceSession(proto, options)
    session.run(None, feeds)
    assert [event["op_type"] for event in session.take_events()] == operators


def test_weights_stay_small() -> None:
    """No float form of them, in no arena: packed they are as many bits as in the file, and scales."""
    proto, feeds = model({**SIMPLEST, "k": 1024, "n": 512, "block": 32})
    session = diptych.InferenceSession(proto)
    session.run(None, feeds)
    memory = session.memory()
    weights, scales = 1024 * 512 // 2, 4 * 1024 * 512 // 32
    assert memory["packed"] <= weights + scales
    assert memory["temporary"] <= 1 << 16
