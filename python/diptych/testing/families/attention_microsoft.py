"""The attentions of com.microsoft: every layout, mask and cache that they take, sequences of different lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.testing.families.attention import SCALES, extents
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array

DOMAIN = "com.microsoft"
LEAST = float(np.finfo(np.float32).min)


@shape_rule("MultiHeadAttention", domain=DOMAIN)
def multi_head_attention(s: Sketch) -> list[Any]:
    """Separate and packed operands, keys of before, a past in a buffer of its size or a greater one; all masks."""
    batch, heads = s.choose(1, 2, 3, 0), s.choose(1, 2, 3)
    rows, keys, past = extents(s)
    size, v_size = s.choose(1, 2, 4, 8, 17, 0), s.choose(1, 2, 3, 8, 17, 0)
    s.set("num_heads", heads)
    s.attribute("unidirectional", 0, 1)
    s.attribute("scale", *SCALES)
    s.n_outputs = s.integer(1, 4)
    layout = s.choose("separate", "separate", "keys and values", "all", "before")
    if layout == "all":
        keys = rows
    if layout in ("all", "keys and values"):
        v_size = size
    if layout == "before":
        past = 0
    layouts: dict[str, list[Any]] = {
        "separate": [(batch, rows, heads * size), (batch, keys, heads * size), (batch, keys, heads * v_size)],
        "keys and values": [(batch, rows, heads * size), (batch, keys, heads, 2, size), None],
        "all": [(batch, rows, heads, 3, size), None, None],
        "before": [(batch, rows, heads * size), (batch, heads, keys, size), (batch, heads, keys, v_size)],
    }
    inputs = [None if shape is None else s.tensor(shape) for shape in layouts[layout]]
    inputs.append(s.tensor((heads * (2 * size + v_size),)) if s.coin() else None)
    inputs.append(key_mask(s, batch, rows, 0, past + keys, ("ends", "offsets", "flags", "each")))
    inputs.append(attention_bias(s, (batch, heads, rows, past + keys)))
    shared = layout != "before" and s.coin()
    if past or shared:
        room = past + keys + s.choose(0, 1, 3) if shared else past
        inputs += [s.tensor((batch, heads, room, width)) for width in (size, v_size)]
        inputs.append(number(s, past) if shared else None)
    return inputs


@shape_rule("GroupQueryAttention", domain=DOMAIN)
def group_query_attention(s: Sketch) -> list[Any]:
    """Prompts, padded or not, and later queries; caches of the past's size and greater ones; everything that may be."""
    batch, kv_heads, group = s.choose(1, 2, 3, 0), s.choose(1, 2, 3), s.choose(1, 2, 3)
    heads, size = kv_heads * group, s.choose(2, 4, 8, 16, 17, 34, 0)
    s.set("num_heads", heads)
    s.set("kv_num_heads", kv_heads)
    rows, total, room = lengths(s)
    batch = batch if total else 0
    group_query_attributes(s)
    s.n_outputs = s.integer(1, 4)
    packed = s.coin()
    widths = [(heads + 2 * kv_heads) * size] if packed else [heads * size, kv_heads * size, kv_heads * size]
    inputs: list[Any] = [s.tensor((batch, rows, width)) for width in widths]
    inputs += [None, None] if packed else []
    inputs += [None, None] if room is None else [s.tensor((batch, kv_heads, room, size)) for _ in range(2)]
    least = 0 if rows == total else max(rows - 1, 0)
    lasts = [s.integer(least, total - 1) for _ in range(batch)]
    inputs += [np.array(lasts, np.int32), number(s, total)]
    inputs += rotary_inputs(s, batch, rows, total, size)
    inputs.append(attention_bias(s, (batch, heads, rows, total)))
    inputs.append(s.tensor((heads,)) if s.coin() else None)
    return inputs


def lengths(s: Sketch) -> tuple[int, int, int | None]:
    """Queries, all keys, and what the past has room for (None: there is none)."""
    if s.coin():
        rows = s.choose(1, 2, 3, 5, 17, 53, 131, 0)
        return rows, rows, s.choose(None, 0, rows, rows + 1, rows + 5)
    rows, past = s.choose(1, 1, 1, 2, 3, 17, 0), s.choose(1, 2, 5, 9, 129, 300)
    return rows, rows + past, s.choose(past, rows + past, rows + past + 1, rows + past + 7)


def group_query_attributes(s: Sketch) -> None:
    """All attributes but the numbers of heads and those of rotary embeddings."""
    s.attribute("scale", *SCALES)
    s.attribute("softcap", 0.0, 2.0, 0.5)
    s.attribute("smooth_softmax", 1, 0, -1)
    s.attribute("qk_output", 0, 1, 2)
    if s.attribute("causal", 1, 0):
        s.attribute("local_window_size", -1, 1, 2, 5, 0)


