"""Tree ensembles: trees of any depth drawn by a seed, with shared nodes, any number of votes, thresholds of X."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diptych.testing.families.ml.common import TRANSFORMS, batch, labels, ml_rule, picks
from diptych.testing.sketch import Sketch
from diptych.testing.values import Array

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")


@dataclass
class Drawn:
    """Nodes of all trees with their children; a leaf has none. Nodes of a tree follow each other, its root first."""

    trees: list[int] = field(default_factory=list)
    children: list[tuple[int, int] | None] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    @property
    def inner(self) -> list[int]:
        """The nodes that are no leaves."""
        return [node for node, children in enumerate(self.children) if children]

    @property
    def leaves(self) -> list[int]:
        """The others."""
        return [node for node, children in enumerate(self.children) if not children]


def draw_trees(s: Sketch, features: int, *, leaf_roots: bool) -> tuple[Drawn, np.random.Generator]:
    """Some trees. Without features there are leaves alone; `leaf_roots` says whether a tree may be a leaf."""
    count, depth = s.choose(1, 2, 3, 8, 9, 17), s.integer(0 if leaf_roots else 1, 4)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    drawn = Drawn()
    for tree in range(count):
        drawn.roots.append(len(drawn.children))
        level = [new_node(drawn, tree)]
        for below in range(depth if features else 0):
            next_level: list[int] = []
            for node in level:
                if random.random() < (0.3 if below or leaf_roots else 0):
                    continue  # stays a leaf
                shared = bool(next_level) and random.random() < 0.15
                first = int(random.choice(next_level)) if shared else new_node(drawn, tree, next_level)
                second = first if random.random() < 0.05 else new_node(drawn, tree, next_level)
                drawn.children[node] = (first, second)
            level = next_level
    return drawn, random


def new_node(drawn: Drawn, tree: int, level: list[int] | None = None) -> int:
    """A leaf, for the time being."""
    drawn.trees.append(tree)
    drawn.children.append(None)
    if level is not None:
        level.append(len(drawn.children) - 1)
    return len(drawn.children) - 1


def modes(s: Sketch, random: np.random.Generator, count: int, known: int) -> list[int]:
    """Comparisons of the nodes: one for all, or any."""
    same = s.choose(*range(known), known)
    return [same if same < known else int(random.integers(known)) for _ in range(count)]


def data(s: Sketch) -> Array:
    """Rows of features; numbers that meet thresholds are likely."""
    return s.tensor(batch(s))


def table(s: Sketch, x: Array, prefix: str, targets: int, most_votes: int, *, positive: bool = False) -> None:
    """The attributes of a table of nodes, in any order but for the roots, and of the votes."""
    drawn, random = draw_trees(s, x.shape[-1], leaf_roots=True)
    count = len(drawn.children)
    rest = [node for node in range(count) if node not in set(drawn.roots)]
    order = drawn.roots + (random.permutation(rest).tolist() if rest and s.coin() else rest)
    ids = random.permutation(count) + int(s.choose(0, 5)) if s.coin() else np.arange(count)
    kinds = modes(s, random, count, 6)
    wide = x.dtype == np.float64 and s.has("nodes_values_as_tensor") and s.coin()
    number = np.dtype(np.float64 if wide else np.float32)
    thresholds = picks(s, x, count, s.tensor((count,), number))

    def children(side: int) -> list[int]:
        return [int(ids[c[side]]) if (c := drawn.children[node]) else 0 for node in order]

    s.set("nodes_treeids", [3 * drawn.trees[node] for node in order])
    s.set("nodes_nodeids", [int(ids[node]) for node in order])
    s.set("nodes_modes", [MODES[kinds[node]] if drawn.children[node] else "LEAF" for node in order])
    s.set("nodes_featureids", [int(random.integers(max(x.shape[-1], 1))) for _ in order])
    s.set("nodes_truenodeids", children(0))
    s.set("nodes_falsenodeids", children(1))
    numbers(s, "nodes_values", thresholds[order], wide)
    if s.coin():
        s.set("nodes_missing_value_tracks_true", random.integers(0, 2, count).tolist())
    if s.coin():
        s.set("nodes_hitrates", [1.0] * count)
    votes = [
        (node, int(random.integers(targets)))
        for node in drawn.leaves
        for _ in range(random.integers(1, most_votes + 1))
    ]
    if s.coin():  # leaves without a vote, votes of inner nodes, any order
        votes = [votes[i] for i in random.permutation(len(votes))[: max(1, len(votes) - 1)]]
        votes += [(node, 0) for node in drawn.inner[:1]]
    weights = s.tensor((len(votes),), number, specials=s.coin())
    s.set(f"{prefix}_treeids", [3 * drawn.trees[node] for node, _ in votes])
    s.set(f"{prefix}_nodeids", [int(ids[node]) for node, _ in votes])
    s.set("class_ids" if prefix == "class" else "target_ids", [target for _, target in votes])
    numbers(s, f"{prefix}_weights", np.abs(weights) if positive else weights, wide)


def numbers(s: Sketch, name: str, values: Array, wide: bool) -> None:
    """A list of floats, or doubles as a tensor."""
    if wide:
        s.set(f"{name}_as_tensor", values)
    else:
        s.set(name, values.tolist())


@ml_rule("TreeEnsembleRegressor")
def tree_ensemble_regressor(s: Sketch) -> list[Any]:
    """Any number of targets."""
    x = data(s)
    targets = s.set("n_targets", s.choose(1, 2, 3))
    table(s, x, "target", targets, s.choose(1, 3))
    s.attribute("aggregate_function", "SUM", "AVERAGE", "MIN", "MAX")
    s.attribute("post_transform", *TRANSFORMS)
    if s.coin():
        numbers(s, "base_values", s.tensor((targets,), np.float32), False)
    return [x]


@ml_rule("TreeEnsembleClassifier")
def tree_ensemble_classifier(s: Sketch) -> list[Any]:
    """Any number of classes; of two, all votes may be for the first."""
    x = data(s)
    s.n_outputs = 2
    classes = s.choose(2, 1, 3, 5)
    binary = classes == 2 and s.coin()
    labels(s, classes, "classlabels_int64s", "classlabels_strings")
    table(s, x, "class", 1 if binary else classes, s.choose(1, 3), positive=s.coin())
    s.attribute("post_transform", *TRANSFORMS)
    if s.coin():
        numbers(s, "base_values", s.tensor((s.choose(1, 2) if binary else classes,), np.float32), False)
    return [x]


@ml_rule("TreeEnsemble")
def tree_ensemble(s: Sketch) -> list[Any]:
    """Inner nodes and leaves in lists of their own, sets included."""
    x = s.tensor(batch(s, least=1))
    drawn, random = draw_trees(s, x.shape[-1], leaf_roots=False)
    inner, leaves = drawn.inner, drawn.leaves
    place = {node: n for n, node in enumerate(inner)} | {node: n for n, node in enumerate(leaves)}
    leaf = set(leaves)
    kinds = modes(s, random, len(inner), 7)
    targets = s.set("n_targets", s.choose(1, 2, 3))
    for side, name in enumerate(("true", "false")):
        children = [(drawn.children[node] or (0, 0))[side] for node in inner]
        s.set(f"nodes_{name}nodeids", [place[child] for child in children])
        s.set(f"nodes_{name}leafs", [int(child in leaf) for child in children])
    s.set("tree_roots", [place[root] for root in drawn.roots])
    s.set("nodes_modes", np.array(kinds, dtype=np.uint8))
    s.set("nodes_featureids", random.integers(0, x.shape[-1], len(inner)).tolist())
    s.set("nodes_splits", picks(s, x, len(inner), s.tensor((len(inner),))))
    if s.coin():
        s.set("nodes_missing_value_tracks_true", random.integers(0, 2, len(inner)).tolist())
    if s.coin():
        s.set("nodes_hitrates", np.ones(len(inner), x.dtype))
    s.set("leaf_targetids", random.integers(0, targets, len(leaves)).tolist())
    s.set("leaf_weights", s.tensor((len(leaves),), specials=s.coin()))
    sets = kinds.count(6)
    if sets or s.coin():
        s.set("membership_values", members(s, x, sets, random))
    s.attribute("aggregate_function", 1, 0, 2, 3)
    s.attribute("post_transform", 0, 1, 2, 3, 4)
    return [x]


def members(s: Sketch, x: Array, sets: int, random: np.random.Generator) -> Array:
    """Sets of some of X's elements and others, each followed by a NaN."""
    parts: list[Array] = [np.zeros(0, x.dtype)]
    for _ in range(sets):
        count = int(random.choice([0, 1, 2, 5, 40]))
        found = picks(s, x, count, s.tensor((count,)))
        with np.errstate(invalid="ignore"):  # which a signalling NaN is
            numbers = found[~np.isnan(found.astype(np.float64))]
        parts += [numbers, np.full(1, np.nan, x.dtype)]
    return np.concatenate(parts)
