"""Tree ensembles: TreeEnsemble, TreeEnsembleRegressor, TreeEnsembleClassifier.

Both ways in which ONNX writes trees are read into one `Forest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidModelError, InvalidTypeError
from diptych_reference.numerics import round_to, widen
from diptych_reference.operator import Array
from diptych_reference.ops.ml.common import class_labels, computing_rows, first_greatest, ml_operator, transformed
from diptych_reference.ops.ml.forest import MEMBER, MODES, Forest

AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
Floats = Sequence[float]
Ints = Sequence[int]


# Numbers of attributes


def numbers(what: str, plain: Floats | None, tensor: Array | None, dtype: Any) -> Array:
    """An attribute that is a list of floats or a tensor of floats or doubles, in the computing type; neither: empty."""
    if plain and tensor is not None:
        raise InvalidModelError(f"{what} and {what}_as_tensor are both given, expected one")
    if tensor is None:
        return np.array(plain or [], dtype=dtype)
    if tensor.ndim != 1 or tensor.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InvalidModelError(f"{what}_as_tensor is {tensor.dtype} {list(tensor.shape)}, expected a list of doubles")
    return round_to(tensor, dtype)


def same_length(**lists: Any) -> int:
    """The length of lists that must be of equal length."""
    lengths = {name: len(value if value is not None else ()) for name, value in lists.items()}
    if len(set(lengths.values())) != 1:
        raise InvalidModelError(f"lists of different lengths: {lengths}")
    return next(iter(lengths.values()))


def missing_flags(flags: Ints | None, nodes: int) -> Array:
    """Whether NaN goes to the true child, false for all where nothing is said."""
    if not flags:
        return np.zeros(nodes, dtype=bool)
    if len(flags) != nodes:
        raise InvalidModelError(f"nodes_missing_value_tracks_true has {len(flags)} numbers for {nodes} nodes")
    return np.array(flags, dtype=np.int64).astype(bool)


# TreeEnsembleRegressor and TreeEnsembleClassifier: rows of a table of all nodes, inner nodes and leaves


def table_forest(
    treeids: Ints | None,
    nodeids: Ints | None,
    featureids: Ints | None,
    modes: Sequence[str] | None,
    thresholds: Array,
    truenodeids: Ints | None,
    falsenodeids: Ints | None,
    missing: Ints | None,
    vote_treeids: Ints | None,
    vote_nodeids: Ints | None,
    vote_ids: Ints | None,
    weights: Array,
) -> Forest:
    """Trees of a table of nodes with ids. The root of a tree is its first node in the table."""
    count = same_length(
        nodes_treeids=treeids,
        nodes_nodeids=nodeids,
        nodes_featureids=featureids,
        nodes_modes=modes,
        nodes_values=thresholds,
        nodes_truenodeids=truenodeids,
        nodes_falsenodeids=falsenodeids,
    )
    same_length(treeids=vote_treeids, nodeids=vote_nodeids, ids=vote_ids, weights=weights)
    if count == 0:
        raise InvalidModelError("an ensemble without nodes")
    trees, kinds = list(treeids or ()), list(modes or ())
    unknown = sorted(set(kinds) - {*MODES[:MEMBER], "LEAF"})
    if unknown:
        raise InvalidModelError(f"nodes_modes has {unknown}, expected {', '.join(MODES[:MEMBER])} or LEAF")
    inner = [position for position in range(count) if kinds[position] != "LEAF"]
    code = {position: n for n, position in enumerate(inner)}
    code.update((p, -1 - n) for n, p in enumerate(p for p in range(count) if kinds[p] == "LEAF"))
    place = {key: position for position, key in enumerate(zip(trees, nodeids or (), strict=True))}
    if len(place) < count:
        raise InvalidModelError("a node id appears twice in a tree")
    roots: dict[int, int] = {}
    for position, tree in enumerate(trees):
        roots.setdefault(tree, code[position])

    def child(position: int, ids: Ints) -> int:
        """Code of a child."""
        key = (trees[position], ids[position])
        if key not in place:
            raise InvalidModelError(f"tree {key[0]} has no node {key[1]}, which is a child in it")
        return code[place[key]]

    children = [(child(p, truenodeids or ()), child(p, falsenodeids or ())) for p in inner]
    first, order = table_votes(list(zip(vote_treeids or (), vote_nodeids or (), strict=True)), place, code, count)
    return Forest(
        features=np.array(featureids, dtype=np.int64)[inner],
        modes=np.array([MODES.index(kinds[p]) for p in inner], dtype=np.int64),
        thresholds=thresholds[inner],
        missing=missing_flags(missing, count)[inner],
        children=np.array(children, dtype=np.int64).reshape(-1, 2),
        roots=np.array(list(roots.values()), dtype=np.int64),
        members={},
        first=first,
        targets=np.array(vote_ids or [], dtype=np.int64)[order],
        weights=weights[order],
    )


def table_votes(
    keys: Sequence[tuple[int, int]], place: dict[tuple[int, int], int], code: dict[int, int], count: int
) -> tuple[Array, Array]:
    """Where each leaf's votes start, and the votes in the order of their leaves. Votes of inner nodes do not count."""
    per_leaf: list[list[int]] = [[] for _ in range(count)]
    for vote, key in enumerate(keys):
        if key not in place:
            raise InvalidModelError(f"a vote of node {key[1]} in tree {key[0]}, which does not exist")
        if code[place[key]] < 0:
            per_leaf[-1 - code[place[key]]].append(vote)
    starts = [0]
    for votes in per_leaf:
        starts.append(starts[-1] + len(votes))
    return np.array(starts, dtype=np.int64), np.array([v for votes in per_leaf for v in votes], dtype=np.int64)


