"""Attention and its kin: all optional inputs, ranks and types; masks that broadcast, are short or are -inf."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, helper

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import DTYPES, Array, onnx_number

FLOATS = tuple(onnx_number(DTYPES[name]) for name in ("float", "double", "float16", "bfloat16"))
SCALES = (0.125, 1.0, 0.01, 2.0, 0.0)


@shape_rule("Attention")
def attention(s: Sketch) -> list[Any]:
    """Q, K, V of rank 4 or 3 with grouped heads; a past or (24) a cache outside; a mask of any type."""
    batch, kv_heads, group = s.choose(1, 2, 3, 0), s.choose(1, 2, 3), s.choose(1, 2, 3)
    rows, keys, past = extents(s)
    size, v_size = s.choose(1, 2, 4, 8, 17, 0), s.choose(1, 2, 3, 8, 17, 0)
    heads, total = kv_heads * group, past + keys
    flat = s.coin()
    if flat or s.coin():
        s.set("q_num_heads", heads)
        s.set("kv_num_heads", kv_heads)
    attributes(s)
    v_dtype = s.choose(s.dtype, s.dtype, s.input_dtype("V"))
    s.bound["T2"] = v_dtype
    masked = s.coin()
    outside = "nonpad_kv_seqlen" in s.row.inputs and not past and s.coin()
    s.n_outputs = s.integer(1, 4)

    def operand(count: int, length: int, width: int, dtype: Any) -> Array:
        return s.tensor((batch, length, count * width) if flat else (batch, count, length, width), dtype)

    inputs: list[Any] = [
        operand(heads, rows, size, s.dtype),
        operand(kv_heads, keys, size, s.dtype),
        operand(kv_heads, keys, v_size, v_dtype),
        attention_mask(s, (batch, heads, rows, total)) if masked else None,
    ]
    if past:
        inputs.append(s.tensor((batch, kv_heads, past, size)))
        inputs.append(s.tensor((batch, kv_heads, past, v_size), v_dtype))
    if outside:
        inputs += [None, None, np.array([s.integer(0, total) for _ in range(batch)], np.int64)]
    return inputs


def extents(s: Sketch) -> tuple[int, int, int]:
    """Queries, new and past keys: small ones, and many beside few, past a tile of keys or a block of queries."""
    rows, keys = s.choose(1, 2, 3, 5, 17, 0), s.choose(1, 2, 3, 5, 8, 17, 0)
    far = s.choose(None, None, None, None, (2, 131), (3, 300), (53, 9))
    past = s.choose(0, 0, 1, 3, 9)
    return (*far, past) if far else (rows, keys, past)


def attributes(s: Sketch) -> None:
    """All attributes but the numbers of heads."""
    s.attribute("is_causal", 0, 1)
    s.attribute("scale", *SCALES)
    s.attribute("softcap", 0.0, 2.0, 0.5)
    s.attribute("softmax_precision", *FLOATS)
    s.attribute("qk_matmul_output_mode", 0, 1, 2, 3)
    s.attribute("left_window_size", -1, 0, 1, 2, 40)
    s.attribute("right_window_size", -1, 0, 1, 3)


def attention_mask(s: Sketch, scores: tuple[int, ...]) -> Array:
    """A mask that broadcasts to the scores; from version 24 on it may be shorter."""
    shape = shapes.operand(s.draw, scores)
    if shape and s.since >= 24:
        shape = (*shape[:-1], s.choose(scores[-1], s.integer(0, scores[-1])))
    kind = s.choose("bool", "numbers", "infinite", "other")
    if kind == "bool":
        s.bound["U"] = np.dtype(bool)
        return s.tensor(shape, bool)
    s.bound["U"] = dtype = s.input_dtype("attn_mask") if kind == "other" else s.dtype
    mask = s.tensor(shape, dtype)
    if kind == "infinite":
        with np.errstate(all="ignore"):
            mask = np.where(s.tensor(shape, bool), mask, np.array(-math.inf).astype(dtype))
    return mask


@shape_rule("RotaryEmbedding")
def rotary_embedding(s: Sketch) -> list[Any]:
    """X of rank 4 or 3; caches by position or for each position; part of a head or all of it."""
    batch, heads, positions = s.choose(1, 2, 3, 0), s.choose(1, 2, 3), s.choose(1, 2, 5, 0)
    size = s.choose(2, 4, 8, 16, 34, 0)
    flat = s.coin()
    if flat or s.coin():
        s.set("num_heads", heads)
    s.attribute("interleaved", 0, 1)
    turning = s.attribute("rotary_embedding_dim", *range(size, -1, -2)) or size
    x = s.tensor((batch, positions, heads * size) if flat else (batch, heads, positions, size))
    if s.coin():
        shape: tuple[int, ...] = (batch, positions, turning // 2)
        return [x, s.tensor(shape), s.tensor(shape)]
    rows = s.choose(1, 3, 9)
    ids = np.array([[s.integer(0, rows - 1) for _ in range(positions)] for _ in range(batch)], np.int64)
    shape = (rows, turning // 2)
    return [x, s.tensor(shape), s.tensor(shape), ids.reshape(batch, positions)]


@shape_rule("LinearAttention")
def linear_attention(s: Sketch) -> list[Any]:
    """All update rules with grouped heads; decay and beta for each head, element or all; a past state of any type."""
    batch, steps = s.choose(1, 2, 0), s.choose(1, 2, 3, 5, 0)
    kv_heads, group = s.choose(1, 2, 3), s.choose(1, 2)
    size, v_size = s.choose(1, 2, 4, 7), s.choose(1, 2, 8, 17, 37, 0)
    s.set("q_num_heads", kv_heads * group)
    s.set("kv_num_heads", kv_heads)
    s.attribute("scale", 0.0, 0.25, 2.0)
    s.attribute("chunk_size", 64, 1)
    s.n_outputs = s.choose(1, 2)
    rule = s.attribute("update_rule", "gated_delta", "linear", "gated", "delta")
    past = None
    if s.coin():
        past = s.tensor((batch, kv_heads, size, v_size), s.input_dtype("past_state"), specials=s.coin())
    gated, delta, special = "gated" in rule, "delta" in rule, s.coin()
    return [
        s.tensor((batch, steps, kv_heads * group * size), specials=special),
        s.tensor((batch, steps, kv_heads * size), specials=special),
        s.tensor((batch, steps, kv_heads * v_size), specials=special),
        past,
        s.tensor((batch, steps, s.choose(kv_heads, kv_heads * size)), specials=special) if gated else None,
        s.tensor((batch, steps, s.choose(kv_heads, 1)), specials=special) if delta else None,
    ]


@shape_rule("FlexAttention", domain="ai.onnx.preview")
def flex_attention(s: Sketch) -> list[Any]:
    """Q, K, V with grouped heads; graphs for scores and probabilities that see an outer value, one of them or none."""
    batch, kv_heads, group = s.choose(1, 2, 0), s.choose(1, 2), s.choose(1, 2, 3)
    rows, keys, _ = extents(s)
    size, v_size = s.choose(1, 2, 8, 17, 0), s.choose(1, 2, 8, 17, 0)
    s.attribute("scale", *SCALES)
    number = s.attribute("softmax_precision", *FLOATS)
    if number is None:
        number = FLOATS[1] if s.dtype == np.float64 else FLOATS[0]
    precision = helper.tensor_dtype_to_np_dtype(number)
    heads = kv_heads * group
    graphs = s.choose((), (), ("score_mod",), ("prob_mod",), ("score_mod", "prob_mod"))
    if graphs:
        s.outer = {"bias": s.tensor(shapes.operand(s.draw, (batch, heads, rows, keys)), precision)}
    for name in graphs:
        s.set(name, modifier(s.choose("Add", "Mul", "Tanh", "Identity"), number))
    return [
        s.tensor((batch, heads, rows, size)),
        s.tensor((batch, kv_heads, keys, size)),
        s.tensor((batch, kv_heads, keys, v_size)),
    ]


def modifier(op_type: str, number: int) -> GraphProto:
    """A graph of one node; Add and Mul take an outer value besides."""
    operands = ["x", "bias"] if op_type in ("Add", "Mul") else ["x"]
    value: onnx.ValueInfoProto = helper.make_tensor_value_info("x", number, [None] * 4)
    output = helper.make_tensor_value_info("y", number, [None] * 4)
    return helper.make_graph([helper.make_node(op_type, operands, ["y"])], op_type, [value], [output])
