"""RotaryEmbedding: pairs of elements as points of the plane, turned by an angle that depends on the position."""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.numerics import round_to, widen
from diptych_reference.operator import Array, operator


@operator("RotaryEmbedding", since=23)
def rotary_embedding(
    X: Array,  # noqa: N803  ONNX's name
    cos_cache: Array,
    sin_cache: Array,
    position_ids: Array | None = None,
    *,
    interleaved: int = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int = 0,
) -> Array:
    """X [B, H, S, D] or [B, S, H * D]; caches [positions, R/2] with position_ids [B, S], else [B, S, R/2].

    Of each head's D elements the first R turn (all by default), `(a, b)` being neighbours if `interleaved`, else
    elements of the two halves: `rn(rn(cos * a) - rn(sin * b))` and `rn(rn(sin * a) + rn(cos * b))`. Others are moved.
    """
    x = by_position(X, num_heads)
    size = turning(rotary_embedding_dim, x)
    shape = (*x.shape[:2], size // 2)
    cos, sin = angles(cos_cache, position_ids, shape, "cos_cache"), angles(sin_cache, position_ids, shape, "sin_cache")
    return as_given(turned(x, cos, sin, bool(interleaved)), X)


@operator("RotaryEmbedding", since=1, domain="com.microsoft")
def rotary_embedding_of_microsoft(
    input: Array,
    position_ids: Array,
    cos_cache: Array,
    sin_cache: Array,
    *,
    interleaved: int = 0,
    is_packed_batching: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
) -> Array:
    """RotaryEmbedding with caches [positions, R/2] and position_ids [B, S], or one number, the first position of all.

    Without rotary_embedding_dim all elements turn, and the caches say how many a head has. is_packed_batching and
    scale change nothing, as in ONNX Runtime.
    """
    for name, cache in (("cos_cache", cos_cache), ("sin_cache", sin_cache)):
        if cache.ndim != 2 or cache.shape != cos_cache.shape:
            raise ShapeError(f"{name} has shape {list(cache.shape)}, expected rank 2, both the same")
    if input.ndim == 3 and rotary_embedding_dim and num_heads <= 0:
        raise InvalidModelError("rotary_embedding_dim needs num_heads beside it")
    size = 2 * cos_cache.shape[1]
    if input.ndim == 3 and not rotary_embedding_dim and num_heads <= 0:
        num_heads = input.shape[2] // size if size else 0
    x = by_position(input, num_heads)
    if num_heads > 0 and x.shape[2] != num_heads:
        raise ShapeError(f"input {list(input.shape)} has {x.shape[2]} heads, the attribute says {num_heads}")
    ids = positions(position_ids, x.shape[0], x.shape[1])
    shape = (*x.shape[:2], turning(rotary_embedding_dim, x) // 2)
    cos, sin = angles(cos_cache, ids, shape, "cos_cache"), angles(sin_cache, ids, shape, "sin_cache")
    return as_given(turned(x, cos, sin, bool(interleaved)), input)


def turning(rotary_embedding_dim: int, x: Array) -> int:
    """How many of a head's elements turn."""
    size = rotary_embedding_dim or x.shape[3]
    if size < 0 or size > x.shape[3] or size % 2:
        raise ShapeError(f"{size} of {x.shape[3]} elements cannot be turned in pairs")
    return int(size)


def positions(ids: Array, batch: int, length: int) -> Array:
    """Positions [B, S]: as given, or from one number on."""
    if ids.shape in ((), (1,)):
        return np.broadcast_to(ids.reshape(()) + np.arange(length), (batch, length))
    return ids


def turned(x: Array, cos: Array, sin: Array, interleaved: bool) -> Array:
    """`x` [batch, position, head, element] with its first pairs turned, as many as `cos` has."""
    size = 2 * cos.shape[-1]
    first, second = (
        (slice(0, size, 2), slice(1, size, 2)) if interleaved else (slice(0, size // 2), slice(size // 2, size))
    )
    a, b = widen(x[..., first]), widen(x[..., second])
    y = x.copy()
    y[..., first] = round_to(cos * a - sin * b, x.dtype)
    y[..., second] = round_to(sin * a + cos * b, x.dtype)
    return y


def as_given(y: Array, x: Array) -> Array:
    """[batch, position, head, element] in the shape of `x`."""
    return y.reshape(x.shape) if x.ndim == 3 else np.transpose(y, (0, 2, 1, 3))


def by_position(x: Array, num_heads: int | None) -> Array:
    """`x` as [batch, position, head, element]."""
    if x.ndim == 4:
        return np.transpose(x, (0, 2, 1, 3))
    if x.ndim != 3:
        raise ShapeError(f"X has shape {list(x.shape)}, expected rank 3 or 4")
    if num_heads is None or num_heads <= 0 or x.shape[2] % num_heads:
        raise ShapeError(f"X {list(x.shape)}: its last axis is no multiple of num_heads {num_heads}")
    return x.reshape(*x.shape[:2], num_heads, x.shape[2] // num_heads)


def angles(cache: Array, position_ids: Array | None, shape: tuple[int, ...], name: str) -> Array:
    """The cache's rows for each position, widened: [batch, position, 1, pair]."""
    if position_ids is not None:
        if position_ids.shape != shape[:2]:
            raise ShapeError(f"position_ids has shape {list(position_ids.shape)}, expected {list(shape[:2])}")
        if cache.ndim != 2:
            raise ShapeError(f"{name} has shape {list(cache.shape)}, expected rank 2 with position_ids")
        if ((position_ids < 0) | (position_ids >= len(cache))).any():
            raise InvalidInputError(f"position_ids outside the {len(cache)} rows of {name}")
        cache = cache[position_ids]
    if cache.shape != shape:
        raise ShapeError(f"{name} gives shape {list(cache.shape)}, expected {list(shape)}")
    return widen(cache)[:, :, None, :]