def checked_base(base: Array, targets: int) -> Array:
    """Base values: none, or one a target."""
    if len(base) not in (0, targets):
        raise InvalidModelError(f"{len(base)} base values for {targets} targets")
    return base


@ml_operator("TreeEnsembleRegressor", since=(1, 3, 5))
def tree_ensemble_regressor(
    x: Array,
    *,
    aggregate_function: str = "SUM",
    base_values: Floats | None = None,
    base_values_as_tensor: Array | None = None,
    n_targets: int | None = None,
    nodes_falsenodeids: Ints | None = None,
    nodes_featureids: Ints | None = None,
    nodes_hitrates: Floats | None = None,  # how often a node is visited: changes no result
    nodes_hitrates_as_tensor: Array | None = None,
    nodes_missing_value_tracks_true: Ints | None = None,
    nodes_modes: Sequence[str] | None = None,
    nodes_nodeids: Ints | None = None,
    nodes_treeids: Ints | None = None,
    nodes_truenodeids: Ints | None = None,
    nodes_values: Floats | None = None,
    nodes_values_as_tensor: Array | None = None,
    post_transform: str = "NONE",
    target_ids: Ints | None = None,
    target_nodeids: Ints | None = None,
    target_treeids: Ints | None = None,
    target_weights: Floats | None = None,
    target_weights_as_tensor: Array | None = None,
) -> Array:
    """X [N, F] to [N, n_targets], float: the aggregate of the votes, plus the base value, transformed."""
    x = computing_rows(x)
    if n_targets is None or aggregate_function not in AGGREGATES:
        raise InvalidModelError(f"n_targets is {n_targets}, aggregate_function {aggregate_function!r}")
    forest = table_forest(
        nodes_treeids,
        nodes_nodeids,
        nodes_featureids,
        nodes_modes,
        numbers("nodes_values", nodes_values, nodes_values_as_tensor, x.dtype),
        nodes_truenodeids,
        nodes_falsenodeids,
        nodes_missing_value_tracks_true,
        target_treeids,
        target_nodeids,
        target_ids,
        numbers("target_weights", target_weights, target_weights_as_tensor, x.dtype),
    )
    forest.check(x.shape[1], n_targets)
    base = checked_base(numbers("base_values", base_values, base_values_as_tensor, x.dtype), n_targets)
    scores = forest.aggregate(x, n_targets, aggregate_function)
    return transformed(scores + base if len(base) else scores, post_transform).astype(np.float32)


