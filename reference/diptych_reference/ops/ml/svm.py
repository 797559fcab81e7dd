"""Support vector machines: kernels, votes of pairs of classes, probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidModelError
from diptych_reference.numerics import fma
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

KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
FEWEST_ITERATIONS = 100


def kernel(x: Array, vectors: Array, kernel_type: str, kernel_params: Sequence[float] | None) -> Array:
    """The kernel of each row of x [N, F] with each support vector [V, F]: [N, V].

    LINEAR `chain`, POLY `pow(rn(rn(gamma * chain) + coef0), degree)`, SIGMOID `tanh` of the same, RBF
    `exp(rn(-gamma * q))`, q being the fma chain of the squares of `rn(x - v)`.
    """
    gamma, coef0, degree = (x.dtype.type(p) for p in kernel_params or (0.0, 0.0, 0.0))
    if kernel_type == "RBF":
        q = np.zeros((len(x), len(vectors)), dtype=x.dtype)
        for feature in range(x.shape[1]):
            d = x[:, None, feature] - vectors[None, :, feature]
            q = fma(d, d, q)
        return numerics.exp(-gamma * q)
    chain = products(x, vectors)
    if kernel_type == "LINEAR":
        return chain
    scaled = gamma * chain + coef0
    if kernel_type == "SIGMOID":
        return numerics.tanh(scaled)
    return numerics.power(scaled, np.asarray(degree, np.float64)).reshape(scaled.shape)


def check_kernel(kernel_type: str, kernel_params: Sequence[float] | None) -> None:
    """Refuse an unknown kernel and a wrong number of parameters."""
    if kernel_type not in KERNELS:
        raise InvalidModelError(f"kernel_type is {kernel_type!r}, expected one of {', '.join(KERNELS)}")
    if kernel_params and len(kernel_params) != 3:
        raise InvalidModelError(f"kernel_params has {len(kernel_params)} numbers, expected gamma, coef0 and degree")


def check_rho(rho: Sequence[float] | None, least: int) -> Sequence[float]:
    """The intercepts, of which there must be enough."""
    if len(rho or ()) < least:
        raise InvalidModelError(f"rho has {len(rho or ())} numbers, expected {least}")
    return rho or ()


def weighted(kernels: Array, terms: Sequence[tuple[slice, Array]], start: Array) -> Array:
    """An fma chain over some columns of the kernels [N, V], each with its coefficient, from `start`."""
    for columns, coefficients in terms:
        start = numerics.fma_chain(kernels[:, columns].T, coefficients[:, None], start)
    return start


@ml_operator("SVMRegressor")
def svm_regressor(
    x: Array,
    *,
    coefficients: Sequence[float] | None = None,
    kernel_params: Sequence[float] | None = None,
    kernel_type: str = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: str = "NONE",
    rho: Sequence[float] | None = None,
    support_vectors: Sequence[float] | None = None,
) -> Array:
    """X [N, F] to [N, 1], float: the chain of coefficients times kernels (without supports: times features) + rho[0].

    With `one_class` it is 1 where that is above 0, else -1. The transform comes last.
    """
    x = computing_rows(x)
    check_kernel(kernel_type, kernel_params)
    rho = check_rho(rho, 1)
    if n_supports < 0:
        raise InvalidModelError(f"n_supports is {n_supports}, expected at least 0")
    if n_supports > 0:
        vectors = matrix(support_vectors, n_supports, x.shape[1], "support_vectors", x.dtype)
        x = kernel(x, vectors, kernel_type, kernel_params)
    weights = matrix(coefficients, 1, x.shape[1], "coefficients", x.dtype)
    y = products(x, weights) + x.dtype.type(rho[0])
    if one_class:
        y = np.where(y > 0, x.dtype.type(1), x.dtype.type(-1))
    return transformed(y, post_transform).astype(np.float32)


@ml_operator("SVMClassifier")
def svm_classifier(
    x: Array,
    *,
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    coefficients: Sequence[float] | None = None,
    kernel_params: Sequence[float] | None = None,
    kernel_type: str = "LINEAR",
    post_transform: str = "NONE",
    prob_a: Sequence[float] | None = None,
    prob_b: Sequence[float] | None = None,
    rho: Sequence[float] | None = None,
    support_vectors: Sequence[float] | None = None,
    vectors_per_class: Sequence[int] | None = None,
) -> tuple[Array, Array]:
    """Label [N] and scores, float.

    Without support vectors a linear model: scores [N, E], the label that of the greatest. With them each pair of
    classes has a score and votes by its sign; the label is that of the most votes, the first of equals. The scores are
    the probabilities [N, E] where prob_a and prob_b are given, else those of the pairs; for two classes (-s, s).
    """
    x, labels = computing_rows(x), class_labels(classlabels_ints, classlabels_strings)
    check_kernel(kernel_type, kernel_params)
    counts = list(vectors_per_class or ())
    if any(count < 0 for count in counts):
        raise InvalidModelError(f"vectors_per_class is {counts}, expected no negative number")
    total = sum(counts)
    if total == 0:
        weights = matrix(coefficients, len(labels), x.shape[1], "coefficients", x.dtype)
        scores = products(x, weights) + x.dtype.type(check_rho(rho, 1)[0])
        return labels[first_greatest(scores)], transformed(scores, post_transform).astype(np.float32)
    pairs = list(combinations(range(len(labels)), 2))
    if len(counts) != len(labels) or not pairs:
        raise InvalidModelError(f"{len(counts)} vectors_per_class for {len(labels)} classes, expected at least 2")
    check_probabilities(prob_a, prob_b, len(pairs))
    vectors = matrix(support_vectors, total, x.shape[1], "support_vectors", x.dtype)
    weights = matrix(coefficients, len(labels) - 1, total, "coefficients", x.dtype)
    kernels = kernel(x, vectors, kernel_type, kernel_params)
    scores = pair_scores(kernels, weights, counts, np.array(check_rho(rho, len(pairs))[: len(pairs)], x.dtype))
    chosen = first_greatest(votes(scores, pairs, len(labels)))
    if prob_a:
        a, b = (np.array(list(p or ())[: len(pairs)], x.dtype) for p in (prob_a, prob_b))
        scores = coupled(numerics.sigmoid(-(scores * a + b)), pairs, len(labels))
    elif len(labels) == 2:
        scores = np.concatenate([-scores, scores], axis=1)
    return labels[chosen], transformed(scores, post_transform).astype(np.float32)


def check_probabilities(a: Sequence[float] | None, b: Sequence[float] | None, pairs: int) -> None:
    """Platt's coefficients come in two lists of equal length, one number or more for each pair, or not at all."""
    if len(a or ()) != len(b or ()) or (a and len(a) < pairs):
        raise InvalidModelError(f"prob_a has {len(a or ())} numbers, prob_b {len(b or ())}, expected {pairs} or none")


