"""Operators of com.microsoft beside what they are composed of, and beside ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import helper

import diptych
import diptych_reference
from diptych.testing import Case, difference, on_engine, on_reference
from diptych.testing.values import Array, onnx_number

onnxruntime.set_default_logger_severity(4)

Nodes = Sequence[tuple[str, str, str, dict[str, Any]]]  # operator, inputs, outputs, attributes


def numbers(*shape: int, dtype: Any = np.float32, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).normal(size=shape).astype(dtype)


def has_vnni() -> bool:
    """Whether products of bytes are exact in ONNX Runtime here: without VNNI pairs of them saturate at int16."""
    path = Path("/proc/cpuinfo")
    return path.exists() and any(flag in path.read_text() for flag in ("avx512_vnni", "avx_vnni"))


def byte_weights(values: Array) -> Array:
    """Signed bytes as ONNX Runtime multiplies them exactly on this machine: of seven bits where it has no VNNI."""
    return values if values.dtype != np.int8 or has_vnni() else values >> 1


def both(case: Case) -> list[Any]:
    """The outputs, equal on both panels."""
    expected = on_reference(case)
    assert expected.error is None, expected.error
    problem = difference(expected, on_engine(case))
    assert not problem, problem
    return list(expected.outputs)


def case(op_type: str, inputs: Sequence[Any], attributes: dict[str, Any], n_outputs: int = 1) -> Case:
    return Case(op_type, "com.microsoft", 1, tuple(inputs), attributes, n_outputs)


def onnxruntime_on(one: Case) -> list[Any]:
    """What ONNX Runtime gives, told all shapes."""
    model = one.model()
    for declared, value in zip(model.graph.input, one.feeds().values(), strict=True):
        for dim, n in zip(declared.type.tensor_type.shape.dim, value.shape, strict=True):
            dim.dim_value = n
    if not one.domain:
        model.opset_import[0].version = 22
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, one.feeds()))


def near_onnxruntime(one: Case, tolerance: float = 3e-6) -> None:
    """Both panels agree, and with ONNX Runtime to `tolerance` of the greatest number."""
    for ours, peer in zip(both(one), onnxruntime_on(one), strict=True):
        assert (ours.dtype, ours.shape) == (peer.dtype, peer.shape)
        apart = np.abs(ours.astype(np.float64) - peer.astype(np.float64))
        assert apart.max(initial=0) <= tolerance * max(1.0, np.abs(peer.astype(np.float64)).max(initial=0))


def composed(nodes: Nodes, feeds: dict[str, Any], outputs: Sequence[str]) -> list[Any]:
    """The outputs of a graph of plain operators, equal on both panels."""
    inputs = [helper.make_tensor_value_info(n, onnx_number(v.dtype), list(v.shape)) for n, v in feeds.items()]
    graph = helper.make_graph(
        [helper.make_node(op, i.split(), o.split(), **a) for op, i, o, a in nodes],
        "g",
        inputs,
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10).SerializeToString()
    left = diptych_reference.ReferenceSession(model).run(None, feeds)
    right = diptych.InferenceSession(model).run(None, feeds)
    for expected, actual in zip(left, right, strict=True):
        assert expected.tobytes() == np.asarray(actual).tobytes()
    return list(left)


def same_bits(fused: Sequence[Any], plain: Sequence[Any]) -> None:
    for actual, expected in zip(fused, plain, strict=True):
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        assert actual.tobytes() == expected.tobytes()
