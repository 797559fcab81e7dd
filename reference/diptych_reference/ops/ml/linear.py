"""LinearRegressor and LinearClassifier: a matrix product, intercepts, a transform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.operator import Array
from diptych_reference.ops.ml.common import (
    class_labels,
    computing_rows,
    first_greatest,
    matrix,
    ml_operator,
    products,
    transformed,
)


def linear_scores(x: Array, coefficients: Array, intercepts: Sequence[float] | None) -> Array:
    """`rn(chain + intercept)` for rows x [N, F] and coefficients [M, F]; without intercepts the chain alone."""
    scores = products(x, coefficients)
    if not intercepts:
        return scores
    if len(intercepts) != len(coefficients):
        raise ShapeError(f"{len(intercepts)} intercepts for {len(coefficients)} rows of coefficients")
    return np.asarray(scores + np.array(intercepts, dtype=x.dtype))


@ml_operator("LinearRegressor")
def linear_regressor(
    x: Array,
    *,
    coefficients: Sequence[float] | None = None,
    intercepts: Sequence[float] | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Array:
    """X [N, F] to [N, targets], float; `coefficients` is [targets, F]."""
    x = computing_rows(x)
    if targets < 1:
        raise InvalidModelError(f"targets is {targets}, expected at least 1")
    weights = matrix(coefficients, targets, x.shape[1], "coefficients", x.dtype)
    return transformed(linear_scores(x, weights, intercepts), post_transform).astype(np.float32)


@ml_operator("LinearClassifier")
def linear_classifier(
    x: Array,
    *,
    coefficients: Sequence[float],
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    intercepts: Sequence[float] | None = None,
    multi_class: int = 0,  # one against the rest or multinomial: says how the model was trained
    post_transform: str = "NONE",
) -> tuple[Array, Array]:
    """Label [N] and scores [N, E]. The label is that of the greatest score before the transform.

    With two classes and one row of coefficients the score s is that of the second class, and the scores are (-s, s).
    """
    x, labels = computing_rows(x), class_labels(classlabels_ints, classlabels_strings)
    one_row = len(labels) == 2 and len(coefficients) == x.shape[1] != 0
    weights = matrix(coefficients, 1 if one_row else len(labels), x.shape[1], "coefficients", x.dtype)
    scores = linear_scores(x, weights, intercepts)
    if one_row:
        scores = np.concatenate([-scores, scores], axis=1)
    return labels[first_greatest(scores)], transformed(scores, post_transform).astype(np.float32)
