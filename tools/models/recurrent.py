"""Networks of LSTM layers: a bidirectional tagger and a streaming step, both as PyTorch exports them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto
from tools.models.graph import GraphBuilder


def _lstm_weights(g: GraphBuilder, directions: int, inputs: int, hidden: int) -> tuple[str, str, str]:
    """W, R and B of one layer, normal with the standard deviation of PyTorch's uniform initialisation."""
    scale = (3 * hidden) ** -0.5
    w = g.normal(directions, 4 * hidden, inputs, scale=scale)
    r = g.normal(directions, 4 * hidden, hidden, scale=scale)
    return w, r, g.normal(directions, 8 * hidden, scale=scale)


def bilstm_tagger(
    vocabulary: int = 5000, embedding: int = 128, hidden: int = 256, layers: int = 2, tags: int = 32, seed: int = 3
) -> onnx.ModelProto:
    """Input ids: int64 [batch, sequence]; output logits: float32 [batch, sequence, tags]."""
    g = GraphBuilder("bilstm_tagger", seed)
    ids = g.input("ids", ["batch", "sequence"], TensorProto.INT64)
    x = g.node("Gather", g.normal(vocabulary, embedding, scale=1.0), ids)
    x = g.node("Transpose", x, perm=[1, 0, 2])
    width = embedding
    shape = g.constant([0, 0, -1], np.int64)
    for _ in range(layers):
        weights = _lstm_weights(g, 2, width, hidden)
        y = g.node("LSTM", x, *weights, outputs=3, hidden_size=hidden, direction="bidirectional")[0]
        x = g.node("Reshape", g.node("Transpose", y, perm=[0, 2, 1, 3]), shape)
        width = 2 * hidden
    x = g.linear(g.node("Transpose", x, perm=[1, 0, 2]), width, tags)
    g.output(x, "logits", ["batch", "sequence", tags])
    return g.model()


def lstm_stream(inputs: int = 64, hidden: int = 256, layers: int = 2, seed: int = 4) -> onnx.ModelProto:
    """One step of a stream: x [frames, 1, inputs] and states h, c [layers, 1, hidden] in; y and new states out."""
    g = GraphBuilder("lstm_stream", seed)
    x = g.input("x", ["frames", 1, inputs])
    states = [g.node("Split", g.input(name, [layers, 1, hidden]), outputs=layers, axis=0) for name in ("h", "c")]
    axis = g.constant([1], np.int64)
    width = inputs
    new: tuple[list[str], list[str]] = ([], [])
    for h, c in zip(*states, strict=True):
        weights = _lstm_weights(g, 1, width, hidden)
        y, *after = g.node("LSTM", x, *weights, "", h, c, outputs=3, hidden_size=hidden)
        for values, value in zip(new, after, strict=True):
            values.append(value)
        x, width = g.node("Squeeze", y, axis), hidden
    g.output(g.node("Sigmoid", g.linear(x, hidden, inputs)), "y", ["frames", 1, inputs])
    for name, values in zip(("hn", "cn"), new, strict=True):
        g.output(g.node("Concat", *values, axis=0), name, [layers, 1, hidden])
    return g.model()
