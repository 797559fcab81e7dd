"""Parts of transformers as exporters write them: heads, attention, Gelu, masks."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto
from tools.models.graph import GraphBuilder

MASKED = -3.0e38  # added to a score that must not count


def split_heads(g: GraphBuilder, x: str, heads: int, size: int) -> str:
    """[batch, sequence, heads * size] -> [batch, heads, sequence, size]."""
    split = g.node("Reshape", x, g.constant([0, 0, heads, size], np.int64))
    return str(g.node("Transpose", split, perm=[0, 2, 1, 3]))


def attend(g: GraphBuilder, query: str, key: str, value: str, mask: str, size: int) -> str:
    """Scaled dot-product attention with an additive mask, "" for none; heads merged again."""
    scores = g.node("MatMul", query, g.node("Transpose", key, perm=[0, 1, 3, 2]))
    scores = g.node("Mul", scores, g.constant(np.float32(size**-0.5)))
    if mask:
        scores = g.node("Add", scores, mask)
    mixed = g.node("MatMul", g.node("Softmax", scores, axis=-1), value)
    merged = g.node("Transpose", mixed, perm=[0, 2, 1, 3])
    return str(g.node("Reshape", merged, g.constant([0, 0, -1], np.int64)))


def gelu(g: GraphBuilder, x: str) -> str:
    """Gelu, x * (1 + erf(x / sqrt 2)) / 2, as exporters write it."""
    erf = g.node("Erf", g.node("Div", x, g.constant(np.float32(math.sqrt(2)))))
    return str(
        g.node("Mul", g.node("Mul", x, g.node("Add", erf, g.constant(np.float32(1)))), g.constant(np.float32(0.5)))
    )


def gelu_tanh(g: GraphBuilder, x: str) -> str:
    """Gelu by tanh, x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2."""
    cube = g.node("Mul", g.node("Pow", x, g.constant(np.float32(3))), g.constant(np.float32(0.044715)))
    inner = g.node("Mul", g.node("Add", x, cube), g.constant(np.float32(math.sqrt(2 / math.pi))))
    factor = g.node("Add", g.node("Tanh", inner), g.constant(np.float32(1)))
    return str(g.node("Mul", g.node("Mul", x, factor), g.constant(np.float32(0.5))))


def additive_mask(g: GraphBuilder, mask: str) -> str:
    """int64 [batch, total], 1 where a position counts -> float32 [batch, 1, 1, total], 0 or MASKED."""
    wide = g.node("Unsqueeze", mask, g.constant([1, 2], np.int64))
    counts = g.node("Cast", wide, to=TensorProto.BOOL)
    return str(g.node("Where", counts, g.constant(np.float32(0)), g.constant(np.float32(MASKED))))
