"""RotaryEmbedding: pairs of elements as points of the plane, turned by an angle that depends on the position."""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
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
    size = rotary_embedding_dim or x.shape[3]
    if size < 0 or size > x.shape[3] or size % 2:
        raise ShapeError(f"{size} of {x.shape[3]} elements cannot be turned in pairs")
    shape = (*x.shape[:2], size // 2)
    cos, sin = angles(cos_cache, position_ids, shape, "cos_cache"), angles(sin_cache, position_ids, shape, "sin_cache")
    first, second = (
        (slice(0, size, 2), slice(1, size, 2)) if interleaved else (slice(0, size // 2), slice(size // 2, size))
    )
    a, b = widen(x[..., first]), widen(x[..., second])
    y = x.copy()
    y[..., first] = round_to(cos * a - sin * b, x.dtype)
    y[..., second] = round_to(sin * a + cos * b, x.dtype)
    return y.reshape(X.shape) if X.ndim == 3 else np.transpose(y, (0, 2, 1, 3))


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
