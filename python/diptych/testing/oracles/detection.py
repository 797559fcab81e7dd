"""Oracles of detection."""

from __future__ import annotations

import math

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import Expected, gamma, in_double, in_reference, moves, oracle, tiny, wide


@oracle("RoiAlign")
@in_double
def roi_align(case: Case) -> list[Expected | None] | None:
    """Places are the same in both: what differs are weights, products and as many additions as there are samples."""
    x, rois, images = case.inputs
    values = wide(x).astype(np.float64)
    if not np.isfinite(values).all():
        return None
    given = [values, wide(rois).astype(np.float64), images]
    exact, magnitude = (wide(in_reference(case, [v, *given[1:]])) for v in (values, np.abs(values)))
    reach = np.abs(given[1]).max(initial=0) * 2 * case.attributes.get("spatial_scale", 1.0) + 2
    samples = case.attributes.get("sampling_ratio", 0) or math.ceil(float(reach))
    if case.attributes.get("mode", "avg") == "max":
        magnitude = np.full(exact.shape, np.max(np.abs(values), initial=0))
        samples = 1
    greatest = np.max(np.abs(values), initial=0)
    slack = gamma(samples**2 + 12.0, np.float32) * magnitude + tiny(np.float32, samples**2 + 8.0)
    return [Expected(exact, np.where(greatest > 2.0**100, np.inf, slack))]


moves("MaxRoiPool", "NonMaxSuppression")
