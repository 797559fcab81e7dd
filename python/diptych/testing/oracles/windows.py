"""Oracles of convolutions, pools and what else adds up windows."""

from __future__ import annotations

import math

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import (
    Expected,
    chained,
    gamma,
    in_double,
    in_reference,
    lane_depth,
    moves,
    oracle,
    tiny,
    wide,
)


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
    shapes = [() if x is None else x.shape for x in given]
    if case.op_type.startswith("Conv"):
        h = math.prod(shapes[1]) + 2.0
    else:
        h = math.prod(case.attributes.get("kernel_shape", shapes[0][2:])) + 2.0
        magnitude = np.where(magnitude > 2.0**127 / h, np.inf, magnitude)  # the sum comes before the division
    return [chained(wide(exact), wide(magnitude), h, dtype)]


@oracle("LpPool", "GlobalLpPool")
@in_double
def norms(case: Case) -> list[Expected | None]:
    """Terms are not negative, so that all relative errors stay small ones: of p-th powers, their sum and its root."""
    x = wide(case.inputs[0]).astype(np.float64)
    p = float(case.attributes.get("p", 2))
    exact = wide(in_reference(case, [x]))
    count = math.prod(case.attributes.get("kernel_shape", x.shape[2:]))
    h = (lane_depth(count) if case.op_type == "GlobalLpPool" else count) + 4.0
    slack = gamma(h / min(p, 1.0) + 4, np.float32) * exact + tiny(np.float32, h) ** (1 / max(p, 1.0))
    # Powers overflow, and below 1 get lost, long before their roots do.
    edge = (exact > 2.0 ** (120 / p)) | (np.abs(exact) < 2.0**-100 if p < 1 else False)
    return [Expected(exact, np.where(edge, np.inf, slack))]


@oracle("DeformConv", "Col2Im")
@in_double
def sums_of_products(case: Case) -> list[Expected | None] | None:
    """As convolutions; places are the same in both, and the weights of what lies around them add up to 1."""
    if case.inputs[0].dtype.kind not in "fV":
        return None
    floats = [None if x is None or x.dtype == np.int64 else wide(x).astype(np.float64) for x in case.inputs]
    given = [f if f is not None else x for f, x in zip(floats, case.inputs, strict=True)]
    if any(f is not None and not np.isfinite(f).all() for f in floats):
        return None
    sizes = [x if i == 2 or x is None or x.dtype == np.int64 else np.abs(x) for i, x in enumerate(given)]
    exact, magnitude = (wide(in_reference(case, values)) for values in (given, sizes))
    h = math.prod(given[1].shape if case.op_type == "DeformConv" else given[2]) + 24.0
    greatest = max(float(np.max(np.abs(f), initial=0)) for f in floats if f is not None)
    return [chained(exact, np.where(greatest > 2.0**60, np.inf, magnitude), h, case.inputs[0].dtype)]


@oracle("CausalConvWithState")
def causal(case: Case) -> list[Expected | None] | None:
    """The chain; silu has a slope of at most 1.1."""
    x, w, b, past = (None if v is None else wide(v) for v in (*case.inputs, *[None] * (4 - len(case.inputs))))
    assert x is not None
    assert w is not None
    taps = w.shape[2]
    sequence = np.concatenate([np.zeros((*x.shape[:2], taps - 1)) if past is None else past, x], axis=2)
    terms = [sequence[:, :, k : k + x.shape[2]] * w[:, :, k] for k in range(taps)]
    bias = 0 if b is None else b[:, None]
    exact, magnitude = (np.asarray(sum(t) + b) for t, b in ((terms, bias), (map(np.abs, terms), np.abs(bias))))
    found = chained(exact, magnitude, taps + 2.0, case.inputs[0].dtype)
    if case.attributes.get("activation", "none") in ("silu", "swish"):
        y = exact / (1 + np.exp(-exact))
        slack = np.asarray(found.slack) * 1.1 + gamma(8, np.float32) * np.abs(y) + tiny(np.float32, 4)
        found = Expected(y, np.where(np.isfinite(y), slack, np.inf))
    return [found]


moves("ConvInteger", "GlobalMaxPool", "MaxPool", "MaxUnpool")
