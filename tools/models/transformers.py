"""Transformers: BERT's encoder (Devlin et al. 2018) and one decoding step of GPT-2 with its key and value cache."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto
from tools.models.graph import GraphBuilder

MASKED = -3.0e38  # added to a score that must not count


def _heads(g: GraphBuilder, x: str, heads: int, size: int) -> str:
    """[batch, sequence, heads * size] -> [batch, heads, sequence, size]."""
    split = g.node("Reshape", x, g.constant([0, 0, heads, size], np.int64))
    return str(g.node("Transpose", split, perm=[0, 2, 1, 3]))


def _attend(g: GraphBuilder, query: str, key: str, value: str, mask: str, size: int) -> str:
    """Scaled dot-product attention with an additive mask; heads merged again."""
    scores = g.node("MatMul", query, g.node("Transpose", key, perm=[0, 1, 3, 2]))
    scores = g.node("Add", g.node("Mul", scores, g.constant(np.float32(size**-0.5))), mask)
    mixed = g.node("MatMul", g.node("Softmax", scores, axis=-1), value)
    merged = g.node("Transpose", mixed, perm=[0, 2, 1, 3])
    return str(g.node("Reshape", merged, g.constant([0, 0, -1], np.int64)))


def _gelu(g: GraphBuilder, x: str) -> str:
    """Gelu, x * (1 + erf(x / sqrt 2)) / 2, as exporters write it."""
    erf = g.node("Erf", g.node("Div", x, g.constant(np.float32(math.sqrt(2)))))
    return str(
        g.node("Mul", g.node("Mul", x, g.node("Add", erf, g.constant(np.float32(1)))), g.constant(np.float32(0.5)))
    )


def _gelu_tanh(g: GraphBuilder, x: str) -> str:
    """Gelu by tanh, x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2."""
    cube = g.node("Mul", g.node("Pow", x, g.constant(np.float32(3))), g.constant(np.float32(0.044715)))
    inner = g.node("Mul", g.node("Add", x, cube), g.constant(np.float32(math.sqrt(2 / math.pi))))
    factor = g.node("Add", g.node("Tanh", inner), g.constant(np.float32(1)))
    return str(g.node("Mul", g.node("Mul", x, factor), g.constant(np.float32(0.5))))


def _additive_mask(g: GraphBuilder, mask: str) -> str:
    """int64 [batch, total], 1 where a position counts -> float32 [batch, 1, 1, total], 0 or MASKED."""
    wide = g.node("Unsqueeze", mask, g.constant([1, 2], np.int64))
    counts = g.node("Cast", wide, to=TensorProto.BOOL)
    return str(g.node("Where", counts, g.constant(np.float32(0)), g.constant(np.float32(MASKED))))


def bert(
    layers: int = 12, hidden: int = 768, heads: int = 12, vocabulary: int = 30522, positions: int = 512, seed: int = 5
) -> onnx.ModelProto:
    """From int64 [batch, sequence] input_ids, attention_mask, token_type_ids to the states and the first, pooled."""
    g = GraphBuilder("bert", seed)
    ids, mask, types = (
        g.input(name, ["batch", "sequence"], TensorProto.INT64)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    length = g.node("Gather", g.node("Shape", ids), g.constant([1], np.int64))
    table = g.normal(positions, hidden, scale=0.02)
    place = g.node("Slice", table, g.constant([0], np.int64), length, g.constant([0], np.int64))
    words = g.node("Gather", g.normal(vocabulary, hidden, scale=0.02), ids)
    kinds = g.node("Gather", g.normal(2, hidden, scale=0.02), types)
    x = g.layer_norm(g.node("Add", g.node("Add", words, kinds), place), hidden, 1e-12)
    additive = _additive_mask(g, mask)
    for _ in range(layers):
        query, key, value = (_heads(g, g.linear(x, hidden, hidden), heads, hidden // heads) for _ in range(3))
        attended = g.linear(_attend(g, query, key, value, additive, hidden // heads), hidden, hidden)
        x = g.layer_norm(g.node("Add", attended, x), hidden, 1e-12)
        inner = _gelu(g, g.linear(x, hidden, 4 * hidden))
        x = g.layer_norm(g.node("Add", g.linear(inner, 4 * hidden, hidden), x), hidden, 1e-12)
    first = g.node("Gather", x, g.constant(0, np.int64), axis=1)
    g.output(x, "last_hidden_state", ["batch", "sequence", hidden])
    g.output(g.node("Tanh", g.linear(first, hidden, hidden)), "pooler_output", ["batch", hidden])
    return g.model()


def minilm(layers: int = 6, hidden: int = 384, heads: int = 12, seed: int = 7, **sizes: int) -> onnx.ModelProto:
    """MiniLM (Wang et al. 2020), the encoder of many sentence embeddings: BERT's, half as deep and half as wide."""
    return bert(layers, hidden, heads, seed=seed, **sizes)


def gpt2_step(
    layers: int = 12, hidden: int = 768, heads: int = 12, vocabulary: int = 50257, positions: int = 1024, seed: int = 6
) -> onnx.ModelProto:
    """One token. Scores are tied to the embedding.

    Inputs: input_ids, position_ids int64 [batch, 1], attention_mask int64 [batch, total], past.<i>.key and .value.
    Outputs: logits, present.<i>.key and .value, float32 [batch, heads, total, hidden / heads].
    """
    g = GraphBuilder("gpt2_step", seed)
    size = hidden // heads
    ids, places = (g.input(name, ["batch", 1], TensorProto.INT64) for name in ("input_ids", "position_ids"))
    additive = _additive_mask(g, g.input("attention_mask", ["batch", "total"], TensorProto.INT64))
    embedding = g.normal(vocabulary, hidden, scale=0.02)
    x = g.node(
        "Add", g.node("Gather", embedding, ids), g.node("Gather", g.normal(positions, hidden, scale=0.02), places)
    )
    presents: list[tuple[str, str]] = []
    for layer in range(layers):
        joint = g.linear(g.layer_norm(x, hidden, 1e-5), hidden, 3 * hidden)
        query, *pair = (_heads(g, part, heads, size) for part in g.node("Split", joint, outputs=3, axis=-1))
        for kind, new in zip(("key", "value"), pair, strict=True):
            past = g.input(f"past.{layer}.{kind}", ["batch", heads, "past", size])
            presents.append((f"present.{layer}.{kind}", g.node("Concat", past, new, axis=2)))
        attended = _attend(g, query, presents[-2][1], presents[-1][1], additive, size)
        x = g.node("Add", x, g.linear(attended, hidden, hidden))
        inner = _gelu_tanh(g, g.linear(g.layer_norm(x, hidden, 1e-5), hidden, 4 * hidden))
        x = g.node("Add", x, g.linear(inner, 4 * hidden, hidden))
    scores = g.node("MatMul", g.layer_norm(x, hidden, 1e-5), g.node("Transpose", embedding, perm=[1, 0]))
    g.output(scores, "logits", ["batch", 1, vocabulary])
    for name, value in presents:
        g.output(value, name, ["batch", heads, "total", size])
    return g.model()
