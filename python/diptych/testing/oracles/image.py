"""Oracles of image operators."""

from __future__ import annotations

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import (
    WIDE,
    Expected,
    chained,
    gamma,
    in_double,
    in_reference,
    moves,
    oracle,
    tiny,
    wide,
)


@oracle("AffineGrid")
def affine_grid(case: Case) -> list[Expected | None]:
    """The matrix times the places, both exactly."""
    theta, size = wide(case.inputs[0]), case.inputs[1].tolist()
    rank = len(size) - 2
    align = bool(case.attributes.get("align_corners"))
    exact = magnitude = theta[:, :, rank].reshape(len(theta), *(1,) * rank, rank)
    magnitude = np.abs(magnitude)
    for k in range(rank):
        n = size[-1 - k]
        centers = (2 * np.arange(n) + 1 - n) / WIDE(max(n - 1 if align else n, 1))
        along = centers.reshape(-1, *(1,) * k, 1)
        factor = theta[:, :, k].reshape(len(theta), *(1,) * rank, rank)
        exact, magnitude = exact + factor * along, magnitude + np.abs(factor * along)
    return [chained(exact, magnitude, 2.0 * rank + 4, case.inputs[0].dtype)]


@oracle("GridSample")
@in_double
def grid_sample(case: Case) -> list[Expected | None] | None:
    """Places are the same in both; the weights' magnitudes add up to less than 2 along an axis."""
    x = wide(case.inputs[0]).astype(np.float64)
    mode = case.attributes.get("mode", "linear")
    if mode == "nearest" or not np.isfinite(x).all():
        return None
    rank = x.ndim - 2
    exact = wide(in_reference(case, [x, *case.inputs[1:]]))
    greatest = np.max(np.abs(x), initial=0)
    slack = gamma(12.0 * rank, np.float32) * 2.0**rank * greatest + tiny(np.float32, 9.0**rank)
    return [Expected(exact, np.where(greatest > 2.0**100, np.inf, np.full(exact.shape, slack)))]


moves("ImageDecoder")
