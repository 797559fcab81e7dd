"""The oracle of Resize and Upsample."""

from __future__ import annotations

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import Expected, gamma, in_double, in_reference, oracle, tiny, wide


@oracle("Resize", "Upsample")
@in_double
def resized(case: Case) -> list[Expected | None] | None:
    """Interpolation: some tens of roundings an axis, of terms that weights of at most 4 make of max |x|."""
    if case.attributes.get("mode", "nearest") in ("nearest", b"nearest"):
        return None
    x = wide(case.inputs[0])
    if not np.isfinite(x).all():
        return None
    exact = wide(in_reference(case, [x.astype(np.float64), *case.inputs[1:]]))
    greatest = np.max(np.abs(x), initial=0)
    slack = gamma(40.0 * x.ndim, np.float32) * 4.0**x.ndim * greatest + tiny(np.float32, 99)
    return [Expected(exact, np.where(greatest > 2.0**100, np.inf, np.full(exact.shape, slack)))]
