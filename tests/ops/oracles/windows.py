"""Oracles of convolutions and pools."""

from __future__ import annotations

import math

import numpy as np
from tests.ops.oracles.base import Expected, chained, in_reference, moves, oracle, wide

from diptych.testing import Case


@oracle("Conv", "ConvTranspose", "AveragePool", "GlobalAveragePool")
def windows(case: Case) -> list[Expected | None] | None:
    """The reference itself in binary64, on the inputs and on their magnitudes: for narrower types only."""
    dtype = case.inputs[0].dtype
    if dtype == np.float64:
        return None
    given = [None if x is None else wide(x).astype(np.float64) for x in case.inputs]
    exact, magnitude = (
        in_reference(case, values) for values in (given, [None if x is None else np.abs(x) for x in given])
    )
    if case.op_type.startswith("Conv"):
        h = math.prod(given[1].shape) + 2.0
    else:
        h = math.prod(case.attributes.get("kernel_shape", given[0].shape[2:])) + 2.0
        magnitude = np.where(magnitude > 2.0**127 / h, np.inf, magnitude)  # the sum comes before the division
    return [chained(wide(exact), wide(magnitude), h, dtype)]


moves("ConvInteger", "GlobalMaxPool", "MaxPool")
