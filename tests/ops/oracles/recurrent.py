"""The oracle of LSTM."""

from __future__ import annotations

import numpy as np
from tests.ops.oracles.base import Expected, gamma, in_double, oracle, wide

import diptych_reference
from diptych.testing import Case


@oracle("LSTM")
@in_double
def lstm(case: Case) -> list[Expected | None] | None:
    """Functions of slope at most 1 and two products a step: errors of h and c grow by a factor a step."""
    plain = case.attributes.keys() <= {"hidden_size", "direction", "layout"}
    given = [None if x is None else x if x.dtype == np.int32 else wide(x).astype(np.float64) for x in case.inputs]
    floats = [x for x in given if x is not None and x.dtype == np.float64]
    if not plain or not all(np.isfinite(x).all() and np.max(np.abs(x), initial=0) < 200 for x in floats):
        return None
    x, w, r = floats[:3]
    steps = x.shape[1 if case.attributes.get("layout") else 0]
    greatest = [float(np.max(np.abs(value), initial=0)) for value in floats]
    biggest = max(greatest[3:], default=0.0)
    a = (
        w.shape[2] * greatest[0] * greatest[1]
        + r.shape[2] * max(1.0, biggest) * greatest[2]
        + 3 * biggest * max(1.0, biggest)
    )
    one_step = gamma(w.shape[2] + r.shape[2] + 8, np.float32) * (a + 1) * (biggest + steps + 2)
    growth = 2.0 + 2.0 * (r.shape[2] * greatest[2] + biggest) * (biggest + steps)
    slack = one_step * sum(growth**t for t in range(steps + 1))
    outputs = diptych_reference.run_operator("LSTM", given, case.attributes, opset=case.opset, n_outputs=3)
    return [Expected(wide(y), np.full(y.shape, slack if slack < 0.05 else np.inf)) for y in outputs]
