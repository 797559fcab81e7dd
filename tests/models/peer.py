"""ONNX Runtime as the peer: every value of a model's main graph, and the engine beside it node by node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from tests.ops.composition import has_vnni

import diptych
from diptych.diff.judging import RANDOM
from diptych.testing.oracles.tolerances import Call, problem, tolerance
from diptych_reference.model import Model, Node, load

onnxruntime.set_default_logger_severity(3)


def session(model: bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one thread, graph optimisations off, so that nodes are what the file says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def all_values(model: bytes, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Every value of the main graph by name: initializers, feeds, and what ONNX Runtime computes."""
    loaded = load(model)
    proto = onnx.load_from_string(model)
    names = [name for node in loaded.graph.nodes for name in node.outputs if name]
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    computed = session(proto.SerializeToString()).run(names, dict(feeds))
    return {**loaded.graph.initializers, **feeds, **dict(zip(names, computed, strict=True))}


def disagreements(model: bytes, feeds: Mapping[str, Any]) -> Iterator[str]:
    """Run each node of the main graph on the engine with ONNX Runtime's inputs; yield what exceeds its bound.

    Nodes that hold graphs are not run alone; the comparison of whole outputs covers them. What is drawn at random is
    drawn by each engine's own generator. Products of signed bytes are left out where ONNX Runtime's saturate.
    """
    loaded = load(model)
    values = all_values(model, feeds)
    for node in loaded.graph.nodes:
        if not any(node.graphs()) and node.op_type not in RANDOM and not _saturates(node, values):
            yield from _node(loaded, node, values)


def _saturates(node: Node, values: Mapping[str, Any]) -> bool:
    """Whether ONNX Runtime adds pairs of products at int16, which its kernels for CPUs without VNNI do."""
    if has_vnni() or node.op_type not in ("MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv"):
        return False
    return any(name and np.asarray(values[name]).dtype == np.int8 for name in node.inputs)


def _node(model: Model, node: Node, values: Mapping[str, Any]) -> Iterator[str]:
    """Problems of one node."""

    def evaluate(inputs: list[Any]) -> list[Any]:
        return diptych.run_operator(
            node.op_type,
            inputs,
            node.attributes,
            opset=model.opsets[node.domain],
            domain=node.domain,
            n_outputs=len(node.outputs),
        )

    inputs = [np.asarray(values[name]) if name else None for name in node.inputs]
    outputs = [np.asarray(values[name]) if name else None for name in node.outputs]
    try:
        actual = evaluate(inputs)
    except diptych.Error as error:
        yield f"{node.label}: {type(error).__name__}: {error}"
        return
    call = Call(node.op_type, node.attributes, inputs, outputs, evaluate)
    for index, allowed in enumerate(tolerance(call)):
        if outputs[index] is not None:
            found = problem(call, index, actual[index], allowed)
            if found:
                yield f"{node.label}, output {node.outputs[index]!r}: {found}"
