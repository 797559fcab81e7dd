"""The core of every attention: scores, their Softmax, results.

Rounding program (docs/numerics.md, section 4), in W, the type that Q's computes in: `s = sqrt(scale)`; scores are fma
chains of `rn(q * s)` and `rn(k * s)` over the head's elements; softcap, bias, Softmax over all keys; outputs are chains
over the keys in order. A key whose bias is -inf takes no part: neither its score nor its value is ever used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidModelError
from diptych_reference.numerics import accumulator, fma, is_float, lane_sum, maximum_over, round_to, widen
from diptych_reference.operator import Array
from diptych_reference.ops.matmul import chain
from diptych_reference.signature import dtype_of


def dot_products(
    q: Array,
    k: Array,
    v: Array,
    part: Array,
    bias: Array | None,
    *,
    scale: float | None,
    softcap: float,
    softmax_precision: int | None = None,
    sink: Array | None = None,
) -> tuple[Array, tuple[Array, ...]]:
    """Y [B, Hq, L, Dv] in Q's type, and in W the scores [B, Hq, L, S]: raw, capped, biased, and their probabilities.

    Q [B, Hq, L, D], K [B, Hkv, S, D], V [B, Hkv, S, Dv]. `part` says which keys a query may attend, `bias` is added to
    their scores and `sink` [Hq] is each head's score of no key at all; what -inf excludes takes no part either.
    """
    one = accumulator(q.dtype).type
    group = q.shape[1] // k.shape[1] if k.shape[1] else 1
    raw = scaled_scores(q, np.repeat(k, group, axis=1), scale)
    capped = raw if softcap == 0 else softcapped(raw, one(softcap))
    biased = capped
    if bias is not None:
        part = part & (bias != -np.inf)
        biased = capped + bias
    biased = np.where(part, biased, one(-np.inf))
    sinks = None if sink is None else widen(sink)[:, None, None]
    p = probabilities(biased, part, q.dtype, softmax_precision, sinks)
    y = weighted(p, part, round_to(widen(np.repeat(v, group, axis=1)), one))
    return round_to(y, q.dtype), (raw, capped, biased, p)


def scaled_scores(q: Array, k: Array, scale: float | None) -> Array:
    """Chains of `rn(q * s)` and `rn(k * s)`, `s = sqrt(scale)`; without a scale, that is `rn(1 / sqrt(D))`."""
    wide = accumulator(q.dtype).type
    factor = wide(1) / np.sqrt(wide(q.shape[-1])) if scale is None else wide(scale)
    s = np.sqrt(factor)
    return chain(widen(q) * s, np.swapaxes(widen(k) * s, -1, -2))


def softcapped(x: Array, cap: np.floating[Any]) -> Array:
    """`rn(cap * tanh(rn(x / cap)))`."""
    return np.asarray(cap * numerics.tanh(x / cap))


def probabilities(
    x: Array, part: Array, dtype: np.dtype[Any], softmax_precision: int | None, sink: Array | None = None
) -> Array:
    """Softmax over the keys that take part, +0 for the others.

    In the type of `x`, or, if softmax_precision is another type than `dtype`, in what that one computes in: scores and
    probabilities are then rounded to it. A `sink` is the score of a further key, which only adds to the sum.
    """
    wide = x.dtype
    precision = dtype if softmax_precision is None else dtype_of(softmax_precision)
    if not is_float(precision):
        raise InvalidModelError(f"softmax_precision {softmax_precision} ({precision}), expected a floating-point type")
    other = precision != dtype
    if other:
        x = widen(round_to(x, precision))
    if x.size == 0:
        return x.astype(wide)
    m = maximum_over(x, (x.ndim - 1,), keepdims=True)
    m = m if sink is None else np.maximum(m, sink)
    e = np.where(part, numerics.exp(x - m), x.dtype.type(0))
    total = lane_sum(e, (x.ndim - 1,), keepdims=True)
    total = total if sink is None else total + numerics.exp(sink - m)
    p = e * (x.dtype.type(1) / total)
    p = np.where(part, p, x.dtype.type(0))
    return round_to(round_to(p, precision), wide) if other else p


def weighted(p: Array, part: Array, v: Array) -> Array:
    """The chain `acc = fma(p_j, v_j, acc)` over the keys j that take part, in order; a zero result is +0."""
    acc = np.zeros((*p.shape[:-1], v.shape[-1]), p.dtype)
    for j in range(p.shape[-1]):
        acc = np.where(part[..., j, None], fma(p[..., j, None], v[..., None, j, :], acc), acc)
    return np.asarray(acc + p.dtype.type(0))
