"""What the operators of ai.onnx.ml share: rows of features, the computing type, class labels, score transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.numerics import lane_sum, maximum_over
from diptych_reference.operator import Array, Function, operator
from diptych_reference.ops.softmax import softmax_over

NEAR_ZERO = np.float32(1e-7)  # what SOFTMAX_ZERO takes for zero
WINITZKI = 0.147  # the constant of the approximation of the inverse error function


def ml_operator(op_type: str, *, since: Iterable[int] | int = 1) -> Callable[[Function], Function]:
    """Register a definition in ai.onnx.ml."""
    return operator(op_type, since=since, domain="ai.onnx.ml")


def computing_rows(x: Array) -> Array:
    """X as a matrix [N, F] in the computing type: binary64 for double, else binary32. A vector is one row."""
    if x.ndim not in (1, 2):
        raise ShapeError(f"X has shape {list(x.shape)}, expected [N, F] or [F]")
    return computed(x if x.ndim == 2 else x[None])


def computed(x: Array) -> Array:
    """Numbers in the computing type; integers are rounded to it."""
    return x.astype(np.float64 if x.dtype == np.float64 else np.float32)


def class_labels(integers: Sequence[int] | None, strings: Sequence[str] | None) -> Array:
    """The labels of the classes, of which one kind must be given."""
    if bool(integers) == bool(strings):
        raise InvalidModelError("class labels must be given either as integers or as strings")
    if integers:
        return np.array(integers, dtype=np.int64)
    return np.array(strings, dtype=object)


def first_greatest(scores: Array) -> Array:
    """Column of the greatest score of each row, the first of equals; a NaN is greater only where it comes first."""
    rows = np.arange(len(scores))
    best = np.zeros(len(scores), dtype=np.int64)
    for column in range(1, scores.shape[1]):
        best = np.where(scores[:, column] > scores[rows, best], column, best)
    return best


def transformed(scores: Array, post_transform: str) -> Array:
    """The scores of each row [N, E] after `post_transform`."""
    match post_transform:
        case "NONE":
            return scores
        case "LOGISTIC":
            return numerics.sigmoid(scores)
        case "SOFTMAX":
            return softmax_over(scores, (1,))
        case "SOFTMAX_ZERO":
            return softmax_zero(scores)
        case "PROBIT":
            return probit(scores)
    known = "NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT"
    raise InvalidModelError(f"post_transform is {post_transform!r}, expected {known}")


def softmax_zero(scores: Array) -> Array:
    """Softmax in which scores of (almost) zero stay zero; a row of zeros alone gives one half each."""
    if scores.size == 0:
        return scores
    m = maximum_over(scores, (1,), keepdims=True)
    bound = scores.dtype.type(NEAR_ZERO)
    away = (scores > bound) | (scores < -bound)
    e = np.where(away, numerics.exp(scores - m), scores * numerics.exp(-m))
    s = lane_sum(e, (1,), keepdims=True)
    return np.asarray(np.where(s == 0, scores.dtype.type(0.5), e * (scores.dtype.type(1) / s)))


def probit(p: Array) -> Array:
    """The quantile of the normal distribution, `sqrt(2) * erfinv(2p - 1)`, by Winitzki's formula.

    The difference `sqrt(v^2 + d) - v` is written as `d / (v + sqrt(v^2 + d))` where v > 0, so that nothing cancels.
    """
    number = p.dtype.type
    x = number(2) * p - number(1)
    log = numerics.log((number(1) - x) * (number(1) + x))
    v = number(2 / (np.pi * WINITZKI)) + log / number(2)
    d = -log / number(WINITZKI)
    s = np.sqrt(v * v + d)
    square = np.where(v > 0, d / (v + s), s - v)
    return np.asarray(np.copysign(np.sqrt(square + square), x))


def products(x: Array, weights: Array) -> Array:
    """`[N, F]` times the rows `[M, F]`: an fma chain over the features from +0 for each pair."""
    start = np.zeros((len(x), len(weights)), dtype=x.dtype)
    return numerics.fma_chain(x.T[:, :, None], weights.T[:, None, :], start)


def matrix(values: Sequence[float] | None, rows: int, columns: int, what: str, dtype: Any) -> Array:
    """A list of `rows * columns` numbers as a matrix."""
    found = np.array(values or [], dtype=dtype)
    if found.size != rows * columns:
        raise ShapeError(f"{what} has {found.size} numbers, expected {rows} times {columns}")
    return found.reshape(rows, columns)
