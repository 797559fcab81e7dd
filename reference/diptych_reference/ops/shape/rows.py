"""ReverseSequence and Trilu: rows that each keep, turn round or drop a part."""

from __future__ import annotations

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.operator import Array, operator


@operator("ReverseSequence", since=(10, 28))
def reverse_sequence(input: Array, sequence_lens: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """`input` with the first `sequence_lens[i]` time steps of batch i in reverse; the others stay."""
    if {batch_axis, time_axis} != {0, 1}:
        raise InvalidModelError(f"batch_axis {batch_axis}, time_axis {time_axis}; expected 0 and 1 in some order")
    if input.ndim < 2 or sequence_lens.shape != (input.shape[batch_axis],):
        raise ShapeError(f"sequence_lens {list(sequence_lens.shape)} for input {list(input.shape)}")
    steps = input.shape[time_axis]
    if ((sequence_lens < 0) | (sequence_lens > steps)).any():
        raise InvalidInputError(f"sequence_lens {sequence_lens.tolist()}, expected numbers in 0 .. {steps}")
    batches = input if batch_axis == 0 else input.swapaxes(0, 1)
    step = np.arange(steps)
    length = sequence_lens[:, None]
    source = np.where(step < length, length - 1 - step, step)  # [batch, time]
    turned = batches[np.arange(len(batches))[:, None], source]
    return turned if batch_axis == 0 else turned.swapaxes(0, 1)


@operator("Trilu", since=14)
def trilu(input: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    """Matrices [.., n, m] with the elements of one side of diagonal `k` (that one included), elsewhere 0.

    Diagonal k has the elements (i, i + k): above the main one for k > 0.
    """
    if input.ndim < 2:
        raise ShapeError(f"shape {list(input.shape)}, expected two dimensions or more")
    if k is not None and k.size != 1:
        raise ShapeError(f"k has shape {list(k.shape)}, expected a scalar")
    diagonal = 0 if k is None else int(k.reshape(()))
    n, m = input.shape[-2:]
    diagonal = min(max(diagonal, -n - 1), m + 1)  # beyond these all is kept, or nothing
    distance = np.arange(m) - np.arange(n)[:, None] - diagonal
    kept = distance >= 0 if upper else distance <= 0
    zero = "" if input.dtype == object else np.zeros((), input.dtype)
    result = input.copy()
    result[..., ~kept] = zero
    return result
