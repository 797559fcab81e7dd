"""ai.onnx.ml: a table of 256 rows of 32 features through encoders, scalers, linear models, machines and trees."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from .case import OperatorCase, Value, fixed, integers, normal

ML: dict[str, Any] = {"domain": "ai.onnx.ml", "opset": 3}
ROWS, FEATURES, CLASSES = 256, 32, 4
TREES, DEPTH = 50, 6
TABLE = normal(ROWS, FEATURES)
NAMES = [f"class {i}" for i in range(CLASSES)]


def numbers(count: int, seed: int = 1) -> list[float]:
    """Seeded normals for an attribute, which float32 holds exactly."""
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32).tolist()


def cases() -> Iterator[OperatorCase]:
    """All of them."""
    yield from encoders()
    yield from features()
    yield from linear()
    yield from trees()


def encoders() -> Iterator[OperatorCase]:
    """Words to numbers, columns of bits, maps."""
    chosen: Value = lambda rng: rng.choice(np.array(NAMES, object), ROWS)  # noqa: E731
    numbered = {"cats_strings": NAMES, "cats_int64s": list(range(CLASSES))}
    yield OperatorCase("CategoryMapper", "256 words", (chosen,), numbered, **ML)
    labels = {"keys_strings": NAMES, "values_int64s": list(range(CLASSES))}
    yield OperatorCase("LabelEncoder", "256 words", (chosen,), labels, **ML)
    yield OperatorCase("OneHotEncoder", "256 words", (chosen,), {"cats_strings": NAMES}, **ML)
    yield OperatorCase("ZipMap", "256 rows", (normal(ROWS, CLASSES),), {"classlabels_strings": NAMES}, **ML)
    counts = fixed({name: np.float32(i) for i, name in enumerate(NAMES)})
    yield OperatorCase("DictVectorizer", "a map of 4", (counts,), {"string_vocabulary": NAMES}, **ML)
    sparse = {"map_form": "SPARSE", "max_map": 64, "cast_to": "TO_FLOAT"}
    yield OperatorCase("CastMap", "a map of 32", (fixed({2 * i: np.float32(i) for i in range(32)}),), sparse, **ML)


def features() -> Iterator[OperatorCase]:
    """Scaling, imputing, choosing."""
    yield OperatorCase("ArrayFeatureExtractor", "8 of 32", (TABLE, integers(0, FEATURES, 8)), **ML)
    yield OperatorCase("Binarizer", "256 x 32", (TABLE,), {"threshold": 0.5}, **ML)
    widths = {"inputdimensions": [FEATURES, FEATURES]}
    yield OperatorCase("FeatureVectorizer", "two tables", (TABLE, TABLE), widths, **ML)
    imputed = {"imputed_value_floats": numbers(FEATURES), "replaced_value_float": float("nan")}
    yield OperatorCase("Imputer", "256 x 32", (TABLE,), imputed, **ML)
    yield OperatorCase("Normalizer", "256 x 32", (TABLE,), {"norm": "L2"}, **ML)
    yield OperatorCase(
        "Scaler", "256 x 32", (TABLE,), {"offset": numbers(FEATURES), "scale": numbers(FEATURES, 2)}, **ML
    )


def linear() -> Iterator[OperatorCase]:
    """Linear models of four classes, and machines of 64 support vectors."""
    coefficients = {"coefficients": numbers(CLASSES * FEATURES), "intercepts": numbers(CLASSES)}
    classes = {**coefficients, "classlabels_ints": list(range(CLASSES)), "post_transform": "SOFTMAX"}
    yield OperatorCase("LinearClassifier", "4 classes", (TABLE,), classes, outputs=2, **ML)
    yield OperatorCase("LinearRegressor", "4 targets", (TABLE,), {**coefficients, "targets": CLASSES}, **ML)
    kernel = {"kernel_type": "RBF", "kernel_params": [0.05, 0.0, 3.0], "support_vectors": numbers(64 * FEATURES)}
    pairs = CLASSES * (CLASSES - 1) // 2
    machine = {
        **kernel,
        "classlabels_ints": list(range(CLASSES)),
        "vectors_per_class": [16] * CLASSES,
        "coefficients": numbers(64 * (CLASSES - 1)),
        "rho": numbers(pairs),
    }
    yield OperatorCase("SVMClassifier", "64 vectors", (TABLE,), machine, outputs=2, **ML)
    regressor = {**kernel, "coefficients": numbers(64), "rho": [0.1], "n_supports": 64}
    yield OperatorCase("SVMRegressor", "64 vectors", (TABLE,), regressor, **ML)


def trees() -> Iterator[OperatorCase]:
    """A forest of 50 complete trees of depth 6."""
    label = f"{TREES} trees of depth {DEPTH}"
    ids = leaves("target")
    regressor = {**nodes(), **ids, "n_targets": 1}
    yield OperatorCase("TreeEnsembleRegressor", label, (TABLE,), regressor, **ML)
    classifier = {**nodes(), **leaves("class"), "classlabels_int64s": list(range(CLASSES))}
    yield OperatorCase("TreeEnsembleClassifier", label, (TABLE,), classifier, outputs=2, **ML)
    yield OperatorCase("TreeEnsemble", label, (TABLE,), ensemble(), domain="ai.onnx.ml", opset=5)


INNER, LEAVES = 2**DEPTH - 1, 2**DEPTH


@cache
def nodes() -> dict[str, Any]:
    """Nodes of all trees in the form of ai.onnx.ml 3, children of i being 2 i + 1 and 2 i + 2."""
    rng, total = np.random.default_rng(3), INNER + LEAVES
    inner = np.arange(total) < INNER
    index = np.arange(total)
    return {
        "nodes_treeids": np.repeat(np.arange(TREES), total).tolist(),
        "nodes_nodeids": np.tile(index, TREES).tolist(),
        "nodes_featureids": (rng.integers(0, FEATURES, TREES * total) * np.tile(inner, TREES)).tolist(),
        "nodes_values": rng.standard_normal(TREES * total).astype(np.float32).tolist(),
        "nodes_modes": ["BRANCH_LEQ" if i else "LEAF" for i in np.tile(inner, TREES)],
        "nodes_truenodeids": np.tile(np.where(inner, 2 * index + 1, 0), TREES).tolist(),
        "nodes_falsenodeids": np.tile(np.where(inner, 2 * index + 2, 0), TREES).tolist(),
    }


@cache
def leaves(prefix: str) -> dict[str, Any]:
    """What each leaf votes for and how much."""
    count = TREES * LEAVES
    votes = np.arange(count) % CLASSES if prefix == "class" else np.zeros(count, int)
    return {
        f"{prefix}_treeids": np.repeat(np.arange(TREES), LEAVES).tolist(),
        f"{prefix}_nodeids": np.tile(np.arange(INNER, INNER + LEAVES), TREES).tolist(),
        f"{prefix}_ids": votes.tolist(),
        f"{prefix}_weights": numbers(count, 4),
    }


@cache
def ensemble() -> dict[str, Any]:
    """The same forest in the form of ai.onnx.ml 5, where leaves are a list of their own."""
    rng, index = np.random.default_rng(3), np.arange(INNER)
    last = index >= INNER // 2  # their children are leaves
    starts = np.arange(TREES)[:, None]

    def children(side: int) -> list[int]:
        child = 2 * index + side
        places = np.where(last, child - INNER + starts * LEAVES, child + starts * INNER)
        return places.reshape(-1).tolist()

    return {
        "tree_roots": (np.arange(TREES) * INNER).tolist(),
        "nodes_featureids": rng.integers(0, FEATURES, TREES * INNER).tolist(),
        "nodes_splits": rng.standard_normal(TREES * INNER).astype(np.float32),
        "nodes_modes": np.zeros(TREES * INNER, np.uint8),
        "nodes_truenodeids": children(1),
        "nodes_falsenodeids": children(2),
        "nodes_trueleafs": np.tile(last, TREES).astype(int).tolist(),
        "nodes_falseleafs": np.tile(last, TREES).astype(int).tolist(),
        "leaf_targetids": [0] * (TREES * LEAVES),
        "leaf_weights": np.array(numbers(TREES * LEAVES, 4), np.float32),
        "n_targets": 1,
    }
