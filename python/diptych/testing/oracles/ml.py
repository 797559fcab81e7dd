"""Oracles of ai.onnx.ml: trees walked node by node, models in long double. Transforms are held apart (test_ml.py)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import (
    WIDE,
    Expected,
    chained,
    evaluation_factor,
    gamma,
    lane_depth,
    moves,
    oracle,
    spacing,
    tiny,
    unit,
    wide,
)
from diptych.testing.values import Array

moves("ArrayFeatureExtractor", "Binarizer", "CastMap", "CategoryMapper", "DictVectorizer", "Imputer")
moves("LabelEncoder", "OneHotEncoder", "ZipMap")


def rows(case: Case) -> Array:
    """X as a matrix."""
    x = wide(case.inputs[0])
    return x if x.ndim == 2 else x[None]


def computing(case: Case) -> Any:
    """The type that the program computes in; any other may compute in that of the output, which mostly is float."""
    narrow = evaluation_factor() > 1 and case.op_type != "TreeEnsemble"
    return np.float64 if case.inputs[0].dtype == np.float64 and not narrow else np.float32


def as_float(exact: Array, slack: Array | float | np.floating[Any]) -> Expected:
    """An output of type float: one rounding more, which is none where it was computed in binary32."""
    return Expected(exact, slack + spacing(exact, np.float32) * WIDE(0.5000001))


def numbers(case: Case, name: str) -> Array:
    """An attribute's numbers: a list of binary32 numbers, or a tensor."""
    found = case.attributes.get(f"{name}_as_tensor", case.attributes.get(name, []))
    return wide(found) if isinstance(found, np.ndarray) else wide(np.array(found, np.float32))


@oracle("FeatureVectorizer")
def feature_vectorizer(case: Case) -> list[Expected | None]:
    """The rows beside each other: nothing is rounded but to float."""
    parts = [wide(x) if x.ndim == 2 else wide(x)[None] for x in case.inputs]
    sizes = case.attributes.get("inputdimensions") or [part.shape[1] for part in parts]
    padded = [np.pad(part, ((0, 0), (0, size)))[:, :size] for part, size in zip(parts, sizes, strict=True)]
    return [as_float(np.concatenate(padded, axis=1), 0.0)]


@oracle("Scaler")
def scaler(case: Case) -> list[Expected | None]:
    """A difference and a product."""
    x, dtype = wide(case.inputs[0]), computing(case)
    offset, scale = case.attributes.get("offset"), case.attributes.get("scale")
    shift = (x - wide(np.array(offset, np.float32))) if offset else x
    factor = wide(np.array(scale, np.float32)) if scale else WIDE(1)
    exact = (shift * factor).reshape(x.shape)
    top = WIDE(np.finfo(dtype).max)
    slack = np.abs(exact) * gamma(2, dtype) + tiny(dtype) * (1 + np.max(np.abs(factor), initial=0))
    return [as_float(exact, np.where((np.abs(shift) > top / 2).reshape(x.shape), np.inf, slack))]


@oracle("Normalizer")
def normalizer(case: Case) -> list[Expected | None]:
    """Rows divided by their greatest, their sum or their length."""
    x, dtype, norm = rows(case), computing(case), case.attributes.get("norm", "MAX")
    shape = case.inputs[0].shape
    if x.size == 0:
        return [Expected(x.reshape(shape))]
    top, depth = WIDE(np.finfo(dtype).max), gamma(lane_depth(x.shape[1]) + 1, dtype)
    lost: Any = WIDE(0)
    if norm == "MAX":
        d = np.max(x, axis=1, keepdims=True)
    elif norm == "L1":
        d = np.sum(np.abs(x), axis=1, keepdims=True)
        lost = np.where(d > top / 2, np.inf, depth)
    else:
        square = np.sum(x * x, axis=1, keepdims=True)
        d = np.sqrt(square)
        relative = depth + tiny(dtype, x.shape[1]) / np.where(square == 0, 1, square)
        lost = np.where((square > top / 2) | (relative > 0.5), np.inf, relative)
    exact = np.where(d == 0, x, x / np.where(d == 0, 1, d))
    slack = np.abs(exact) * (lost * WIDE(1.01) + 2 * unit(dtype)) + tiny(dtype)
    return [as_float(exact.reshape(shape), slack.reshape(shape))]


# Linear models and support vectors


