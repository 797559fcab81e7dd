"""Attention: `softmax(Q K^T + bias) V` for each head, one row of scores for each query.

What ONNX's operator takes and gives, which keys a query may attend, and what a mask adds; `core` is the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.numerics import accumulator, round_to
from diptych_reference.operator import Array, operator
from diptych_reference.ops.attention.core import dot_products
from diptych_reference.ops.cast import cast_numbers

FAR = 1 << 62  # a window bound that no position reaches


@dataclass(frozen=True)
class Options:
    """The attributes that rule the arithmetic."""

    scale: float | None
    softcap: float
    softmax_precision: int | None
    qk_matmul_output_mode: int
    short_masks: bool = True  # a mask may end before the keys do

    def check(self) -> None:
        """InvalidModelError where an attribute has a value that ONNX does not name."""
        if self.qk_matmul_output_mode not in (0, 1, 2, 3):
            raise InvalidModelError(f"qk_matmul_output_mode is {self.qk_matmul_output_mode}, expected 0, 1, 2 or 3")


@operator("Attention", since=(24, 25))
def attention(
    Q: Array,  # noqa: N803  ONNX's names
    K: Array,  # noqa: N803
    V: Array,  # noqa: N803
    attn_mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    nonpad_kv_seqlen: Array | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> tuple[Array, ...]:
    """Q [B, Hq, L, D], K [B, Hkv, S, D], V [B, Hkv, S, Dv], or 3-D [B, L, H * D]; Y as Q with Dv.

    Returns Y, the present keys and values (past ones first) and the scores at the stage that the mode names. `p` below
    is a query's position among the keys: its row, plus the past's length, or `nonpad_kv_seqlen - L` for a cache kept
    outside. Causal: keys up to p. Windows (25): keys from `p - left` and up to `p + right`. A mask shorter than the
    keys ends with -inf.
    """
    if nonpad_kv_seqlen is not None and past_key is not None:
        raise InvalidInputError("nonpad_kv_seqlen is for a cache outside, past_key for one inside: got both")
    options = Options(scale, softcap, softmax_precision, qk_matmul_output_mode)
    windows = (left_window_size, 0 if is_causal else -1, right_window_size)
    inputs = (heads(Q, q_num_heads, "Q"), heads(K, kv_num_heads, "K"), heads(V, kv_num_heads, "V"))
    if not Q.ndim == K.ndim == V.ndim:
        raise ShapeError(f"Q, K and V have ranks {Q.ndim}, {K.ndim} and {V.ndim}: expected the same")
    y, *rest = attend(*inputs, attn_mask, past_key, past_value, nonpad_kv_seqlen, windows, options)
    return merged(y) if Q.ndim == 3 else y, *rest


@operator("Attention", since=23)
def attention_23(
    Q: Array,  # noqa: N803
    K: Array,  # noqa: N803
    V: Array,  # noqa: N803
    attn_mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> tuple[Array, ...]:
    """Attention without a cache outside and without windows; a mask is as long as the keys, or of length 1 for all."""
    options = Options(scale, softcap, softmax_precision, qk_matmul_output_mode, short_masks=False)
    windows = (-1, 0 if is_causal else -1, -1)
    inputs = (heads(Q, q_num_heads, "Q"), heads(K, kv_num_heads, "K"), heads(V, kv_num_heads, "V"))
    if not Q.ndim == K.ndim == V.ndim:
        raise ShapeError(f"Q, K and V have ranks {Q.ndim}, {K.ndim} and {V.ndim}: expected the same")
    y, *rest = attend(*inputs, attn_mask, past_key, past_value, None, windows, options)
    return merged(y) if Q.ndim == 3 else y, *rest


# Shapes


def heads(x: Array, count: int | None, name: str) -> Array:
    """`x` as [batch, heads, sequence, size]; a 3-D one is [batch, sequence, heads * size]."""
    if x.ndim == 4:
        if count and count != x.shape[1]:
            raise ShapeError(f"{name} {list(x.shape)} has {x.shape[1]} heads, the attribute says {count}")
        return x
    if x.ndim != 3:
        raise ShapeError(f"{name} has shape {list(x.shape)}, expected rank 3 or 4")
    if count is None or count <= 0 or x.shape[2] % count:
        raise ShapeError(f"{name} {list(x.shape)}: its last axis is no multiple of {count} heads")
    batch, length, hidden = x.shape
    return np.transpose(x.reshape(batch, length, count, hidden // count), (0, 2, 1, 3))


def cached(x: Array, past: Array | None, name: str) -> Array:
    """The past [B, H, P, D] and then `x` [B, H, S, D] along the sequence."""
    if past is None:
        return x
    if past.ndim != 4 or (*past.shape[:2], past.shape[3]) != (*x.shape[:2], x.shape[3]):
        raise ShapeError(f"{name} has shape {list(past.shape)}, expected [B, H, past, D] beside {list(x.shape)}")
    return np.concatenate((past, x), axis=2)


def check_shapes(q: Array, k: Array, v: Array) -> None:
    """Batch, heads, keys and head sizes must fit together."""
    fits = q.shape[0] == k.shape[0] and q.shape[3] == k.shape[3] and k.shape[:3] == v.shape[:3]
    groups = q.shape[1] % k.shape[1] == 0 if k.shape[1] else q.shape[1] == 0
    if not fits or not groups:
        raise ShapeError(f"Q {list(q.shape)}, K {list(k.shape)} and V {list(v.shape)} do not fit together")


def merged(y: Array) -> Array:
    """[B, H, L, D] as [B, L, H * D]."""
    batch, count, length, size = y.shape
    return np.transpose(y, (0, 2, 1, 3)).reshape(batch, length, count * size)


def additive(mask: Array, dtype: np.dtype[Any], shape: tuple[int, ...], short_masks: bool) -> Array:
    """The mask as a bias in the type that `dtype` computes in: booleans 0 and -inf, numbers converted to `dtype`.

    With `short_masks`, keys beyond the mask's own get -inf, even if it has only one.
    """
    wide = accumulator(dtype)
    if mask.dtype == bool:
        bias: Array = np.where(mask, wide.type(0), wide.type(-np.inf))
    else:
        bias = cast_numbers(mask, dtype, 1, "up").astype(wide)
    missing = shape[-1] - bias.shape[-1] if bias.ndim and short_masks else 0
    if missing > 0:
        bias = np.concatenate((bias, np.full((*bias.shape[:-1], missing), -np.inf, wide)), axis=-1)
    if bias.ndim > 4 or np.broadcast_shapes(bias.shape, shape) != shape:
        raise ShapeError(f"attn_mask {list(mask.shape)} does not broadcast to {list(shape)}")
    return bias


def reachable(
    batch: int, rows: int, total: int, past: int, lengths: Array | None, windows: tuple[int, int, int]
) -> Array:
    """Which keys each query may attend, [batch or 1, 1, rows, total].

    `windows`: how far to the left, to the right for causal attention (0) and to the right; -1 is no bound.
    """
    left, causal, right = windows
    if left < -1 or right < -1:
        raise InvalidModelError(f"left_window_size {left} and right_window_size {right}: expected -1 or more")
    keys = np.arange(total)
    offset: Any = past
    allowed = np.ones((1, 1, rows, total), bool)
    if lengths is not None:
        if lengths.shape != (batch,):
            raise ShapeError(f"nonpad_kv_seqlen has shape {list(lengths.shape)}, expected [{batch}]")
        if ((lengths < 0) | (lengths > total)).any():
            raise InvalidInputError(f"nonpad_kv_seqlen {lengths.tolist()}: expected 0 to {total} keys")
        offset = (lengths - rows)[:, None, None, None]
        allowed = allowed & (keys < lengths[:, None, None, None])
    position = offset + np.arange(rows)[:, None]  # of each query among the keys
    if left >= 0:
        allowed = allowed & (keys >= position - min(left, FAR))
    for bound in (causal, right):
        if bound >= 0:
            allowed = allowed & (keys <= position + min(bound, FAR))
    return allowed


# Arithmetic


def attend(
    q: Array,
    k: Array,
    v: Array,
    attn_mask: Array | None,
    past_key: Array | None,
    past_value: Array | None,
    lengths: Array | None,
    windows: tuple[int, int, int],
    options: Options,
) -> tuple[Array, ...]:
    """Y [B, Hq, L, Dv], the present keys and values, and the scores [B, Hq, L, S] that the mode asks for."""
    if (past_key is None) != (past_value is None):
        raise InvalidInputError("past_key and past_value come together")
    past = 0 if past_key is None or past_key.ndim != 4 else past_key.shape[2]
    k, v = cached(k, past_key, "past_key"), cached(v, past_value, "past_value")
    check_shapes(q, k, v)
    options.check()
    shape = (*q.shape[:3], k.shape[2])
    part = np.broadcast_to(reachable(q.shape[0], q.shape[2], k.shape[2], past, lengths, windows), shape)
    bias = None if attn_mask is None else additive(attn_mask, q.dtype, shape, options.short_masks)
    y, scores = dot_products(
        q,
        k,
        v,
        part,
        bias,
        scale=options.scale,
        softcap=options.softcap,
        softmax_precision=options.softmax_precision,
    )
    return y, k, v, round_to(scores[options.qk_matmul_output_mode], q.dtype)
