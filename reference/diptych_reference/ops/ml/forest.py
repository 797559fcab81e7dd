"""An ensemble of trees, however ONNX wrote it: which leaves rows reach, and what the leaves' votes come to.

A child is a number: n >= 0 is inner node n, and -1 - n is leaf n. Nodes may have several parents, but no node may be
its own descendant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.numerics import maximum, minimum
from diptych_reference.operator import Array

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
MEMBER = MODES.index("BRANCH_MEMBER")


@dataclass
class Forest:
    """Inner nodes, one entry each; the root of each tree; votes of leaf n are those from first[n] to first[n + 1]."""

    features: Array
    modes: Array
    thresholds: Array
    missing: Array  # whether a NaN goes to the true child
    children: Array  # [inner nodes, 2]: true child, false child
    roots: Array
    members: dict[int, Array]  # of the MEMBER nodes
    first: Array
    targets: Array
    weights: Array

    def check(self, features: int, targets: int) -> None:
        """Refuse features and targets out of range, and cycles."""
        if targets < 1:
            raise InvalidModelError(f"{targets} targets, expected at least 1")
        if ((self.features < 0) | (self.features >= features)).any():
            raise ShapeError(f"a node looks at a feature outside [0, {features}), which is what X has")
        if ((self.targets < 0) | (self.targets >= targets)).any():
            raise InvalidModelError(f"a leaf votes for a target outside [0, {targets})")
        parents = np.zeros(len(self.children), dtype=np.int64)
        for child in self.children[self.children >= 0]:
            parents[child] += 1
        ready = np.flatnonzero(parents == 0).tolist()
        seen = 0
        while ready:
            node = ready.pop()
            seen += 1
            for child in self.children[node]:
                if child >= 0:
                    parents[child] -= 1
                    if parents[child] == 0:
                        ready.append(child)
        if seen < len(self.children):
            raise InvalidModelError("the nodes of a tree form a cycle")

    def leaves(self, x: Array) -> Array:
        """The leaf of each row in each tree [N, trees]."""
        position = np.tile(self.roots, (len(x), 1))
        while (inside := position >= 0).any():
            rows, node = np.nonzero(inside)[0], position[inside]
            holds = self.holds(node, x[rows, self.features[node]])
            position[inside] = np.where(holds, self.children[node, 0], self.children[node, 1])
        return -1 - position

    def holds(self, node: Array, value: Array) -> Array:
        """Whether the comparison of each node holds for its value; for NaN, what the node says of missing values."""
        t, mode = self.thresholds[node], self.modes[node]
        tests = [value <= t, value < t, value >= t, value > t, value == t, value != t]
        holds = np.select([mode == m for m in range(MEMBER)], tests, False)
        for i in np.flatnonzero(mode == MEMBER):
            holds[i] = (self.members[int(node[i])] == value[i]).any()
        return np.where(np.isnan(value), self.missing[node], holds)

    def aggregate(self, x: Array, targets: int, function: str) -> Array:
        """Votes of each row's leaves, tree by tree and vote by vote, for each target [N, targets].

        SUM: added to +0 in this order; AVERAGE: that divided by the number of trees. MIN, MAX: of the votes; without
        any +0.
        """
        leaf = self.leaves(x)
        total = np.zeros((len(x), targets), dtype=x.dtype)
        voted = np.zeros((len(x), targets), dtype=bool)
        for tree in range(len(self.roots)):
            start, end = self.first[leaf[:, tree]], self.first[leaf[:, tree] + 1]
            while (more := start < end).any():
                rows, vote = np.flatnonzero(more), start[more]
                at = (rows, self.targets[vote])
                total[at] = vote_counted(total[at], voted[at], self.weights[vote], function)
                voted[at] = True
                start = start + more
        return np.divide(total, x.dtype.type(len(self.roots))) if function == "AVERAGE" else total


def vote_counted(old: Array, voted: Array, weight: Array, function: str) -> Array:
    """What becomes of a target's number by one more vote."""
    if function in ("SUM", "AVERAGE"):
        return old + weight
    extreme = minimum(old, weight) if function == "MIN" else maximum(old, weight)
    return np.where(voted, extreme, weight)
