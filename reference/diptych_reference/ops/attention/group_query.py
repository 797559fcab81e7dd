"""GroupQueryAttention of com.microsoft: causal attention with a cache, sequences of different lengths in one batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError, UnsupportedOperatorError
from diptych_reference.numerics import round_to
from diptych_reference.operator import REQUIRED, Array, operator
from diptych_reference.ops.attention.bias import bias_of, checked_scale
from diptych_reference.ops.attention.core import dot_products
from diptych_reference.ops.attention.dot_product import merged
from diptych_reference.ops.attention.rotary import angles, turned


@operator("GroupQueryAttention", since=1, domain="com.microsoft")
def group_query_attention(
    query: Array,
    key: Array | None = None,
    value: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    seqlens_k: Array = REQUIRED,
    total_sequence_length: Array = REQUIRED,
    cos_cache: Array | None = None,
    sin_cache: Array | None = None,
    position_ids: Array | None = None,
    attention_bias: Array | None = None,
    head_sink: Array | None = None,
    k_scale: Array | None = None,
    v_scale: Array | None = None,
    q_norm_weight: Array | None = None,
    k_norm_weight: Array | None = None,
    query_seqlens: Array | None = None,
    *,
    causal: int = 1,
    do_rotary: int = 0,
    k_norm_epsilon: float | None = None,
    k_quant_type: str = "NONE",
    kv_cache_bit_width: int | None = None,
    kv_num_heads: int,
    local_window_size: int = -1,
    num_heads: int,
    q_norm_epsilon: float | None = None,
    qk_norm_epsilon: float = 1e-6,
    qk_output: int = 0,
    rotary_interleaved: int = 0,
    scale: float | None = None,
    sliding_window_cache: int = 0,
    smooth_softmax: int = -1,
    softcap: float = 0.0,
    v_quant_type: str = "NONE",
) -> tuple[Array, ...]:
    """Query [B, S, N*H], key and value [B, S, M*H], or query [B, S, (N + 2M)*H] with all; output [B, S, N*H].

    Past [B, M, C, H] and present [B, M, max(C, total), H] are buffers. Of sequence b, `T = seqlens_k[b] + 1` keys are
    valid in the end, at most total_sequence_length; its queries stand at positions `P ..`, `P = T - S`, or, where total
    is S (a prompt, padded on the right to S), at 0. Present: P keys of the past, the new ones from P on, +0. Query
    at p attends keys before T up to p (`causal`), of them the last local_window_size.

    do_rotary turns queries and new keys first, by rows p of the caches, or position_ids [B, S]: of a prompt the first
    of these is where all its sequences begin. Then scores, softcap, attention_bias [B or 1, N or 1, S, total],
    Softmax; head_sink [N], or 0 with smooth_softmax, is the score of a further key without value. The last output
    are the scores, +0 for keys that a query does not attend: as Softmax sees them, or with qk_output 2 as it gives
    them.
    """
    refuse(
        {
            "k_scale, v_scale (a quantized cache)": k_scale is not None or v_scale is not None,
            "k_quant_type, v_quant_type (a quantized cache)": (k_quant_type, v_quant_type) != ("NONE", "NONE"),
            "q_norm_weight, k_norm_weight (use RMSNormalization)": not (q_norm_weight is k_norm_weight is None),
            "query_seqlens (pad the prompt alone, on the right)": query_seqlens is not None,
            "sliding_window_cache (use local_window_size and a whole cache)": sliding_window_cache != 0,
        }
    )
    if qk_output not in (0, 1, 2) or local_window_size < -1 or (local_window_size >= 0 and not causal):
        raise InvalidModelError(
            f"qk_output {qk_output}, local_window_size {local_window_size}, causal {causal}: expected 0, 1 or 2, "
            "and -1, or with causal also more"
        )
    q, k, v = operands(query, key, value, num_heads, kv_num_heads)
    spans = lengths_of(seqlens_k, total_sequence_length, q.shape[0], q.shape[1], capacity_of(past_key, past_value, k))
    if do_rotary:
        q, k = rotated(q, k, cos_cache, sin_cache, position_ids, spans, bool(rotary_interleaved))
    present_key, present_value = (appended(x, past, spans) for x, past in ((k, past_key), (v, past_value)))

    total = spans.total
    shape = (q.shape[0], num_heads, q.shape[1], total)
    part = np.broadcast_to(attended(spans, q.shape[1], bool(causal), local_window_size), shape)
    added = bias_of(None, 0.0, attention_bias, q.dtype, shape)
    y, (_, _, biased, p) = dot_products(
        np.transpose(q, (0, 2, 1, 3)),
        present_key[:, :, :total],
        present_value[:, :, :total],
        part,
        added,
        scale=checked_scale(scale),
        softcap=max(softcap, 0.0),
        sink=sinks(head_sink, smooth_softmax == 1, num_heads, q.dtype),
    )
    shown = p if qk_output == 2 else np.where(part, biased, biased.dtype.type(0))
    return merged(y), present_key, present_value, round_to(shown, q.dtype)


def refuse(given: dict[str, bool]) -> None:
    """UnsupportedOperatorError for the first that is given."""
    for name, is_given in given.items():
        if is_given:
            raise UnsupportedOperatorError(f"{name}: not supported")


def sinks(head_sink: Array | None, smooth: bool, num_heads: int, dtype: np.dtype[np.generic]) -> Array | None:
    """Scores [N] of the further keys without values; None where there are none."""
    if head_sink is None:
        return np.zeros(num_heads, dtype) if smooth else None
    if head_sink.shape != (num_heads,):
        raise ShapeError(f"head_sink has shape {list(head_sink.shape)}, expected [{num_heads}]")
    return head_sink


@dataclass(frozen=True)
class Spans:
    """Of each sequence [B]: how many keys were there before, and how many there are in the end.

    Of all: the greatest such end, the keys that the present has room for, whether all begin here.
    """

    past: Array
    end: Array
    total: int
    capacity: int
    prompt: bool

    def positions(self, length: int) -> Array:
        """[B, length]."""
        return self.past[:, None] + np.arange(length)


def operands(
    query: Array, key: Array | None, value: Array | None, num_heads: int, kv_num_heads: int
) -> tuple[Array, Array, Array]:
    """Q, K and V as [B, S, heads, size]."""
    if num_heads <= 0 or kv_num_heads <= 0 or num_heads % kv_num_heads:
        raise InvalidModelError(f"num_heads {num_heads} is no multiple of kv_num_heads {kv_num_heads}")
    if (key is None) != (value is None):
        raise InvalidInputError("key and value come together")
    counts = (num_heads, kv_num_heads, kv_num_heads)
    parts = sum(counts) if key is None else num_heads
    if query.ndim != 3 or query.shape[2] % parts:
        raise ShapeError(f"query has shape {list(query.shape)}, expected rank 3 and {parts} heads in the last axis")
    batch, length, hidden = query.shape
    size = hidden // parts
    if key is None or value is None:
        x = query.reshape(batch, length, parts, size)
        return x[:, :, :num_heads], x[:, :, num_heads : num_heads + kv_num_heads], x[:, :, num_heads + kv_num_heads :]
    expected = (batch, length, kv_num_heads * size)
    if key.shape != expected or value.shape != expected:
        raise ShapeError(f"key {list(key.shape)} and value {list(value.shape)}: expected {list(expected)}")
    q, k, v = (x.reshape(batch, length, n, size) for x, n in zip((query, key, value), counts, strict=True))
    return q, k, v


def capacity_of(past_key: Array | None, past_value: Array | None, k: Array) -> int:
    """Keys that the past has room for."""
    if (past_key is None) != (past_value is None):
        raise InvalidInputError("past_key and past_value come together")
    if past_key is None or past_value is None:
        return 0
    batch, _, count, size = k.shape
    fits = past_key.ndim == 4 and (*past_key.shape[:2], past_key.shape[3]) == (batch, count, size)
    if not fits or past_value.shape != past_key.shape:
        raise ShapeError(
            f"past_key {list(past_key.shape)} and past_value {list(past_value.shape)}: "
            f"expected [{batch}, {count}, past, {size}]"
        )
    return int(past_key.shape[2])


def lengths_of(seqlens_k: Array, total_sequence_length: Array, batch: int, length: int, capacity: int) -> Spans:
    """The sequences' lengths, which must fit into the cache."""
    if seqlens_k.size != batch or total_sequence_length.size != 1:
        given = f"{list(seqlens_k.shape)} and {list(total_sequence_length.shape)}"
        raise ShapeError(f"seqlens_k and total_sequence_length have shapes {given}, expected [{batch}] and one number")
    total = int(total_sequence_length.reshape(()))
    if total < length or (total > capacity and total != capacity + length):
        raise InvalidInputError(
            f"total_sequence_length is {total}: expected {length} to {capacity} keys, or {capacity + length}"
        )
    end = seqlens_k.reshape(batch).astype(np.int64) + 1
    prompt = total == length
    past = np.zeros(batch, np.int64) if prompt else end - length
    if ((end < 1) | (end > total) | (past < 0)).any():
        least = 0 if prompt else max(length - 1, 0)
        raise InvalidInputError(f"seqlens_k {(end - 1).tolist()}: expected {least} to {total - 1}")
    return Spans(past, end, total, max(total, capacity), prompt)


