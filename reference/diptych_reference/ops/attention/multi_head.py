"""MultiHeadAttention of com.microsoft: operands separate or packed, with a bias, masks and a cache."""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError, UnsupportedOperatorError
from diptych_reference.numerics import round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.attention.bias import bias_of, checked_scale, kept_by_flags, kept_by_lengths
from diptych_reference.ops.attention.core import dot_products
from diptych_reference.ops.attention.dot_product import cached, check_shapes, heads, merged


@operator("MultiHeadAttention", since=1, domain="com.microsoft")
def multi_head_attention(
    query: Array,
    key: Array | None = None,
    value: Array | None = None,
    bias: Array | None = None,
    key_padding_mask: Array | None = None,
    attention_bias: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    past_sequence_length: Array | None = None,
    cache_indirection: Array | None = None,
    *,
    mask_filter_value: float = -10000.0,
    num_heads: int,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Array, ...]:
    """Query [B, S, N*H], key [B, L, N*H], value [B, L, N*Hv], or packed; output [B, S, N*Hv].

    Packed: query [B, S, N, 3, H] alone, or key [B, L, N, 2, H] without value. Key and value [B, N, L, H] are keys of
    before: they take neither bias nor past. Bias [(2H + Hv) * N] is added and rounded first, as Add does.
    attention_bias [B or 1, N or 1, S, T]; of the T keys those of the past come first. A mask's keys stay, with
    mask_filter_value added: lengths [B] or [3B + 2], flags [B, T] or [B, S, T]. Unidirectional: query i attends keys
    up to past + i.

    With past_sequence_length the past has that many keys in a buffer with room for more, and present is that buffer
    with the new ones behind them. Also returned: present keys and values, and the biased scores [B, N, S, T].
    """
    if cache_indirection is not None:
        raise UnsupportedOperatorError("cache_indirection: beams are not supported, reorder past_key and past_value")
    q, k, v = operands(query, key, value, num_heads)
    kept_before = key is not None and key.ndim == 4
    if bias is not None:
        q, k, v = with_bias(q, k, v, bias, kept_before)
    if (past_key is None) != (past_value is None):
        raise InvalidInputError("past_key and past_value come together")
    if kept_before and past_key is not None:
        raise InvalidInputError("key and value of rank 4 are those of the past: got past_key too")
    if past_key is not None and past_value is not None and past_key.shape[:3] != past_value.shape[:3]:
        raise ShapeError(f"past_key {list(past_key.shape)} and past_value {list(past_value.shape)} do not fit together")
    past = past_keys(past_key, past_sequence_length, k.shape[2])
    present = k, v
    if past_key is not None and past_value is not None:
        k = cached(k, past_key[:, :, :past], "past_key")
        v = cached(v, past_value[:, :, :past], "past_value")
        present = buffered(k, past_key), buffered(v, past_value)
    check_shapes(q, k, v)
    batch, _, rows, _ = q.shape
    keys = k.shape[2]
    kept = kept_keys(key_padding_mask, batch, rows, keys)
    shape = (batch, num_heads, rows, keys)
    added = bias_of(kept, mask_filter_value, attention_bias, q.dtype, shape)
    part = np.ones(shape, bool)
    if unidirectional:
        part = part & (np.arange(keys) <= past + np.arange(rows)[:, None])
    y, (_, _, biased, _) = dot_products(q, k, v, part, added, scale=checked_scale(scale), softcap=0.0)
    return merged(y), *present, round_to(biased, q.dtype)


def operands(query: Array, key: Array | None, value: Array | None, num_heads: int) -> tuple[Array, Array, Array]:
    """Q, K and V as [B, N, length, size]."""
    shapes = [None if x is None else list(x.shape) for x in (query, key, value)]
    ranks = tuple(0 if x is None else x.ndim for x in (query, key, value))
    if key is None and ranks == (5, 0, 0) and shapes[0][2:4] == [num_heads, 3]:  # type: ignore[index]
        return tuple(np.transpose(query[:, :, :, i], (0, 2, 1, 3)) for i in range(3))  # type: ignore[return-value]
    if key is not None and ranks == (3, 5, 0) and list(key.shape[2:4]) == [num_heads, 2]:
        k, v = (np.transpose(key[:, :, :, i], (0, 2, 1, 3)) for i in range(2))
        return heads(query, num_heads, "query"), k, v
    if key is not None and value is not None and ranks in ((3, 3, 3), (3, 4, 4)):
        return heads(query, num_heads, "query"), heads(key, num_heads, "key"), heads(value, num_heads, "value")
    raise ShapeError(
        f"query, key and value have shapes {shapes[0]}, {shapes[1]}, {shapes[2]}: expected [B, S, N*H] with [B, L, N*H]"
        " twice, [B, N, L, H] twice or [B, L, N, 2, H], or [B, S, N, 3, H] alone"
    )


def with_bias(q: Array, k: Array, v: Array, bias: Array, query_alone: bool) -> tuple[Array, Array, Array]:
    """Each operand plus its part of the bias, rounded."""
    sizes = [x.shape[1] * x.shape[3] for x in (q, k, v)]
    if bias.shape != (sum(sizes),):
        raise ShapeError(f"bias has shape {list(bias.shape)}, expected [{sum(sizes)}]")
    done: list[Array] = []
    first = 0
    for x, size in zip((q, k, v), sizes, strict=True):
        part = bias[first : first + size].reshape(x.shape[1], 1, x.shape[3])
        first += size
        done.append(x if query_alone and done else round_to(widen(x) + widen(part), x.dtype))
    return done[0], done[1], done[2]


def past_keys(past_key: Array | None, past_sequence_length: Array | None, new: int) -> int:
    """How many keys of the past take part."""
    room = 0 if past_key is None or past_key.ndim != 4 else past_key.shape[2]
    if past_sequence_length is None or past_key is None:
        return room
    if past_sequence_length.size != 1:
        raise ShapeError(f"past_sequence_length has shape {list(past_sequence_length.shape)}, expected one element")
    past = int(past_sequence_length.reshape(()))
    if past < 0 or past + new > room:
        raise InvalidInputError(f"past_sequence_length is {past}: with {new} new keys, past_key has room for {room}")
    return past


def buffered(x: Array, past: Array) -> Array:
    """`x`, and behind it what the past's buffer has there."""
    return np.concatenate((x, past[:, :, x.shape[2] :]), axis=2)


def kept_keys(mask: Array | None, batch: int, rows: int, keys: int) -> Array | None:
    """Keys that the mask keeps, broadcasting to [B, N, rows, keys]."""
    if mask is None:
        return None
    kept = kept_by_lengths(mask, batch, keys, starts=False)
    kept = kept_by_flags(mask, batch, rows, keys) if kept is None else kept
    if kept is None:
        expected = f"[{batch}], [{3 * batch + 2}], [{batch}, {keys}] or [{batch}, {rows}, {keys}]"
        raise ShapeError(f"key_padding_mask has shape {list(mask.shape)}, expected {expected}")
    return kept