def logistic(scores: Expected, dtype: Any) -> Expected:
    """Scores after LOGISTIC: its slope is at most 1/4."""
    with np.errstate(all="ignore"):
        exact = 1 / (1 + np.exp(-scores.exact))
    return Expected(exact, scores.slack / 4 + spacing(exact, dtype) * 2)


def finished(case: Case, scores: Expected) -> Expected | None:
    """Scores after the transform, where it is none or LOGISTIC."""
    name = case.attributes.get("post_transform", "NONE")
    if name in ("LOGISTIC", 2):
        scores = logistic(scores, computing(case))
    elif name not in ("NONE", 0):
        return None
    return as_float(scores.exact, scores.slack)


def product(x: Array, weights: Array, addend: Array | np.floating[Any], dtype: Any) -> Expected:
    """`x weights' + addend`."""
    exact = np.sum(x[:, None] * weights[None], axis=-1) + addend
    magnitude = np.sum(np.abs(x[:, None] * weights[None]), axis=-1) + np.abs(addend)
    return chained(exact, magnitude, x.shape[1] + 2, dtype)


def opposites(scores: Expected) -> Expected:
    """(-s, s)."""
    slack = np.broadcast_to(scores.slack, scores.exact.shape)
    return Expected(np.concatenate([-scores.exact, scores.exact], axis=1), np.concatenate([slack, slack], axis=1))


@oracle("LinearRegressor", "LinearClassifier")
def linear(case: Case) -> list[Expected | None]:
    """A product with the coefficients, an addend, a transform."""
    x, weights = rows(case), numbers(case, "coefficients")
    labels = case.attributes.get("classlabels_ints") or case.attributes.get("classlabels_strings")
    count = len(labels) if labels else case.attributes.get("targets", 1)
    one_row = bool(labels) and count == 2 and len(weights) == x.shape[1] != 0
    intercepts = numbers(case, "intercepts")
    matrix = weights.reshape(1 if one_row else count, x.shape[1])
    scores = product(x, matrix, intercepts if len(intercepts) else WIDE(0), computing(case))
    found = finished(case, opposites(scores) if one_row else scores)
    return [None, found] if labels else [found]


def kernels(case: Case, x: Array, vectors: Array) -> Expected:
    """Kernels of rows with support vectors and what each may be off."""
    dtype, kind = computing(case), case.attributes.get("kernel_type", "LINEAR")
    parameters = case.attributes.get("kernel_params") or [0.0, 0.0, 0.0]
    g, c, degree = (WIDE(np.float32(p)) for p in parameters)
    u = unit(dtype)
    if kind == "RBF":
        q = np.sum((x[:, None] - vectors[None]) ** 2, axis=-1)
        exact = np.exp(-g * q)
        top = WIDE(np.finfo(dtype).max)
        lost = np.abs(g) * (gamma(x.shape[1] + 3, dtype) * q + tiny(dtype, x.shape[1])) + u * np.abs(g * q) + 4 * u
        safe = (q < top / 2) & (lost < 1)
        return Expected(exact, np.where(safe, exact * lost * 2 + tiny(dtype, 2), np.inf))
    dots = product(x, vectors, WIDE(0), dtype)
    if kind == "LINEAR":
        return dots
    s = g * dots.exact + c
    lost = np.abs(g) * dots.slack + 4 * u * (np.abs(g * dots.exact) + np.abs(c)) + tiny(dtype, 2)
    if kind == "SIGMOID":
        exact = np.tanh(s)
        return Expected(exact, lost + spacing(exact, dtype) * 3)
    exact = np.power(s, degree)
    far = np.abs(s) > 4 * lost  # elsewhere the power may be anything
    change = np.abs(exact) * np.abs(degree) * lost / np.where(far, np.abs(s), 1) * 4
    top = WIDE(np.finfo(dtype).max)
    meaningful = far & (np.abs(exact) < top / 4) & (change < np.abs(exact))
    return Expected(exact, np.where(meaningful, change + spacing(exact, dtype) * 2, np.inf))


def weighted(k: Expected, columns: slice, weights: Array, dtype: Any) -> tuple[Array, Array]:
    """A sum of kernels with coefficients, and what it may be off."""
    terms = k.exact[:, columns] * weights
    slack = np.broadcast_to(k.slack, k.exact.shape)[:, columns]
    own = np.sum(np.abs(terms), axis=1) * gamma(k.exact.shape[1] + 3, dtype)
    return np.sum(terms, axis=1), np.sum(slack * np.abs(weights), axis=1) * WIDE(1.01) + own + tiny(dtype, 4)


