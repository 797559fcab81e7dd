"""Decoders in the manner of Llama (Touvron et al. 2023): grouped queries, rotary places, SwiGLU, a cache.

Any number of tokens goes through one graph: a prompt with an empty cache, then a token at a time. It is spelled twice:
in plain operators, as exporters write it for opset 18, and in those that opset 23 has for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from tools.models.attention import MASKED, attend, split_heads
from tools.models.graph import GraphBuilder, Shape, Weights


@dataclass(frozen=True)
class Sizes:
    """Of a model; by default one of 125 million weights. `tied`: scores are products with the embedding."""

    layers: int = 12
    hidden: int = 768
    heads: int = 12
    groups: int = 4
    inner: int = 2048
    vocabulary: int = 32000
    theta: float = 10000.0
    epsilon: float = 1e-5
    tied: bool = False
    positions: int = 2048

    @property
    def size(self) -> int:
        """Width of a head."""
        return self.hidden // self.heads


def llama_step(seed: int = 9, weights: Weights | None = None, **sizes: Any) -> onnx.ModelProto:
    """Plain operators.

    Inputs: input_ids, position_ids int64 [batch, sequence], attention_mask int64 [batch, total], past.<i>.key, .value
    [batch, groups, past, size]. Outputs: logits [batch, sequence, vocabulary], present.<i>.key and .value.
    `weights` have Hugging Face's names.
    """
    return _decoder(GraphBuilder("llama_step", seed, weights, opset=18), Sizes(**sizes), _Plain)


def llama_step_23(seed: int = 9, weights: Weights | None = None, **sizes: Any) -> onnx.ModelProto:
    """The same in RMSNormalization, RotaryEmbedding and Attention."""
    return _decoder(GraphBuilder("llama_step_23", seed, weights, opset=23), Sizes(**sizes), _Native)


class _Plain:
    """Normalisation, places and attention in operators of opset 18."""

    def __init__(self, g: GraphBuilder, sizes: Sizes, ids: str, places: str, mask: str) -> None:
        self.g, self.sizes = g, sizes
        allowed = _allowed(g, ids, mask)
        self.mask = g.node("Where", allowed, g.constant(np.float32(0)), g.constant(np.float32(MASKED)))
        # Angles [batch, 1, sequence, size]: those of the first half, again for the second.
        column = g.node("Cast", g.node("Unsqueeze", places, g.constant([2], np.int64)), to=TensorProto.FLOAT)
        angles = g.node("MatMul", column, g.constant(_frequencies(sizes)[np.newaxis, np.newaxis, :]))
        angles = g.node("Unsqueeze", g.node("Concat", angles, angles, axis=-1), g.constant([1], np.int64))
        self.cosine, self.sine = g.node("Cos", angles), g.node("Sin", angles)

    def norm(self, x: str, weight: str) -> str:
        """Return x / sqrt(mean(x^2) + epsilon) * weight."""
        g = self.g
        mean = g.node("ReduceMean", g.node("Pow", x, g.constant(np.float32(2))), g.constant([-1], np.int64))
        root = g.node("Sqrt", g.node("Add", mean, g.constant(np.float32(self.sizes.epsilon))))
        return str(g.node("Mul", weight, g.node("Mul", x, g.node("Reciprocal", root))))

    def attention(self, query: str, key: str, value: str, past: Sequence[str]) -> tuple[str, str, str]:
        """Return the mixed values, all keys and all values; what comes in is not split into heads yet."""
        g, sizes = self.g, self.sizes
        query = self._turned(split_heads(g, query, sizes.heads, sizes.size))
        new = self._turned(split_heads(g, key, sizes.groups, sizes.size))
        keys = g.node("Concat", past[0], new, axis=2)
        values = g.node("Concat", past[1], split_heads(g, value, sizes.groups, sizes.size), axis=2)
        mixed = attend(g, query, self._repeated(keys), self._repeated(values), self.mask, sizes.size)
        return mixed, keys, values

    def _turned(self, x: str) -> str:
        """Rotary places: x * cos + (-second half, first half) * sin."""
        g = self.g
        last, half = g.constant([-1], np.int64), self.sizes.size // 2
        start, middle, end = (g.constant([i], np.int64) for i in (0, half, np.iinfo(np.int64).max))
        turned = g.node("Neg", g.node("Slice", x, middle, end, last))
        turned = g.node("Concat", turned, g.node("Slice", x, start, middle, last), axis=-1)
        return str(g.node("Add", g.node("Mul", x, self.cosine), g.node("Mul", turned, self.sine)))

    def _repeated(self, x: str) -> str:
        """[batch, groups, total, size] -> [batch, heads, total, size]: each group for the heads that share it."""
        g, sizes = self.g, self.sizes
        if sizes.groups == sizes.heads:
            return x
        wide = g.node("Unsqueeze", x, g.constant([2], np.int64))
        wide = g.node("Expand", wide, g.constant([1, 1, sizes.heads // sizes.groups, 1, 1], np.int64))
        batch_to_total = g.node("Shape", x)
        batch, rest = (
            g.node("Slice", batch_to_total, g.constant([a], np.int64), g.constant([b], np.int64))
            for a, b in ((0, 1), (2, 4))
        )
        return str(g.node("Reshape", wide, g.node("Concat", batch, g.constant([sizes.heads], np.int64), rest, axis=0)))


class _Native:
    """The same in operators of opset 23, with the cosines and sines in tables."""

    def __init__(self, g: GraphBuilder, sizes: Sizes, ids: str, places: str, mask: str) -> None:
        self.g, self.sizes, self.places = g, sizes, places
        self.mask = _allowed(g, ids, mask)
        angles = np.arange(sizes.positions)[:, np.newaxis] * _frequencies(sizes).astype(np.float64)
        self.tables = g.constant(np.cos(angles)), g.constant(np.sin(angles))

    def norm(self, x: str, weight: str) -> str:
        """Root mean square normalisation over the last axis."""
        return str(self.g.node("RMSNormalization", x, weight, axis=-1, epsilon=self.sizes.epsilon))

    def attention(self, query: str, key: str, value: str, past: Sequence[str]) -> tuple[str, str, str]:
        """Return the mixed values, all keys and all values."""
        sizes = self.sizes
        turned = (
            self.g.node("RotaryEmbedding", x, *self.tables, self.places, num_heads=heads)
            for x, heads in ((query, sizes.heads), (key, sizes.groups))
        )
        mixed, keys, values = self.g.node(
            "Attention",
            *turned,
            value,
            self.mask,
            *past,
            outputs=3,
            q_num_heads=sizes.heads,
            kv_num_heads=sizes.groups,
        )
        return mixed, keys, values


def _decoder(g: GraphBuilder, sizes: Sizes, spelling: type[_Plain] | type[_Native]) -> onnx.ModelProto:
    """The network, in the operators that `spelling` chooses."""
    ids, places = (g.input(name, ["batch", "sequence"], TensorProto.INT64) for name in ("input_ids", "position_ids"))
    spelled = spelling(g, sizes, ids, places, g.input("attention_mask", ["batch", "total"], TensorProto.INT64))
    embedding = g.normal(sizes.vocabulary, sizes.hidden, scale=0.02, name="model.embed_tokens.weight")
    x = g.node("Gather", embedding, ids)
    presents = []
    linear = partial(g.linear, bias=False)

    def norm(x: str, name: str) -> str:
        return spelled.norm(x, g.uniform(sizes.hidden, low=0.75, high=1.25, name=f"{name}.weight"))

    for layer in range(sizes.layers):
        name = f"model.layers.{layer}"
        shape: Shape = ["batch", sizes.groups, "past", sizes.size]
        past = [g.input(f"past.{layer}.{kind}", shape) for kind in ("key", "value")]
        y = norm(x, f"{name}.input_layernorm")
        query, key, value = (
            linear(y, sizes.hidden, count * sizes.size, name=f"{name}.self_attn.{part}_proj")
            for part, count in (("q", sizes.heads), ("k", sizes.groups), ("v", sizes.groups))
        )
        mixed, *present = spelled.attention(query, key, value, past)
        presents.extend(present)
        x = g.node("Add", x, linear(mixed, sizes.hidden, sizes.hidden, name=f"{name}.self_attn.o_proj"))
        y = norm(x, f"{name}.post_attention_layernorm")
        gate = g.silu(linear(y, sizes.hidden, sizes.inner, name=f"{name}.mlp.gate_proj"))
        y = g.node("Mul", gate, linear(y, sizes.hidden, sizes.inner, name=f"{name}.mlp.up_proj"))
        x = g.node("Add", x, linear(y, sizes.inner, sizes.hidden, name=f"{name}.mlp.down_proj"))
    x = norm(x, "model.norm")
    if sizes.tied:
        scores = g.node("MatMul", x, g.node("Transpose", embedding, perm=[1, 0]))
    else:
        scores = linear(x, sizes.hidden, sizes.vocabulary, name="lm_head")
    g.output(scores, "logits", ["batch", "sequence", sizes.vocabulary])
    for i, value in enumerate(presents):
        name = f"present.{i // 2}.{'value' if i % 2 else 'key'}"
        g.output(value, name, ["batch", sizes.groups, "total", sizes.size])
    return g.model()


def _allowed(g: GraphBuilder, ids: str, mask: str) -> str:
    """Bool [batch, 1, sequence, total]: what counts and does not lie ahead; the new tokens are the last of all."""
    total, count = (g.node("Gather", g.node("Shape", x), g.constant(1, np.int64)) for x in (mask, ids))
    zero, one = g.constant(0, np.int64), g.constant(1, np.int64)
    keys = g.node("Range", zero, total, one)
    queries = g.node("Range", g.node("Sub", total, count), total, one)
    before = g.node("LessOrEqual", keys, g.node("Unsqueeze", queries, g.constant([1], np.int64)))
    counts = g.node("Cast", g.node("Unsqueeze", mask, g.constant([1, 2], np.int64)), to=TensorProto.BOOL)
    return str(g.node("And", counts, before))


def _frequencies(sizes: Sizes) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Angle of a step from one place to the next, of each pair of a head's elements."""
    exponents = np.arange(0, sizes.size, 2) / sizes.size
    return (1 / sizes.theta**exponents).astype(np.float32)
