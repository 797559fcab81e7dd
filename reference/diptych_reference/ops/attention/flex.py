"""FlexAttention (preview): attention whose scores and probabilities a graph of the model may change."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych_reference.errors import InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.numerics import accumulator, is_float, round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.attention.core import scaled_scores
from diptych_reference.ops.attention.dot_product import check_shapes
from diptych_reference.ops.matmul import chain
from diptych_reference.ops.softmax import softmax
from diptych_reference.signature import dtype_of


@operator("FlexAttention", since=1, domain="ai.onnx.preview")
def flex_attention(
    Q: Array,  # noqa: N803  ONNX's names
    K: Array,  # noqa: N803
    V: Array,  # noqa: N803
    *,
    prob_mod: Any = None,
    scale: float | None = None,
    score_mod: Any = None,
    softmax_precision: int | None = None,
) -> Array:
    """`Y = prob_mod(softmax(score_mod(Q K^T * scale))) V` for Q [B, Hq, L, D], K [B, Hkv, S, D], V [B, Hkv, S, Dv].

    Scores are Attention's, rounded to the softmax's type (by default float, double for double); both graphs and Softmax
    run in it, and the chains over the keys in order in what it computes in. Y is rounded to V's type.
    """
    for name, x in (("Q", Q), ("K", K), ("V", V)):
        if x.ndim != 4:
            raise ShapeError(f"{name} has shape {list(x.shape)}, expected rank 4")
    check_shapes(Q, K, V)
    precision = softmax_type(Q.dtype, softmax_precision)
    group = Q.shape[1] // K.shape[1] if K.shape[1] else 1
    k, v = np.repeat(K, group, axis=1), np.repeat(V, group, axis=1)
    scores = modified(score_mod, round_to(scaled_scores(Q, k, scale), precision), "score_mod")
    p = modified(prob_mod, softmax(scores), "prob_mod")
    y = chain(widen(p), round_to(widen(v), accumulator(precision)))
    return round_to(y + y.dtype.type(0), V.dtype)  # a zero is +0


def softmax_type(dtype: np.dtype[Any], softmax_precision: int | None) -> np.dtype[Any]:
    """The type of scores and probabilities."""
    if softmax_precision is None:
        return np.dtype(np.float64 if dtype == np.float64 else np.float32)
    precision = dtype_of(softmax_precision)
    if not is_float(precision):
        raise InvalidModelError(f"softmax_precision {softmax_precision} ({precision}), expected a floating-point type")
    return precision


def modified(graph: Any, x: Array, name: str) -> Array:
    """What the graph makes of `x`, which must be of its type and shape."""
    if graph is None:
        return x
    if len(graph.graph.inputs) != 1 or len(graph.outputs) != 1:
        raise InvalidModelError(f"{name} has {len(graph.outputs)} outputs, expected one, and one input")
    [y] = graph(x)
    if not isinstance(y, np.ndarray) or y.dtype != x.dtype:
        raise InvalidTypeError(f"{name} gives {getattr(y, 'dtype', type(y))}, expected {x.dtype}")
    if y.shape != x.shape:
        raise ShapeError(f"{name} gives shape {list(y.shape)}, expected {list(x.shape)}")
    return y