def pair_scores(kernels: Array, weights: Array, counts: Sequence[int], rho: Array) -> Array:
    """The score of each pair i < j: a chain over class i's vectors (row j - 1 of the weights), then j's (row i)."""
    ends = np.concatenate([[0], np.array(counts)]).tolist()
    for k in range(1, len(ends)):
        ends[k] += ends[k - 1]
    own = [slice(ends[k], ends[k + 1]) for k in range(len(counts))]
    columns = []
    for i, j in combinations(range(len(counts)), 2):
        terms = [(own[i], weights[j - 1, own[i]]), (own[j], weights[i, own[j]])]
        columns.append(weighted(kernels, terms, np.zeros(len(kernels), kernels.dtype)))
    return np.stack(columns, axis=1) + rho


def votes(scores: Array, pairs: Sequence[tuple[int, int]], classes: int) -> Array:
    """How many pairs each class wins: i where the score is above 0, else j."""
    count = np.zeros((len(scores), classes), dtype=np.int64)
    for p, (i, j) in enumerate(pairs):
        count[:, i] += scores[:, p] > 0
        count[:, j] += ~(scores[:, p] > 0)
    return count


def coupled(p: Array, pairs: Sequence[tuple[int, int]], k: int) -> Array:
    """Probabilities of k classes from those of pairs [N, pairs] (Wu, Lin and Weng 2004, second approach, as libsvm).

    A row iterates until its largest error is below 0.005 / k, at most max(100, k) times.
    """
    one, two, near = p.dtype.type(1), p.dtype.type(2), p.dtype.type(np.float32(1e-7))
    r = np.zeros((len(p), k, k), p.dtype)
    for at, (i, j) in enumerate(pairs):
        r[:, i, j] = numerics.minimum(numerics.maximum(p[:, at], near), one - near)
        r[:, j, i] = one - r[:, i, j]
    q = quadratic(r)
    x = np.full((len(p), k), one / p.dtype.type(k), p.dtype)
    going = np.arange(len(p))
    for _ in range(max(FEWEST_ITERATIONS, k)):
        qx, xqx = gradients(q[going], x[going])
        close = (np.abs(qx - xqx[:, None]) < p.dtype.type(0.005) / p.dtype.type(k)).all(axis=1)
        going, qx, xqx = going[~close], qx[~close], xqx[~close]
        if not going.size:
            break
        for t in range(k):
            diagonal = q[going, t, t]
            step = (xqx - qx[:, t]) / diagonal
            x[going, t] = x[going, t] + step
            xqx = (xqx + step * (step * diagonal + two * qx[:, t])) / (one + step) / (one + step)
            qx = (qx + step[:, None] * q[going, t]) / (one + step)[:, None]
            x[going] = x[going] / (one + step)[:, None]
    return x


def quadratic(r: Array) -> Array:
    """Q: the sums over j of the squares of r_jt on the diagonal, -r_jt * r_tj elsewhere."""
    k = r.shape[1]
    q = -(np.swapaxes(r, 1, 2) * r)
    for t in range(k):
        q[:, t, t] = 0
        for j in range(k):
            if j != t:
                q[:, t, t] = q[:, t, t] + r[:, j, t] * r[:, j, t]
    return q


def gradients(q: Array, x: Array) -> tuple[Array, Array]:
    """Q x and x' Q x: sequential sums from +0 of rounded products."""
    qx = np.zeros_like(x)
    for j in range(x.shape[1]):
        qx = qx + q[:, :, j] * x[:, j, None]
    xqx = np.zeros(len(x), x.dtype)
    for t in range(x.shape[1]):
        xqx = xqx + x[:, t] * qx[:, t]
    return qx, xqx