@oracle("SVMRegressor")
def svm_regressor(case: Case) -> list[Expected | None] | None:
    """A sum of kernels, or a linear model where there are no vectors."""
    if case.attributes.get("one_class"):
        return None
    x, dtype, supports = rows(case), computing(case), case.attributes.get("n_supports", 0)
    weights, rho = numbers(case, "coefficients"), numbers(case, "rho")[0]
    if not supports:
        return [finished(case, product(x, weights[None], rho, dtype))]
    k = kernels(case, x, numbers(case, "support_vectors").reshape(supports, x.shape[1]))
    exact, slack = weighted(k, slice(None), weights, dtype)
    total = (exact + rho)[:, None]
    return [finished(case, Expected(total, slack[:, None] + np.abs(total) * 2 * unit(dtype)))]


@oracle("SVMClassifier")
def svm_classifier(case: Case) -> list[Expected | None] | None:
    """One vote a pair of classes, each a difference of two sums of kernels."""
    x, dtype = rows(case), computing(case)
    classes = len(case.attributes.get("classlabels_ints") or case.attributes["classlabels_strings"])
    weights, rho = numbers(case, "coefficients"), numbers(case, "rho")
    counts = case.attributes.get("vectors_per_class", [])
    if not sum(counts):
        return [None, finished(case, product(x, weights.reshape(classes, -1), rho[0], dtype))]
    if case.attributes.get("prob_a"):
        return None  # see test_ml.py
    total = sum(counts)
    k = kernels(case, x, numbers(case, "support_vectors").reshape(total, x.shape[1]))
    weights = weights.reshape(classes - 1, total)
    ends = np.cumsum([0, *counts]).tolist()
    own = [slice(ends[i], ends[i + 1]) for i in range(classes)]
    exacts: list[Array] = []
    slacks: list[Array] = []
    for i in range(classes):
        for j in range(i + 1, classes):
            parts = [weighted(k, own[i], weights[j - 1, own[i]], dtype), weighted(k, own[j], weights[i, own[j]], dtype)]
            value = parts[0][0] + parts[1][0] + rho[len(exacts)]
            exacts.append(value)
            size = np.abs(parts[0][0]) + np.abs(parts[1][0]) + np.abs(value)
            slacks.append(parts[0][1] + parts[1][1] + 4 * unit(dtype) * size)
    scores = Expected(np.stack(exacts, axis=1), np.stack(slacks, axis=1))
    return [None, finished(case, opposites(scores) if classes == 2 else scores)]


# Trees


def holds(mode: str, x: Any, t: Any, missing: bool) -> bool:
    """A node's comparison."""
    if math.isnan(x):
        return missing
    tests = {"LEQ": x <= t, "LT": x < t, "GTE": x >= t, "GT": x > t, "EQ": x == t, "NEQ": x != t}
    return bool(tests[mode.removeprefix("BRANCH_")])


def table_leaves(case: Case, x: Array) -> list[list[tuple[int, int]]]:
    """For each row the leaves it reaches, as (tree, node id), tree by tree."""
    a = case.attributes
    nodes = {key: n for n, key in enumerate(zip(a["nodes_treeids"], a["nodes_nodeids"], strict=True))}
    roots = {tree: n for n, tree in reversed(list(enumerate(a["nodes_treeids"])))}
    thresholds = numbers(case, "nodes_values")
    missing = a.get("nodes_missing_value_tracks_true") or [0] * len(nodes)
    found = []
    for row in x:
        leaves = []
        for tree in dict.fromkeys(a["nodes_treeids"]):
            n = roots[tree]
            while a["nodes_modes"][n] != "LEAF":
                goes = holds(a["nodes_modes"][n], row[a["nodes_featureids"][n]], thresholds[n], bool(missing[n]))
                n = nodes[tree, a["nodes_truenodeids" if goes else "nodes_falsenodeids"][n]]
            leaves.append((tree, a["nodes_nodeids"][n]))
        found.append(leaves)
    return found