@ml_operator("TreeEnsembleClassifier", since=(1, 3, 5))
def tree_ensemble_classifier(
    x: Array,
    *,
    base_values: Floats | None = None,
    base_values_as_tensor: Array | None = None,
    class_ids: Ints | None = None,
    class_nodeids: Ints | None = None,
    class_treeids: Ints | None = None,
    class_weights: Floats | None = None,
    class_weights_as_tensor: Array | None = None,
    classlabels_int64s: Ints | None = None,
    classlabels_strings: Sequence[str] | None = None,
    nodes_falsenodeids: Ints | None = None,
    nodes_featureids: Ints | None = None,
    nodes_hitrates: Floats | None = None,
    nodes_hitrates_as_tensor: Array | None = None,
    nodes_missing_value_tracks_true: Ints | None = None,
    nodes_modes: Sequence[str] | None = None,
    nodes_nodeids: Ints | None = None,
    nodes_treeids: Ints | None = None,
    nodes_truenodeids: Ints | None = None,
    nodes_values: Floats | None = None,
    nodes_values_as_tensor: Array | None = None,
    post_transform: str = "NONE",
) -> tuple[Array, Array]:
    """Label [N] and scores [N, E], float: sums of the votes plus base values, then transformed.

    The label is that of the greatest score before the transform. Two classes of which only the first is voted for
    have one number s: `binary_scores`.
    """
    x, labels = computing_rows(x), class_labels(classlabels_int64s, classlabels_strings)
    weights = numbers("class_weights", class_weights, class_weights_as_tensor, x.dtype)
    forest = table_forest(
        nodes_treeids,
        nodes_nodeids,
        nodes_featureids,
        nodes_modes,
        numbers("nodes_values", nodes_values, nodes_values_as_tensor, x.dtype),
        nodes_truenodeids,
        nodes_falsenodeids,
        nodes_missing_value_tracks_true,
        class_treeids,
        class_nodeids,
        class_ids,
        weights,
    )
    forest.check(x.shape[1], len(labels))
    base = numbers("base_values", base_values, base_values_as_tensor, x.dtype)
    scores = forest.aggregate(x, len(labels), "SUM")
    if len(labels) == 2 and not any(class_ids or ()):
        s = scores[:, 0] + base[0] if len(base) else scores[:, 0]
        checked_base(base, 1 if len(base) == 1 else 2)
        scores = binary_scores(s, bool((weights >= 0).all()), post_transform)
    elif len(checked_base(base, len(labels))):
        scores = scores + base
    return labels[first_greatest(scores)], transformed(scores, post_transform).astype(np.float32)


def binary_scores(s: Array, positive: bool, post_transform: str) -> Array:
    """Scores of two classes from s, which speaks for the second.

    (1 - s, s), as probabilities are, for PROBIT, and without a transform where no weight is negative; else (-s, s).
    """
    is_probability = post_transform == "PROBIT" or (positive and post_transform == "NONE")
    return np.stack([s.dtype.type(1) - s if is_probability else -s, s], axis=1)


# TreeEnsemble: inner nodes and leaves in lists of their own


