"""One product with weights of 4 bits, as language models have hundreds of: a token's row, or those of a prompt."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper
from tools.models.graph import GraphBuilder

from diptych.testing.blocks import quantize_blocks


def int4_product(
    k: int = 4096, n: int = 4096, block: int = 32, accuracy_level: int = 4, seed: int = 6
) -> onnx.ModelProto:
    """Input a: float32 [rows, k]; output y: float32 [rows, n]. Weights are symmetric, in blocks along k."""
    g = GraphBuilder("int4_product", seed)
    g.input("a", ["rows", k])
    b, scales, _ = quantize_blocks(g.rng.standard_normal((k, n), dtype="float32"), block)
    weights = [numpy_helper.from_array(b, "b"), numpy_helper.from_array(scales, "scales")]
    node = helper.make_node(
        "MatMulNBits", ["a", "b", "scales"], ["y"], domain="com.microsoft",
        K=k, N=n, block_size=block, bits=4, accuracy_level=accuracy_level,
    )  # fmt: skip
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", n])
    graph = helper.make_graph([node], g.name, g.inputs, [output], weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, producer_name="diptych tools.models", opset_imports=opsets, ir_version=8)