def rotary_inputs(s: Sketch, batch: int, rows: int, total: int, size: int) -> list[Any]:
    """cos_cache, sin_cache and position_ids, or none of them."""
    if not s.attribute("do_rotary", 0, 1):
        return [None, None, None]
    s.attribute("rotary_interleaved", 0, 1)
    pairs, places = s.choose(*range(size // 2, -1, -1)), total + s.choose(0, 1, 9)
    caches: list[Any] = [s.tensor((places, pairs)) for _ in range(2)]
    if s.coin():
        return [*caches, None]
    ids = np.array([s.integer(0, max(places - 1, 0)) for _ in range(batch * rows)], np.int64).reshape(batch, rows)
    if rows == total and ids.size:
        ids[0, 0] = s.integer(0, places - rows)  # where all begin; no other is looked at
    return [*caches, ids]


@shape_rule("Attention", domain=DOMAIN)
def attention(s: Sketch) -> list[Any]:
    """Projections of all widths; a past; all masks."""
    batch, heads, rows = s.choose(1, 2, 3, 0), s.choose(1, 2, 3), s.choose(1, 2, 3, 5, 17, 53, 0)
    width, size = s.choose(1, 3, 8, 17, 0), s.choose(1, 2, 4, 8, 17, 0)
    past = s.choose(0, 0, 1, 3, 9, 129)
    v_size = size if past or s.coin() else s.choose(1, 2, 3, 8, 17, 0)
    s.set("num_heads", heads)
    s.attribute("scale", *SCALES)
    s.attribute("do_rotary", 0)
    if size != v_size or s.coin():
        s.set("qkv_hidden_sizes", [heads * size, heads * size, heads * v_size])
    s.n_outputs = s.integer(1, 2) if size == v_size else 1
    forms = ["ends", "ends and starts", "offsets", "flags", "each", "one"]
    if not s.attribute("unidirectional", 0, 1):
        forms.append("square")
    columns = heads * (2 * size + v_size)
    return [
        s.tensor((batch, rows, width)),
        s.tensor((width, columns)),
        s.tensor((columns,)) if s.coin() else None,
        key_mask(s, batch, rows, past, past + rows, forms),
        s.tensor((2, batch, heads, past, size)) if past else None,
        attention_bias(s, (batch, heads, rows, past + rows)),
    ]


@shape_rule("RotaryEmbedding", domain=DOMAIN)
def rotary_embedding(s: Sketch) -> list[Any]:
    """Rank 4 or 3; positions for each place or one for all; part of a head or all of it."""
    batch, heads, positions = s.choose(1, 2, 3, 0), s.choose(1, 2, 3), s.choose(1, 2, 5, 0)
    size, flat = s.choose(2, 4, 8, 16, 34), s.coin()
    turning = size
    if s.coin():
        turning = s.set("rotary_embedding_dim", s.choose(*range(size, 1, -2)))
    if "rotary_embedding_dim" in s.attributes or s.coin():
        s.set("num_heads", heads)
    s.attribute("interleaved", 0, 1)
    s.attribute("is_packed_batching", 0, 1)
    s.attribute("scale", 1.0, 2.0)
    places = positions + s.choose(0, 1, 9)
    x = s.tensor((batch, positions, heads * size) if flat else (batch, heads, positions, size))
    if s.coin():
        first = s.integer(0, places - positions)
        ids = np.array(first if s.coin() else [first], np.int64)
    else:
        drawn = [s.integer(0, places - 1) for _ in range(batch * positions)]
        ids = np.array(drawn, np.int64).reshape(batch, positions)
    return [x, ids, s.tensor((places, turning // 2)), s.tensor((places, turning // 2))]


def number(s: Sketch, value: int) -> Array:
    """An int32 as a scalar or as a vector of one."""
    return np.array([value] if s.coin() else value, np.int32)


def attention_bias(s: Sketch, scores: tuple[int, int, int, int]) -> Array | None:
    """A bias for scores of this shape, some of it -inf; or none."""
    kind = s.choose(None, None, "numbers", "infinite")
    if kind is None:
        return None
    shape = (s.choose(scores[0], 1), s.choose(scores[1], 1), *scores[2:])
    bias = s.tensor(shape)
    if kind == "infinite":
        with np.errstate(all="ignore"):
            bias = np.where(s.tensor(shape, bool), bias, np.array(-math.inf).astype(s.dtype))
    return bias


def key_mask(s: Sketch, batch: int, rows: int, past: int, keys: int, forms: Sequence[str]) -> Array | None:
    """A mask of one of the forms, and what it adds; or none."""
    form = s.choose(None, *forms)
    if form is None:
        return None
    s.attribute("mask_filter_value", -10000.0, -1.0, LEAST, 2.0, -math.inf)
    ends = [s.integer(0, keys + 1) for _ in range(batch)]
    if form == "ends":
        return np.array(ends, np.int32)
    if form == "offsets":
        sums = [i * length for length in (rows, keys) for i in range(batch + 1)]
        return np.array(ends + sums, np.int32)
    if form == "ends and starts":
        return np.array(ends + [s.integer(-1, keys + 1) for _ in range(batch)], np.int32)
    side = keys + s.choose(0, 1, 3)
    shape = {
        "flags": (batch, keys),
        "each": (batch, rows, keys),
        "one": (s.choose(batch, 1), 1),
        "square": (batch, 1, side, side),
    }[form]
    flags = s.tensor(shape, bool).astype(np.int32)
    return flags * np.int32(s.choose(1, 2)) - np.int32(s.choose(0, 1)) * (1 - flags)
