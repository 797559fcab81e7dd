"""Rows and columns: softmax, normalizations, reductions, quantization, losses, attention, optimizers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .case import OperatorCase, Weight, fixed, integers, normal, positive, quantized, uniform, weight

MICROSOFT: dict[str, Any] = {"domain": "com.microsoft", "opset": 1}
PREVIEW: dict[str, Any] = {"domain": "ai.onnx.preview.training", "opset": 1}
STATES = (128, 768)
PLANES = (1, 64, 28, 28)
SCALE, ZERO = Weight(fixed(0.05, np.float32)), Weight(fixed(128, np.uint8))
LAST = Weight(fixed([1], np.int64))

REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "ReduceSumSquare"),
)


def cases() -> Iterator[OperatorCase]:
    """All of them."""
    for op_type in ("Hardmax", "LogSoftmax", "Softmax"):
        yield OperatorCase(op_type, "scores 12x128x128", (normal(12, 128, 128),), {"axis": -1})
    yield OperatorCase("Softmax", "columns 12x128x128", (normal(12, 128, 128),), {"axis": 1})
    yield from normalizations()
    yield from reductions()
    yield from quantization()
    yield from losses()
    yield from attention()


def normalizations() -> Iterator[OperatorCase]:
    """Rows of BERT, planes of ResNet-50."""
    gamma, beta = Weight(positive(768)), weight(768)
    channels = (Weight(positive(64)), weight(64))
    yield OperatorCase("LayerNormalization", "states", (normal(*STATES), gamma, beta))
    yield OperatorCase("RMSNormalization", "states", (normal(*STATES), gamma), opset=23)
    yield OperatorCase("SimplifiedLayerNormalization", "states", (normal(*STATES), gamma), opset=1)
    statistics = (*channels, weight(64), Weight(positive(64)))
    yield OperatorCase("BatchNormalization", "planes 28 x 28", (normal(*PLANES), *statistics))
    yield OperatorCase("InstanceNormalization", "planes 28 x 28", (normal(*PLANES), *channels))
    yield OperatorCase("GroupNormalization", "planes 28 x 28", (normal(*PLANES), *channels), {"num_groups": 8})
    yield OperatorCase("LRN", "five channels", (normal(*PLANES),), {"size": 5})
    yield OperatorCase("LpNormalization", "states", (normal(*STATES),))
    yield OperatorCase("MeanVarianceNormalization", "planes 28 x 28", (normal(*PLANES),))
    states, skip = normal(1, *STATES), normal(1, *STATES)
    yield OperatorCase("SkipLayerNormalization", "states", (states, skip, gamma, beta), **MICROSOFT)
    yield OperatorCase("SkipSimplifiedLayerNormalization", "states", (states, skip, gamma), **MICROSOFT)
    ids = integers(0, 2, 1, 128, dtype=np.int32)
    tables = (weight(1000, 768), weight(128, 768), weight(2, 768))
    yield OperatorCase(
        "EmbedLayerNormalization", "sentence of 128", (ids, ids, *tables, gamma, beta), outputs=2, **MICROSOFT
    )


def reductions() -> Iterator[OperatorCase]:
    """A matrix of 256 x 1024; running sums; the greatest of 10,000."""
    for op_type in REDUCTIONS:
        yield OperatorCase(op_type, "last axis", (positive(256, 1024), LAST))
    for label, axes in (("first axis", (Weight(fixed([0], np.int64)),)), ("all", ())):
        yield OperatorCase("ReduceMean", label, (normal(256, 1024), *axes))
    for op_type in ("ArgMax", "ArgMin"):
        yield OperatorCase(op_type, "1000 classes", (normal(64, 1000),), {"axis": -1})
    axis = Weight(fixed(1, np.int64))
    yield OperatorCase("CumSum", "last axis", (normal(256, 256), axis))
    yield OperatorCase("CumProd", "last axis", (uniform(0.9, 1.1, 256, 256), axis), opset=26)
    for k in (1, 100):
        inputs = (normal(4, 10_000), Weight(fixed([k], np.int64)))
        yield OperatorCase("TopK", f"{k} of 10,000", inputs, outputs=2)


def quantization() -> Iterator[OperatorCase]:
    """To and from 8 bits, and what is computed in them."""
    yield OperatorCase("QuantizeLinear", "states", (normal(*STATES), SCALE, ZERO))
    yield OperatorCase("DequantizeLinear", "states", quantized(*STATES))
    yield OperatorCase("DynamicQuantizeLinear", "states", (normal(*STATES),), outputs=3)
    a, planes = quantized(*STATES), quantized(*PLANES)
    for op_type in ("QLinearAdd", "QLinearMul"):
        yield OperatorCase(op_type, "states", (*a, *quantized(*STATES), SCALE, ZERO), **MICROSOFT)
    for op_type in ("QLinearLeakyRelu", "QLinearSigmoid"):
        yield OperatorCase(op_type, "states", (*a, SCALE, ZERO), **MICROSOFT)
    kernel = {"kernel_shape": [3, 3], "strides": [2, 2]}
    yield OperatorCase("QLinearAveragePool", "3x3/2", (*planes, SCALE, ZERO), kernel, **MICROSOFT)
    yield OperatorCase("QLinearGlobalAveragePool", "planes 28 x 28", (*planes, SCALE, ZERO), **MICROSOFT)
    yield OperatorCase("QLinearConcat", "two states", (SCALE, ZERO, *a, *a), {"axis": 0}, **MICROSOFT)
    yield OperatorCase("QLinearSoftmax", "states", (*a, SCALE, ZERO), {"axis": -1, "opset": 13}, **MICROSOFT)
    condition = integers(0, 2, *STATES, dtype=np.bool_)
    yield OperatorCase("QLinearWhere", "states", (condition, *a, *a, SCALE, ZERO), **MICROSOFT)


def losses() -> Iterator[OperatorCase]:
    """128 rows of 1000 classes; optimizers of a matrix of 128 x 128, and a gradient."""
    labels = integers(0, 1000, 128)
    yield OperatorCase("SoftmaxCrossEntropyLoss", "1000 classes", (normal(128, 1000), labels))
    yield OperatorCase("NegativeLogLikelihoodLoss", "1000 classes", (normal(128, 1000), labels))
    rate, steps, tensors = fixed(0.01, np.float32), fixed(3, np.int64), (normal(128, 128), normal(128, 128))
    momentum = {"alpha": 0.9, "beta": 1.0, "norm_coefficient": 0.001, "mode": "standard"}
    state = positive(128, 128)
    yield OperatorCase("Adagrad", "128 x 128", (rate, steps, *tensors, state), outputs=2, **PREVIEW)
    yield OperatorCase("Adam", "128 x 128", (rate, steps, *tensors, normal(128, 128), state), outputs=3, **PREVIEW)
    yield OperatorCase("Momentum", "128 x 128", (rate, steps, *tensors, state), momentum, outputs=2, **PREVIEW)
    attributes = {"xs": ["x0", "x1"], "y": "t1"}
    values = (normal(32, 64), normal(64, 64))
    yield OperatorCase("Gradient", "of a layer", values, attributes, outputs=2, before=layer, **PREVIEW)


def layer() -> tuple[Any, ...]:
    """What Gradient differentiates: a product and a tanh."""
    from onnx import helper

    return helper.make_node("MatMul", ["x0", "x1"], ["t0"]), helper.make_node("Tanh", ["t0"], ["t1"])


def attention() -> Iterator[OperatorCase]:
    """Four heads of 32 over 64 positions, a decoder's step over as many; rotations."""
    heads = normal(1, 4, 64, 32)
    rows = normal(1, 64, 128)
    step, past = normal(1, 4, 1, 32), normal(1, 4, 64, 32)
    yield OperatorCase("Attention", "4 heads, 64 positions", (heads, heads, heads), opset=23)
    inputs = (step, step, step, None, past, past)
    yield OperatorCase("Attention", "one token after 64", inputs, outputs=3, opset=23)
    yield OperatorCase(
        "FlexAttention", "4 heads, 64 positions", (heads, heads, heads), domain="ai.onnx.preview", opset=1
    )
    linear = {"q_num_heads": 4, "kv_num_heads": 4, "update_rule": "linear"}
    yield OperatorCase(
        "LinearAttention", "4 heads, 16 positions", (normal(1, 16, 128),) * 3, linear, outputs=2, opset=27
    )
    yield OperatorCase("MultiHeadAttention", "4 heads, 64 positions", (rows, rows, rows), {"num_heads": 4}, **MICROSOFT)
    packed = (rows, weight(128, 384, scale=0.1), weight(384))
    yield OperatorCase("Attention", "4 heads, 64 positions", packed, {"num_heads": 4}, **MICROSOFT)
    query, pair, cache = normal(1, 1, 128), normal(1, 1, 64), normal(1, 2, 64, 32)
    lengths = (fixed([64], np.int32), fixed(65, np.int32))
    grouped = {"num_heads": 4, "kv_num_heads": 2}
    yield OperatorCase(
        "GroupQueryAttention",
        "one token after 64",
        (query, pair, pair, cache, cache, *lengths),
        grouped,
        outputs=3,
        **MICROSOFT,
    )
    tables = (weight(64, 16), weight(64, 16))
    places = fixed([list(range(64))], np.int64)
    yield OperatorCase("RotaryEmbedding", "4 heads, 64 positions", (heads, *tables, places), opset=23)
    yield OperatorCase("RotaryEmbedding", "4 heads, 64 positions", (heads, places, *tables), **MICROSOFT)
