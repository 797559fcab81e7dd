"""What the benchmarks share: a model on one panel, on one thread, with what is too long for the reference left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import diptych
from diptych_reference import ReferenceSession

PANELS = ["engine", "reference"]
OPSET = 17

Run = Callable[[], list[Any]]


def runner(panel: str, model: onnx.ModelProto, feeds: Mapping[str, Any]) -> Run:
    """Return a function that runs `model` once on `feeds`; it has run already, so that plans are made."""
    content = model.SerializeToString()
    if panel == "engine":
        session = diptych.InferenceSession(content, diptych.SessionOptions(threads=1))
    else:
        session = ReferenceSession(content)
    session.run(None, feeds)
    return lambda: session.run(None, feeds)


def node_runner(
    panel: str, op_type: str, feeds: Sequence[Any], weights: Sequence[Any] = (), outputs: int = 1, **attributes: Any
) -> Run:
    """Like `runner`, of one node that reads `feeds` and then the constants `weights` (None: absent)."""
    names = [f"x{i}" for i in range(len(feeds))]
    constants = {f"w{i}": value for i, value in enumerate(weights) if value is not None}
    inputs = names + [f"w{i}" if value is not None else "" for i, value in enumerate(weights)]
    results = [f"y{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, inputs, results, **attributes)],
        op_type,
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in zip(names, feeds, strict=True)
        ],
        [onnx.ValueInfoProto(name=name) for name in results],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    )
    return runner(panel, model, dict(zip(names, feeds, strict=True)))


def engine_only(panel: str, too_long: bool) -> None:
    """Leave a case out on the reference, where it would take minutes; asv shows it as n/a."""
    if panel == "reference" and too_long:
        raise NotImplementedError


def normal(*shape: int, seed: int = 0) -> Any:
    """Standard normals in float32."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
