"""Weights in 4 bits, in blocks of 32 of the summed axis: com.microsoft's MatMulNBits, or opset 21's DequantizeLinear.

Every block has a scale and a zero point of its own, so that 0 is met exactly. Products whose right side is no weight
of the file, such as scores with a tied embedding, stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tools.models.graph import Array

from diptych.testing.blocks import block_codes, quantize_blocks

BLOCK = 32
MICROSOFT = helper.make_opsetid("com.microsoft", 1)

# Nodes that stand for a product x @ W, and their initializers.
Rewritten = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


def matmul_nbits(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every product with a weight as a MatMulNBits."""
    model.opset_import.append(MICROSOFT)
    return _rewrite(model, _as_operator)


def dequantized_blocks(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every product with a weight as DequantizeLinear with blocks, then MatMul, in opset 21.

    Between 17 and 21 no operator of the models here changes but in the types that it takes.
    """
    for opset in model.opset_import:
        if not opset.domain:
            opset.version = max(21, opset.version)
    model.ir_version = max(10, model.ir_version)
    return _rewrite(model, _as_blocks)


def _rewrite(model: onnx.ModelProto, form: Callable[[onnx.NodeProto, Array], Rewritten]) -> onnx.ModelProto:
    """Put what `form` makes of them in the place of products with weights; unused weights go."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    nodes, added = [], []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            replaced, tensors = form(node, numpy_helper.to_array(weights[node.input[1]]))
            nodes += replaced
            added += tensors
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    graph = helper.make_graph(nodes, model.graph.name, model.graph.input, model.graph.output, [*kept, *added])
    result = helper.make_model(
        graph,
        producer_name=model.producer_name,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    onnx.checker.check_model(result)
    return result


def _as_operator(node: onnx.NodeProto, weight: Array) -> Rewritten:
    """MatMulNBits, of the file's accuracy (level 0)."""
    inputs, outputs = weight.shape
    codes, scales, zero_points = quantize_blocks(weight, BLOCK, symmetric=False)
    name = node.output[0]
    tensors = {f"{name}.values": codes, f"{name}.scales": scales.reshape(-1), f"{name}.zero_points": zero_points}
    product = helper.make_node(
        "MatMulNBits",
        [node.input[0], *tensors],
        [name],
        domain="com.microsoft",
        K=inputs,
        N=outputs,
        bits=4,
        block_size=BLOCK,
    )
    return [product], [numpy_helper.from_array(np.ascontiguousarray(a), key) for key, a in tensors.items()]


def _as_blocks(node: onnx.NodeProto, weight: Array) -> Rewritten:
    """DequantizeLinear of uint4 with one scale and zero point a block, then MatMul."""
    codes, scales, zero_points = block_codes(weight, BLOCK, symmetric=False)
    values = codes.reshape(weight.shape[1], -1)[:, : weight.shape[0]]
    name = node.output[0]
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(values.T).astype(ml_dtypes.uint4), f"{name}.values"),
        numpy_helper.from_array(np.ascontiguousarray(scales.T), f"{name}.scales"),
        numpy_helper.from_array(np.ascontiguousarray(zero_points.T).astype(ml_dtypes.uint4), f"{name}.zero_points"),
    ]
    assert tensors[0].data_type == TensorProto.UINT4
    names = [tensor.name for tensor in tensors]
    real = f"{name}.weight"
    nodes = [
        helper.make_node("DequantizeLinear", names, [real], axis=0, block_size=BLOCK),
        helper.make_node("MatMul", [node.input[0], real], [name]),
    ]
    return nodes, tensors
