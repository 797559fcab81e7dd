"""Scaler, Normalizer, Imputer, Binarizer, FeatureVectorizer, ArrayFeatureExtractor."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.families.ml.common import ROWS, batch, floats, ml_rule, picks
from diptych.testing.sketch import Sketch
from diptych.testing.values import is_floating


@ml_rule("Scaler")
def scaler(s: Sketch) -> list[Any]:
    """Offsets and scales of any rank: one number or one a feature, perhaps absent."""
    x = s.shape((0, 3), limit=300)
    count = s.choose(1, x[-1] if x else 1) or 1
    for name in ("offset", "scale"):
        if s.integer(0, 3):
            s.set(name, floats(s, count))
    return [s.tensor(x)]


@ml_rule("Normalizer")
def normalizer(s: Sketch) -> list[Any]:
    """Rows, some of zeros."""
    s.attribute("norm", "MAX", "L1", "L2")
    return [s.tensor(batch(s, 37))]


@ml_rule("Imputer")
def imputer(s: Sketch) -> list[Any]:
    """Imputed values of X's kind, one or one a feature; the replaced value is one of X's at times."""
    shape = s.shape((0, 3), limit=300)
    x = s.tensor(shape)
    count = s.choose(1, shape[-1] if shape else 1) or 1
    if is_floating(s.dtype):
        s.set("imputed_value_floats", floats(s, count))
        if s.coin():
            s.set("replaced_value_float", picks(s, x, 1, s.tensor((1,), np.float32)).astype(np.float32).tolist()[0])
    else:
        s.set("imputed_value_int64s", s.tensor((count,)).tolist())
        if s.coin():
            s.set("replaced_value_int64", int(picks(s, x, 1, s.tensor((1,), np.int64))[0]))
    return [x]


@ml_rule("Binarizer")
def binarizer(s: Sketch) -> list[Any]:
    """Any shape, any threshold, that of an element at times."""
    x = s.tensor(s.shape((0, 4), limit=600))
    if s.coin():
        s.set("threshold", picks(s, x, 1, s.tensor((1,), np.float32)).astype(np.float32).tolist()[0])
    return [x]


@ml_rule("FeatureVectorizer")
def feature_vectorizer(s: Sketch) -> list[Any]:
    """Inputs of as many rows, each cut or padded to a size."""
    rows = s.choose(*ROWS)
    columns = [s.choose(1, 2, 3, 0, 9, 17) for _ in range(s.integer(1, 4))]
    if s.coin():
        s.set("inputdimensions", [s.choose(n, n + 2, max(n - 1, 0), 0) for n in columns])
    vectors = rows == 1
    return [s.tensor((n,) if vectors and s.coin() else (rows, n)) for n in columns]


@ml_rule("ArrayFeatureExtractor")
def array_feature_extractor(s: Sketch) -> list[Any]:
    """Places in the last axis, of any shape."""
    x = list(s.shape((1, 4), limit=300))
    where = s.shape((0, 3), limit=60)
    if 0 not in where:
        x[-1] = max(x[-1], 1)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    return [s.tensor(x), random.integers(0, max(x[-1], 1), where)]
