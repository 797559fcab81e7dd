"""Attention of com.microsoft: queries, keys and values are one projection of the input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError, UnsupportedOperatorError
from diptych_reference.numerics import round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.attention.bias import bias_of, checked_scale, kept_by_flags, kept_by_lengths
from diptych_reference.ops.attention.core import dot_products
from diptych_reference.ops.attention.dot_product import cached, heads, merged
from diptych_reference.ops.matmul import chain


@operator("Attention", since=1, domain="com.microsoft")
def attention(
    input: Array,
    weights: Array,
    bias: Array | None = None,
    mask_index: Array | None = None,
    past: Array | None = None,
    attention_bias: Array | None = None,
    past_sequence_length: Array | None = None,
    *,
    do_rotary: int = 0,
    mask_filter_value: float = -10000.0,
    n_outputs: int = 1,
    num_heads: int,
    past_present_share_buffer: int = 0,
    qkv_hidden_sizes: Sequence[int] | None = None,
    rotary_embedding_dim: int | None = None,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Array, ...]:
    """Input [B, S, K], weights [K, N*H + N*H + N*Hv], bias of as many; output [B, S, N*Hv].

    The projection is Gemm's: chains over K, `rn(acc + bias)`, rounded once. Past [2, B, N, P, H] are keys and values
    of before, present has the new ones behind them. Masks: lengths [B] or [3B + 2], ends and then starts [2B], flags
    [B, T], [B, S, T] or [B, 1, M, M], of which queries see rows from P on; [B, 1] and [1, 1] mask nothing. Keys that
    they leave out stay, with mask_filter_value added. Unidirectional: query i attends keys up to P + i.
    """
    if do_rotary:
        raise UnsupportedOperatorError("do_rotary is not supported: use RotaryEmbedding and MultiHeadAttention")
    if past_present_share_buffer:
        raise UnsupportedOperatorError("past_present_share_buffer is not supported: use MultiHeadAttention")
    q, k, v = project(input, weights, bias, num_heads, qkv_hidden_sizes)
    before = past_length(past, q, v)
    if n_outputs > 1 and k.shape != v.shape:
        raise ShapeError(f"present has keys and values in one: theirs are {list(k.shape)} and {list(v.shape)}")
    if past is not None:
        k, v = cached(k, past[0], "past"), cached(v, past[1], "past")
    batch, _, rows, _ = q.shape
    keys = k.shape[2]
    kept = kept_keys(mask_index, batch, rows, before, bool(unidirectional))
    shape = (batch, num_heads, rows, keys)
    added = bias_of(kept, mask_filter_value, attention_bias, q.dtype, shape)
    part = np.ones(shape, bool)
    if unidirectional:
        part = part & (np.arange(keys) <= before + np.arange(rows)[:, None])
    y, _ = dot_products(q, k, v, part, added, scale=checked_scale(scale), softcap=0.0)
    return (merged(y), np.stack((k, v))) if n_outputs > 1 else (merged(y),)


def project(
    x: Array, weights: Array, bias: Array | None, num_heads: int, sizes: Sequence[int] | None
) -> tuple[Array, Array, Array]:
    """Q, K and V as [B, N, S, size]."""
    if x.ndim != 3 or weights.ndim != 2 or x.shape[2] != weights.shape[0]:
        raise ShapeError(f"input {list(x.shape)} and weights {list(weights.shape)}: expected [B, S, K] and [K, D]")
    width = weights.shape[1]
    if sizes is None:
        if width % 3:
            raise ShapeError(f"weights have {width} columns, expected a multiple of 3 without qkv_hidden_sizes")
        sizes = [width // 3] * 3
    if len(sizes) != 3 or sizes[0] != sizes[1] or min(sizes) < 0:
        raise InvalidModelError(f"qkv_hidden_sizes are {list(sizes)}, expected three, the first two equal")
    if sum(sizes) != width or (bias is not None and bias.shape != (width,)):
        given = None if bias is None else list(bias.shape)
        raise ShapeError(f"weights have {width} columns, bias has shape {given}, expected {sum(sizes)} for Q, K and V")
    products = chain(widen(x), widen(weights))
    projected = round_to(products if bias is None else products + widen(bias), x.dtype)
    q, k, v = np.split(projected, (sizes[0], sizes[0] + sizes[1]), axis=2)
    return heads(q, num_heads, "Q"), heads(k, num_heads, "K"), heads(v, num_heads, "V")


def past_length(past: Array | None, q: Array, v: Array) -> int:
    """How many keys the past has."""
    if past is None:
        return 0
    batch, count, _, size = q.shape
    if past.ndim != 5 or past.shape[:3] != (2, batch, count) or past.shape[4] != size or v.shape[3] != size:
        expected = f"[2, {batch}, {count}, past, {size}], and values of {size} elements"
        raise ShapeError(f"past has shape {list(past.shape)}, expected {expected}: they have {v.shape[3]}")
    return int(past.shape[3])


def kept_keys(mask: Array | None, batch: int, rows: int, past: int, unidirectional: bool) -> Array | None:
    """Keys that the mask keeps, broadcasting to [B, N, rows, past + rows]; None if all."""
    if mask is None:
        return None
    keys = past + rows
    kept = kept_by_lengths(mask, batch, keys, starts=True)
    kept = kept_by_flags(mask, batch, rows, keys) if kept is None else kept
    if kept is not None or mask.shape in ((batch, 1), (1, 1)):
        return kept
    if mask.ndim == 4 and mask.shape[:2] == (batch, 1) and mask.shape[2] == mask.shape[3] >= keys:
        if unidirectional:
            raise InvalidInputError("mask_index of rank 4 says itself which keys come later: expected unidirectional 0")
        return np.asarray(mask[:, :, past:keys, :keys] > 0)
    raise ShapeError(f"mask_index has shape {list(mask.shape)}: no form for {batch} x {rows} queries, {keys} keys")
