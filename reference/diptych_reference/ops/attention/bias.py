"""What the attentions of com.microsoft add to scores: masks of keys and biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError, UnsupportedOperatorError
from diptych_reference.numerics import accumulator, widen
from diptych_reference.operator import Array


def checked_scale(scale: float | None) -> float | None:
    """The scale, None for `1 / sqrt(D)`: absent or 0. Q and K are each multiplied by its root."""
    if scale is not None and scale < 0:
        raise UnsupportedOperatorError(f"scale is {scale}: a negative one is not supported, negate query instead")
    return scale or None


def bias_of(
    kept: Array | None,
    mask_filter_value: float,
    attention_bias: Array | None,
    dtype: np.dtype[Any],
    shape: tuple[int, int, int, int],
) -> Array | None:
    """`rn(attention_bias + mask)` in the type that `dtype` computes in, broadcasting to scores of `shape`.

    The mask is 0 for keys that are kept and mask_filter_value for the others; what is absent takes no part.
    """
    wide = accumulator(dtype).type
    mask = None if kept is None else np.where(kept, wide(0), wide(mask_filter_value))
    if attention_bias is None:
        return mask
    given, (batch, heads, rows, keys) = attention_bias.shape, shape
    if len(given) != 4 or given[0] not in (1, batch) or given[1] not in (1, heads) or given[2:] != (rows, keys):
        raise ShapeError(f"attention_bias has shape {list(given)}, expected {list(shape)} (1 for the first two)")
    bias: Array = widen(attention_bias)
    return bias if mask is None else bias + mask


def kept_by_lengths(mask: Array, batch: int, keys: int, starts: bool) -> Array | None:
    """Keys before each sequence's end (and from its start on, of 2B numbers), [B, 1, 1, keys]; None: no such form.

    Of 3B + 2 numbers the first B are the ends; the others are offsets that they imply.
    """
    if mask.ndim != 1 or len(mask) not in (batch, 3 * batch + 2, *((2 * batch,) if starts else ())):
        return None
    ends = mask[:batch, None, None, None]
    if (ends < 0).any():
        raise InvalidInputError(f"lengths of sequences {mask[:batch].tolist()}: expected none below 0")
    places = np.arange(keys)
    kept = places < ends
    return kept & (places >= mask[batch:, None, None, None]) if len(mask) == 2 * batch else kept


def kept_by_flags(mask: Array, batch: int, rows: int, keys: int) -> Array | None:
    """Keys whose flag is above 0, of a mask [B, keys] or [B, rows, keys]; None: no such form."""
    if mask.shape == (batch, keys):
        return np.asarray(mask[:, None, None, :] > 0)
    if mask.shape == (batch, rows, keys):
        return np.asarray(mask[:, None] > 0)
    return None
