"""Transformers: BERT's encoder (Devlin et al. 2018) and one decoding step of GPT-2 with its key and value cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from tools.models.attention import additive_mask, attend, gelu, gelu_tanh, split_heads
from tools.models.graph import GraphBuilder, Weights


def bert(
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    vocabulary: int = 30522,
    positions: int = 512,
    seed: int = 5,
    weights: Weights | None = None,
    sentence: bool = False,
) -> onnx.ModelProto:
    """From int64 [batch, sequence] input_ids, attention_mask, token_type_ids to the states and one vector of each row.

    That vector is the first state, pooled, or with `sentence` the mean of the states that count, of length 1.
    `weights` have Hugging Face's names.
    """
    g = GraphBuilder("bert", seed, weights)
    ids, mask, types = (
        g.input(name, ["batch", "sequence"], TensorProto.INT64)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    length = g.node("Gather", g.node("Shape", ids), g.constant([1], np.int64))
    table = g.normal(positions, hidden, scale=0.02, name="embeddings.position_embeddings.weight")
    place = g.node("Slice", table, g.constant([0], np.int64), length, g.constant([0], np.int64))
    words = g.normal(vocabulary, hidden, scale=0.02, name="embeddings.word_embeddings.weight")
    words = g.node("Gather", words, ids)
    kinds = g.normal(2, hidden, scale=0.02, name="embeddings.token_type_embeddings.weight")
    kinds = g.node("Gather", kinds, types)
    x = g.layer_norm(g.node("Add", g.node("Add", words, kinds), place), hidden, 1e-12, "embeddings.LayerNorm")
    additive = additive_mask(g, mask)
    for layer in range(layers):
        x = _encoder_layer(g, x, additive, hidden, heads, f"encoder.layer.{layer}")
    g.output(x, "last_hidden_state", ["batch", "sequence", hidden])
    if sentence:
        g.output(_mean_of_counting(g, x, mask), "sentence_embedding", ["batch", hidden])
    else:
        first = g.node("Gather", x, g.constant(0, np.int64), axis=1)
        pooled = g.node("Tanh", g.linear(first, hidden, hidden, name="pooler.dense"))
        g.output(pooled, "pooler_output", ["batch", hidden])
    return g.model()


def _encoder_layer(g: GraphBuilder, x: str, additive: str, hidden: int, heads: int, name: str) -> str:
    """Attention, then two linear layers, each followed by normalisation of the sum with what went in."""
    size = hidden // heads
    query, key, value = (
        split_heads(g, g.linear(x, hidden, hidden, name=f"{name}.attention.self.{part}"), heads, size)
        for part in ("query", "key", "value")
    )
    mixed = attend(g, query, key, value, additive, size)
    attended = g.linear(mixed, hidden, hidden, name=f"{name}.attention.output.dense")
    x = g.layer_norm(g.node("Add", attended, x), hidden, 1e-12, f"{name}.attention.output.LayerNorm")
    inner = gelu(g, g.linear(x, hidden, 4 * hidden, name=f"{name}.intermediate.dense"))
    outer = g.linear(inner, 4 * hidden, hidden, name=f"{name}.output.dense")
    return g.layer_norm(g.node("Add", outer, x), hidden, 1e-12, f"{name}.output.LayerNorm")


def _mean_of_counting(g: GraphBuilder, x: str, mask: str) -> str:
    """Mean of the states whose mask is 1, scaled to length 1."""
    weight = g.node("Cast", g.node("Unsqueeze", mask, g.constant([2], np.int64)), to=TensorProto.FLOAT)
    axis = g.constant([1], np.int64)
    total = g.node("ReduceSum", g.node("Mul", x, weight), axis, keepdims=0)
    count = g.node("Clip", g.node("ReduceSum", weight, axis, keepdims=0), g.constant(np.float32(1e-9)))
    mean = g.node("Div", total, count)
    length = g.node("ReduceL2", mean, axes=[-1], keepdims=1)
    return str(g.node("Div", mean, g.node("Max", length, g.constant(np.float32(1e-12)))))


def minilm(layers: int = 6, hidden: int = 384, heads: int = 12, seed: int = 7, **others: Any) -> onnx.ModelProto:
    """MiniLM (Wang et al. 2020), the encoder of many sentence embeddings: BERT's, half as deep and half as wide."""
    return bert(layers, hidden, heads, seed=seed, **others)


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
    additive = additive_mask(g, g.input("attention_mask", ["batch", "total"], TensorProto.INT64))
    embedding = g.normal(vocabulary, hidden, scale=0.02)
    x = g.node(
        "Add", g.node("Gather", embedding, ids), g.node("Gather", g.normal(positions, hidden, scale=0.02), places)
    )
    presents: list[tuple[str, str]] = []
    for layer in range(layers):
        joint = g.linear(g.layer_norm(x, hidden, 1e-5), hidden, 3 * hidden)
        query, *pair = (split_heads(g, part, heads, size) for part in g.node("Split", joint, outputs=3, axis=-1))
        for kind, new in zip(("key", "value"), pair, strict=True):
            past = g.input(f"past.{layer}.{kind}", ["batch", heads, "past", size])
            presents.append((f"present.{layer}.{kind}", g.node("Concat", past, new, axis=2)))
        attended = attend(g, query, presents[-2][1], presents[-1][1], additive, size)
        x = g.node("Add", x, g.linear(attended, hidden, hidden))
        inner = gelu_tanh(g, g.linear(g.layer_norm(x, hidden, 1e-5), hidden, 4 * hidden))
        x = g.node("Add", x, g.linear(inner, 4 * hidden, hidden))
    scores = g.node("MatMul", g.layer_norm(x, hidden, 1e-5), g.node("Transpose", embedding, perm=[1, 0]))
    g.output(scores, "logits", ["batch", 1, vocabulary])
    for name, value in presents:
        g.output(value, name, ["batch", heads, "total", size])
    return g.model()
