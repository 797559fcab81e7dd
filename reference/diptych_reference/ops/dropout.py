"""Dropout: in inference the identity; in training a random mask.

Rounding program: inference moves elements. Training: element i (row-major) is kept when `u_i >= ratio` in binary64,
where u is the stream `random_sample` of NumPy's MT19937 seeded with `seed` (53-bit uniform numbers in [0, 1)). Kept
elements are `rn(x * s)`, where `s = rn(1 / rn(1 - ratio))`, others +0, in binary64 for double, else in binary32 and
rounded once. Without `seed` the seed is 0, so that runs can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError
from diptych_reference.numerics.conversion import round_to
from diptych_reference.operator import Array, operator


@operator("Dropout", since=1)
def dropout_1(
    data: Array, *, is_test: int = 0, ratio: float = 0.5, consumed_inputs: Sequence[int] = ()
) -> tuple[Array, Array]:
    """As version 6."""
    return dropout_6(data, is_test=is_test, ratio=ratio)


@operator("Dropout", since=6)
def dropout_6(data: Array, *, is_test: int = 0, ratio: float = 0.5) -> tuple[Array, Array]:
    """Training unless `is_test`; the mask has the type of `data`."""
    y, mask = dropped(data, 0.0 if is_test else ratio, 0)
    return y, mask.astype(data.dtype)


@operator("Dropout", since=7)
def dropout_7(data: Array, *, ratio: float = 0.5) -> tuple[Array, Array]:
    """Inference only: the input; the mask, ones, has the type of `data`."""
    return data, np.ones(data.shape, dtype=data.dtype)


@operator("Dropout", since=10)
def dropout_10(data: Array, *, ratio: float = 0.5) -> tuple[Array, Array]:
    """Inference only: the input; the mask is boolean, all true."""
    return data, np.ones(data.shape, dtype=np.bool_)


@operator("Dropout", since=(12, 13, 22))
def dropout(
    data: Array, ratio: Array | None = None, training_mode: Array | None = None, *, seed: int = 0
) -> tuple[Array, Array]:
    """The input, or in training a random part of it scaled by 1 / (1 - ratio); and the mask of what is kept."""
    training = training_mode is not None and bool(training_mode.reshape(()))
    share = 0.5 if ratio is None else float(ratio.reshape(()))
    return dropped(data, share if training else 0.0, seed)


def dropped(data: Array, ratio: float, seed: int) -> tuple[Array, Array]:
    """The training form; with ratio 0 nothing is computed."""
    if not 0.0 <= ratio < 1.0:
        raise InvalidInputError(f"ratio is {ratio}, expected a number in [0, 1)")
    if ratio == 0.0:
        return data, np.ones(data.shape, dtype=np.bool_)
    mask = np.random.RandomState(seed % 2**32).random_sample(data.shape) >= ratio
    x: Array = data.astype(np.float64 if data.dtype == np.float64 else np.float32)
    one = np.ones((), dtype=x.dtype)
    scale = one / (one - one * ratio)
    return round_to(np.where(mask, x * scale, np.zeros_like(x)), data.dtype), np.asarray(mask)