def aggregated(votes: list[list[tuple[int, Any]]], targets: int, function: str, trees: int, dtype: Any) -> Expected:
    """Votes of each row, (target, weight) in order, as one number a target."""
    exact, size, count = (np.zeros((len(votes), targets), WIDE) for _ in range(3))
    for row, own in enumerate(votes):
        for target in range(targets):
            weights = [w for t, w in own if t == target]
            if weights and function in ("MIN", "MAX"):
                nan = any(np.isnan(w) for w in weights)
                exact[row, target] = np.nan if nan else (min if function == "MIN" else max)(weights)
            elif weights:
                exact[row, target] = sum(weights, WIDE(0)) / (trees if function == "AVERAGE" else 1)
                size[row, target] = sum(map(abs, weights), WIDE(0))
                count[row, target] = len(weights)
    slack = size * (count + 2) * WIDE(unit(dtype)) * WIDE(1.01) + tiny(dtype)
    top = WIDE(np.finfo(dtype).max)
    return Expected(exact, np.where(size > top / 2, np.inf, slack))


def with_base(scores: Expected, base: Array, dtype: Any) -> Expected:
    """Base values added."""
    exact = scores.exact + base
    return Expected(exact, scores.slack + np.abs(exact) * unit(dtype) * 2 + tiny(dtype))


@oracle("TreeEnsembleRegressor", "TreeEnsembleClassifier")
def tree_table(case: Case) -> list[Expected | None]:
    """Trees given as a table of nodes; the leaves' votes are added up."""
    x, dtype, a = rows(case), computing(case), case.attributes
    labels = a.get("classlabels_int64s") or a.get("classlabels_strings")
    prefix, ids = ("class", "class_ids") if labels else ("target", "target_ids")
    targets = len(labels) if labels else a["n_targets"]
    weights = numbers(case, f"{prefix}_weights")
    at: dict[tuple[int, int], list[tuple[int, Any]]] = {}
    for tree, node, target, weight in zip(a[f"{prefix}_treeids"], a[f"{prefix}_nodeids"], a[ids], weights, strict=True):
        at.setdefault((tree, node), []).append((target, weight))
    votes = [[vote for leaf in leaves for vote in at.get(leaf, [])] for leaves in table_leaves(case, x)]
    trees = len(set(a["nodes_treeids"]))
    function = "SUM" if labels else a.get("aggregate_function", "SUM")
    scores = aggregated(votes, targets, function, trees, dtype)
    base = numbers(case, "base_values")
    binary = bool(labels) and targets == 2 and not any(a[ids])
    if len(base):
        scores = with_base(scores, base[:1] if binary else base, dtype)
    if not labels:
        return [finished(case, scores)]
    if binary:
        s, slack = scores.exact[:, :1], np.broadcast_to(scores.slack, scores.exact.shape)[:, :1]
        probability = a.get("post_transform", "NONE") == "NONE" and bool((weights >= 0).all())
        other = 1 - s if probability else -s
        slack = slack + np.abs(other) * unit(dtype)
        scores = Expected(np.concatenate([other, s], axis=1), np.concatenate([slack, slack], axis=1))
    return [None, finished(case, scores)]


@oracle("TreeEnsemble")
def tree_ensemble(case: Case) -> list[Expected | None]:
    """Trees of opset 5: splits, sets of members, leaves apart."""
    x, dtype, a = rows(case), computing(case), case.attributes
    names = ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")
    splits, weights = wide(a["nodes_splits"]), wide(a["leaf_weights"])
    missing = a.get("nodes_missing_value_tracks_true") or [0] * len(splits)
    members: list[set[Any]] = [set()]
    for value in wide(a.get("membership_values", np.zeros(0, np.float32))):
        members.append(set()) if np.isnan(value) else members[-1].add(value)
    sets = {int(node): members[k] for k, node in enumerate(np.flatnonzero(a["nodes_modes"] == 6))}
    votes = []
    for row in x:
        own = []
        for n in a["tree_roots"]:
            leaf = False
            while not leaf:
                value = row[a["nodes_featureids"][n]]
                if n in sets:
                    goes = bool(missing[n]) if np.isnan(value) else value in sets[n]
                else:
                    goes = holds(names[int(a["nodes_modes"][n])], value, splits[n], bool(missing[n]))
                side = "true" if goes else "false"
                leaf, n = bool(a[f"nodes_{side}leafs"][n]), a[f"nodes_{side}nodeids"][n]
            own.append((a["leaf_targetids"][n], weights[n]))
        votes.append(own)
    function = ("AVERAGE", "SUM", "MIN", "MAX")[a.get("aggregate_function", 1)]
    scores = aggregated(votes, a["n_targets"], function, len(a["tree_roots"]), dtype)
    if a.get("post_transform", 0) == 2:
        scores = logistic(scores, dtype)
    return [scores if a.get("post_transform", 0) in (0, 2) else None]
