"""Preparing features: Scaler, Normalizer, Imputer, Binarizer, FeatureVectorizer, ArrayFeatureExtractor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ShapeError
from diptych_reference.numerics import lane_sum, maximum_over
from diptych_reference.operator import Array
from diptych_reference.ops.ml.common import computed, ml_operator


def per_feature(values: Sequence[float] | Sequence[int], shape: tuple[int, ...], what: str) -> None:
    """Refuse a list that has neither one number nor one for each feature, the last axis of `shape`."""
    features = shape[-1] if shape else 1
    if len(values) not in (1, features):
        raise ShapeError(f"{what} has {len(values)} numbers, expected 1 or {features} for X of shape {list(shape)}")


@ml_operator("Scaler")
def scaler(x: Array, *, offset: Sequence[float] | None = None, scale: Sequence[float] | None = None) -> Array:
    """`rn(rn(x - offset) * scale)`, float. Both are one number or one a feature; what is absent changes nothing."""
    if offset and scale and len(offset) != len(scale):
        raise ShapeError(f"offset has {len(offset)} numbers, scale {len(scale)}: expected as many")
    y = computed(x)
    if offset:
        per_feature(offset, x.shape, "offset")
        y = y - np.array(offset, dtype=y.dtype)
    if scale:
        per_feature(scale, x.shape, "scale")
        y = y * np.array(scale, dtype=y.dtype)
    return y.astype(np.float32).reshape(x.shape)


@ml_operator("Normalizer")
def normalizer(x: Array, *, norm: str = "MAX") -> Array:
    """`rn(x / d)` for each row: d is the greatest element (not its magnitude), the sum of magnitudes, or the length.

    A row whose divisor is 0 stays.
    """
    if x.ndim not in (1, 2):
        raise ShapeError(f"X has shape {list(x.shape)}, expected [N, C] or [C]")
    if norm not in ("MAX", "L1", "L2"):
        raise InvalidModelError(f"norm is {norm!r}, expected MAX, L1 or L2")
    x = computed(x)
    last = (x.ndim - 1,)
    if x.size == 0:
        return x.astype(np.float32)
    if norm == "MAX":
        d = maximum_over(x, last, keepdims=True)
    elif norm == "L1":
        d = lane_sum(np.abs(x), last, keepdims=True)
    else:
        d = np.sqrt(lane_sum(x * x, last, keepdims=True))
    return np.where(d == 0, x, x / d).astype(np.float32)


@ml_operator("Imputer")
def imputer(
    x: Array,
    *,
    imputed_value_floats: Sequence[float] | None = None,
    imputed_value_int64s: Sequence[int] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Array:
    """X with each element that equals the replaced value (NaN equals NaN) replaced by its feature's imputed value."""
    if bool(imputed_value_floats) == bool(imputed_value_int64s):
        raise InvalidModelError("one of imputed_value_floats and imputed_value_int64s must be given")
    if (x.dtype.kind == "f") != bool(imputed_value_floats):
        raise InvalidModelError(f"imputed values of another kind than X, which is {x.dtype}")
    if imputed_value_floats:
        values = np.array(imputed_value_floats, dtype=x.dtype)
        replaced = x.dtype.type(replaced_value_float)
        found = np.isnan(x) if np.isnan(replaced) else x == replaced
    else:
        ends = np.iinfo(x.dtype)
        if not all(ends.min <= value <= ends.max for value in imputed_value_int64s or ()):
            raise InvalidModelError(f"an imputed value does not fit {x.dtype}")
        values = np.array(imputed_value_int64s, dtype=x.dtype)
        found = x.astype(np.int64) == replaced_value_int64
    per_feature(list(values), x.shape, "imputed values")
    return np.where(found, values if x.ndim else values[0], x)


@ml_operator("Binarizer")
def binarizer(x: Array, *, threshold: float = 0.0) -> Array:
    """1 where x is greater than the threshold, else 0, in the type of X. Integers compare exactly."""
    if x.dtype.kind == "f":
        return np.asarray(x > x.dtype.type(threshold), dtype=x.dtype)
    if np.isnan(threshold) or threshold >= 2.0**63:
        return np.zeros_like(x)
    if threshold < -(2.0**63):
        return np.ones_like(x)
    greater = x.astype(np.int64) > np.int64(np.floor(threshold))
    return np.asarray(greater, dtype=x.dtype)


@ml_operator("FeatureVectorizer")
def feature_vectorizer(*inputs: Array, inputdimensions: Sequence[int] | None = None) -> Array:
    """The inputs [N, C_i] (a vector is one row) side by side, as float; input i is cut or padded with 0 to its size."""
    matrices = []
    for x in inputs:
        if x.ndim not in (1, 2):
            raise ShapeError(f"an input has shape {list(x.shape)}, expected [N, C] or [C]")
        matrices.append((x if x.ndim == 2 else x[None]).astype(np.float32))
    if not matrices:
        raise InvalidModelError("expected at least one input")
    sizes = list(inputdimensions) if inputdimensions else [m.shape[1] for m in matrices]
    if len(sizes) != len(matrices) or any(size < 0 for size in sizes):
        raise InvalidModelError(f"inputdimensions is {sizes}, expected a size for each of {len(matrices)} inputs")
    if any(len(m) != len(matrices[0]) for m in matrices):
        raise ShapeError(f"inputs of {[len(m) for m in matrices]} rows, expected as many")
    y = np.zeros((len(matrices[0]), sum(sizes)), dtype=np.float32)
    at = 0
    for m, size in zip(matrices, sizes, strict=True):
        kept = min(size, m.shape[1])
        y[:, at : at + kept] = m[:, :kept]
        at += size
    return y


@ml_operator("ArrayFeatureExtractor")
def array_feature_extractor(x: Array, y: Array) -> Array:
    """The elements of the last axis whose places are in Y (of any shape, read flat). A vector gives one row [1, K]."""
    if x.ndim == 0:
        raise ShapeError("X is a scalar, expected at least one axis")
    places = y.reshape(-1)
    if ((places < 0) | (places >= x.shape[-1])).any():
        raise InvalidInputError(f"an index is outside [0, {x.shape[-1]})")
    z = np.take(x, places, axis=-1)
    return z[None] if x.ndim == 1 else z