def rotated(
    q: Array,
    k: Array,
    cos_cache: Array | None,
    sin_cache: Array | None,
    position_ids: Array | None,
    spans: Spans,
    interleaved: bool,
) -> tuple[Array, Array]:
    """Queries and keys with as many pairs turned as the caches have."""
    if cos_cache is None or sin_cache is None:
        raise InvalidInputError("do_rotary needs cos_cache and sin_cache")
    size = q.shape[3]
    if cos_cache.ndim != 2 or cos_cache.shape != sin_cache.shape or 2 * cos_cache.shape[1] > size:
        given = f"{list(cos_cache.shape)} and {list(sin_cache.shape)}"
        raise ShapeError(f"cos_cache and sin_cache have shapes {given}, expected [positions, at most {size // 2}]")
    ids = spans.positions(q.shape[1])
    if position_ids is not None and position_ids.shape != ids.shape:
        raise ShapeError(f"position_ids has shape {list(position_ids.shape)}, expected {list(ids.shape)}")
    if position_ids is not None and ids.size:
        ids = np.broadcast_to(position_ids[0, 0] + np.arange(ids.shape[1]), ids.shape) if spans.prompt else position_ids
    shape = (*q.shape[:2], cos_cache.shape[1])
    cos, sin = angles(cos_cache, ids, shape, "cos_cache"), angles(sin_cache, ids, shape, "sin_cache")
    return turned(q, cos, sin, interleaved), turned(k, cos, sin, interleaved)


def appended(x: Array, past: Array | None, spans: Spans) -> Array:
    """The present [B, M, capacity, H]: each sequence's past, `x` [B, S, M, H] behind it, +0."""
    batch, length, count, size = x.shape
    present = np.zeros((batch, count, spans.capacity, size), x.dtype)
    for b, before in enumerate(spans.past):
        if past is not None:
            present[b, :, :before] = past[b, :, :before]
        present[b, :, before : before + length] = np.transpose(x[b], (1, 0, 2))
    return present


def attended(spans: Spans, length: int, causal: bool, window: int) -> Array:
    """Which keys each query attends, [B, 1, length, total]."""
    keys, p = np.arange(spans.total), spans.positions(length)[:, None, :, None]
    part = np.broadcast_to(keys < spans.end[:, None, None, None], (*p.shape[:3], spans.total))
    if causal:
        part = part & (keys <= p)
    if window >= 0:
        part = part & (keys > p - window)
    return part