@ml_operator("TreeEnsemble", since=5)
def tree_ensemble(
    x: Array,
    *,
    leaf_targetids: Ints,
    leaf_weights: Array,
    nodes_falseleafs: Ints,
    nodes_falsenodeids: Ints,
    nodes_featureids: Ints,
    nodes_modes: Array,
    nodes_splits: Array,
    nodes_trueleafs: Ints,
    nodes_truenodeids: Ints,
    tree_roots: Ints,
    aggregate_function: int = 1,
    membership_values: Array | None = None,
    n_targets: int | None = None,
    nodes_hitrates: Array | None = None,
    nodes_missing_value_tracks_true: Ints | None = None,
    post_transform: int = 0,
) -> Array:
    """X [N, F] to [N, n_targets] in the type of X: the aggregate of the leaves' weights, transformed."""
    if n_targets is None or not 0 <= aggregate_function < len(AGGREGATES) or not 0 <= post_transform < len(TRANSFORMS):
        got = f"n_targets {n_targets}, aggregate_function {aggregate_function}, post_transform {post_transform}"
        raise InvalidModelError(f"{got}: expected a number, 0 to {len(AGGREGATES) - 1}, 0 to {len(TRANSFORMS) - 1}")
    for name, tensor in (
        ("nodes_splits", nodes_splits),
        ("leaf_weights", leaf_weights),
        ("membership_values", membership_values),
    ):
        if tensor is not None and (tensor.ndim != 1 or tensor.dtype != x.dtype):
            raise InvalidTypeError(f"{name} is {tensor.dtype} {list(tensor.shape)}, expected a list of {x.dtype}")
    if nodes_modes.ndim != 1 or nodes_modes.dtype != np.uint8 or (nodes_modes > MEMBER).any():
        raise InvalidModelError(f"nodes_modes must be a list of uint8 from 0 to {MEMBER}")
    nodes = same_length(
        nodes_splits=nodes_splits,
        nodes_featureids=nodes_featureids,
        nodes_modes=nodes_modes,
        nodes_truenodeids=nodes_truenodeids,
        nodes_falsenodeids=nodes_falsenodeids,
        nodes_trueleafs=nodes_trueleafs,
        nodes_falseleafs=nodes_falseleafs,
    )
    leaves = same_length(leaf_weights=leaf_weights, leaf_targetids=leaf_targetids)
    x = computing_rows(x)
    forest = Forest(
        features=np.array(nodes_featureids, dtype=np.int64),
        modes=nodes_modes.astype(np.int64),
        thresholds=widen(nodes_splits),
        missing=missing_flags(nodes_missing_value_tracks_true, nodes),
        children=np.stack(
            [
                child_codes(nodes_truenodeids, nodes_trueleafs, nodes, leaves),
                child_codes(nodes_falsenodeids, nodes_falseleafs, nodes, leaves),
            ],
            axis=1,
        ),
        roots=child_codes(tree_roots, [0] * len(tree_roots), nodes, leaves),
        members=member_sets(nodes_modes, membership_values),
        first=np.arange(leaves + 1),
        targets=np.array(leaf_targetids, dtype=np.int64),
        weights=widen(leaf_weights),
    )
    if not tree_roots:
        raise InvalidModelError("an ensemble without trees")
    forest.check(x.shape[1], n_targets)
    scores = forest.aggregate(x, n_targets, AGGREGATES[aggregate_function])
    return round_to(transformed(scores, TRANSFORMS[post_transform]), nodes_splits.dtype)


def child_codes(ids: Ints, leafs: Ints, nodes: int, leaves: int) -> Array:
    """Codes of children: places among the leaves where the flag is not 0, else among the inner nodes."""
    at, leaf = np.array(ids, dtype=np.int64), np.array(leafs, dtype=np.int64) != 0
    if ((at < 0) | (at >= np.where(leaf, leaves, nodes))).any():
        raise InvalidModelError(f"a child or root is outside the {nodes} nodes or the {leaves} leaves")
    return np.where(leaf, -1 - at, at)


def member_sets(modes: Array, values: Array | None) -> dict[int, Array]:
    """The sets of the MEMBER nodes, in their order: each ends with a NaN."""
    nodes = np.flatnonzero(modes == MEMBER)
    wide = widen(values) if values is not None else np.zeros(0, dtype=np.float32)
    ends = np.flatnonzero(np.isnan(wide))
    if len(ends) != len(nodes) or (len(wide) and not np.isnan(wide[-1])):
        raise InvalidModelError(f"membership_values has {len(ends)} sets ended by NaN for {len(nodes)} MEMBER nodes")
    starts = [0, *(int(end) + 1 for end in ends)]
    return {int(node): wide[starts[i] : int(ends[i])] for i, node in enumerate(nodes)}
