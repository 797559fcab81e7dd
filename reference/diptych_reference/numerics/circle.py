"""Cosine and sine of fractions of the circle (docs/numerics.md, section 3.6).

The angle is reduced as a fraction, exactly. So quarters of the circle come out exactly, eighths correctly rounded, and
what is symmetric in theory is symmetric to the last bit.
"""

from __future__ import annotations

import numpy as np

from diptych_reference.numerics import coefficients as c
from diptych_reference.numerics import float64
from diptych_reference.numerics.conversion import Array


def circle(k: Array, n: int) -> tuple[Array, Array]:
    """(cos, sin) of `2 pi k / n` for int64 `0 <= k < n`, binary64.

    `quadrant, v = divmod(4 k, n)`; of `v` and `n - v` the lesser one, w, gives an angle below pi/4,
    `rn(rn(w * pi/2) / n)`; where they are equal both functions are `rn(sqrt(1/2))`.
    """
    quadrant, v = np.divmod(4 * k, n)
    beyond = v + v > n  # over pi/4: cosine and sine change places
    angle = np.atleast_1d(np.where(beyond, n - v, v).astype(np.float64) * c.HALF_PI_F64[0] / float(n))
    eighth = v + v == n  # where both are the square root of 1/2
    near = np.where(eighth, np.sqrt(0.5), float64.cos(angle).reshape(k.shape))
    far = np.where(eighth, np.sqrt(0.5), float64.sin(angle).reshape(k.shape))
    cos, sin = np.where(beyond, far, near), np.where(beyond, near, far)
    # A quarter turn takes (cos, sin) to (-sin, cos).
    turned = [(cos, sin), (-sin, cos), (-cos, -sin), (sin, -cos)]
    return (
        np.choose(quadrant, [pair[0] for pair in turned]),
        np.choose(quadrant, [pair[1] for pair in turned]),
    )
