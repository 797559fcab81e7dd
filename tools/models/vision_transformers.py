"""Vision transformers (Dosovitskiy et al. 2020, Touvron et al. 2020): patches as tokens, one joint projection."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from tools.models.attention import attend, gelu
from tools.models.graph import GraphBuilder

EPSILON = 1e-6


def vit_small(
    layers: int = 12,
    hidden: int = 384,
    heads: int = 6,
    size: int = 224,
    patch: int = 16,
    classes: int = 1000,
    seed: int = 16,
) -> onnx.ModelProto:
    """Input x: float32 [batch, 3, size, size]; output y: [batch, classes]."""
    g = GraphBuilder("vision_transformer", seed)
    x = _patches(g, g.input("x", ["batch", 3, size, size]), hidden, size, patch)
    for _ in range(layers):
        x = g.node("Add", x, _attention(g, g.layer_norm(x, hidden, EPSILON), hidden, heads))
        inner = gelu(g, g.linear(g.layer_norm(x, hidden, EPSILON), hidden, 4 * hidden))
        x = g.node("Add", x, g.linear(inner, 4 * hidden, hidden))
    first = g.node("Gather", g.layer_norm(x, hidden, EPSILON), g.constant(0, np.int64), axis=1)
    weight, bias = g.normal(classes, hidden, scale=hidden**-0.5), g.normal(classes, scale=0.02)
    g.output(g.node("Gemm", first, weight, bias, transB=1), "y", ["batch", classes])
    return g.model()


def deit_tiny(layers: int = 12, hidden: int = 192, heads: int = 3, seed: int = 17, **others: Any) -> onnx.ModelProto:
    """DeiT-tiny, without the token of distillation: ViT's, half as wide."""
    return vit_small(layers, hidden, heads, seed=seed, **others)


def _patches(g: GraphBuilder, x: str, hidden: int, size: int, patch: int) -> str:
    """[batch, 1 + patches, hidden]: a learned token, then the patches, all with their places."""
    scale = (3 * patch * patch) ** -0.5
    weights = g.normal(hidden, 3, patch, patch, scale=scale), g.normal(hidden, scale=0.02)
    grid = g.node("Conv", x, *weights, kernel_shape=[patch, patch], strides=[patch, patch])
    flat = g.node("Reshape", grid, g.constant([0, hidden, -1], np.int64))
    tokens = g.node("Transpose", flat, perm=[0, 2, 1])
    batch = g.node("Gather", g.node("Shape", x), g.constant([0], np.int64))
    shape = g.node("Concat", batch, g.constant([1, 1], np.int64), axis=0)
    learned = g.node("Expand", g.normal(1, 1, hidden, scale=0.02), shape)
    places = g.normal(1, (size // patch) ** 2 + 1, hidden, scale=0.02)
    return str(g.node("Add", g.node("Concat", learned, tokens, axis=1), places))


def _attention(g: GraphBuilder, x: str, hidden: int, heads: int) -> str:
    """Queries, keys and values from one product; every token attends to every other."""
    size = hidden // heads
    joint = g.node("Reshape", g.linear(x, hidden, 3 * hidden), g.constant([0, 0, 3, heads, size], np.int64))
    parts = g.node("Split", g.node("Transpose", joint, perm=[2, 0, 3, 1, 4]), outputs=3, axis=0)
    query, key, value = (g.node("Squeeze", part, g.constant([0], np.int64)) for part in parts)
    return g.linear(attend(g, query, key, value, "", size), hidden, hidden)
