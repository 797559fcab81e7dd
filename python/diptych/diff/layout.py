"""A layered drawing of a graph: each node below all that it reads, few crossings, edges through the gaps.

Sugiyama's method: layers by the longest path, a dummy node where an edge passes a layer, the order inside of layers by
the mean place of the neighbours, sweeping down and up.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Drawing", "Placed", "draw"]

WIDTH, HEIGHT = 164, 46  # of a node
GAP, LAYER = 26, 40  # between nodes of a layer, between layers
DUMMY = 10  # width that an edge takes in a layer that it passes
SWEEPS = 6
MARGIN = 12


@dataclass(frozen=True)
class Placed:
    """A node's box: its left upper corner."""

    key: str
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """Boxes of nodes, and edges as the `d` of an SVG path."""

    width: float
    height: float
    nodes: list[Placed]
    edges: list[tuple[str, str, str]]  # from, to, path


def draw(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> Drawing:
    """Place the nodes `keys`, given in an order in which each comes after those that it reads."""
    known = set(keys)
    edges = [edge for edge in dict.fromkeys(edges) if edge[0] in known and edge[1] in known]
    depth = _depths(keys, edges)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for key in keys:
        layers[depth[key]].append(key)
    chains = {edge: _chain(edge, depth, layers) for edge in edges}
    links = [pair for chain in chains.values() for pair in itertools.pairwise(chain)]
    _order(layers, links)
    x = _columns(layers, links, known)
    width = max((x[name] + _width(name, known) for layer in layers for name in layer), default=0) + 2 * MARGIN
    placed = [Placed(key, x[key] + MARGIN, depth[key] * (HEIGHT + LAYER) + MARGIN) for key in keys]
    height = len(layers) * (HEIGHT + LAYER) - LAYER + 2 * MARGIN
    paths = [(a, b, _path(chain, x, depth[a], known)) for (a, b), chain in chains.items()]
    return Drawing(width, max(height, 0), placed, paths)


def _depths(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest path to each node; nodes that read nothing stand right above their first reader."""
    depth = dict.fromkeys(keys, 0)
    readers: dict[str, list[str]] = {}
    sources = set(keys)
    for a, b in edges:
        readers.setdefault(a, []).append(b)
        sources.discard(b)
    for key in keys:
        for reader in readers.get(key, ()):
            depth[reader] = max(depth[reader], depth[key] + 1)
    for key in sources & readers.keys():
        depth[key] = min(depth[reader] for reader in readers[key]) - 1
    return depth


def _chain(edge: tuple[str, str], depth: Mapping[str, int], layers: list[list[str]]) -> list[str]:
    """The edge's ends, and dummies in the layers between, which are put there."""
    a, b = edge
    dummies = [f"{a}\0{b}\0{level}" for level in range(depth[a] + 1, depth[b])]
    for level, name in zip(range(depth[a] + 1, depth[b]), dummies, strict=True):
        layers[level].append(name)
    return [a, *dummies, b]


def _order(layers: list[list[str]], links: Sequence[tuple[str, str]]) -> None:
    """Sort layers by the mean place of neighbours in the layer before, then in the layer after, some times."""
    up: dict[str, list[str]] = {}
    down: dict[str, list[str]] = {}
    for a, b in links:
        up.setdefault(b, []).append(a)
        down.setdefault(a, []).append(b)
    place = {name: i for layer in layers for i, name in enumerate(layer)}
    for sweep in range(SWEEPS):
        neighbours, order = (up, layers) if sweep % 2 == 0 else (down, layers[::-1])
        for layer in order:
            means = {
                name: sum(place[other] for other in neighbours[name]) / len(neighbours[name])
                if neighbours.get(name)
                else place[name]
                for name in layer
            }
            layer.sort(key=lambda name: means[name])
            place.update({name: i for i, name in enumerate(layer)})


def _columns(layers: list[list[str]], links: Sequence[tuple[str, str]], known: set[str]) -> dict[str, float]:
    """Left edges: each node as near to the middle of its neighbours as the order allows."""
    near: dict[str, list[str]] = {}
    for a, b in links:
        near.setdefault(a, []).append(b)
        near.setdefault(b, []).append(a)
    x: dict[str, float] = {}
    for layer in layers:
        at = 0.0
        for name in layer:
            x[name] = at
            at += _width(name, known) + GAP
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            _relax(layer, near, x, known)
    least = min(x.values(), default=0.0)
    return {name: value - least for name, value in x.items()}


def _relax(layer: list[str], near: Mapping[str, list[str]], x: dict[str, float], known: set[str]) -> None:
    """Move the nodes of one layer to their wishes, then push them apart from both ends, and take the mean."""
    wishes = []
    for name in layer:
        others = near.get(name)
        middle = sum(x[o] + _width(o, known) / 2 for o in others) / len(others) if others else x[name]
        wishes.append(middle - _width(name, known) / 2 if others else middle)
    right, left = list(wishes), list(wishes)
    for i in range(1, len(layer)):
        right[i] = max(right[i], right[i - 1] + _width(layer[i - 1], known) + GAP)
    for i in range(len(layer) - 2, -1, -1):
        left[i] = min(left[i], left[i + 1] - _width(layer[i], known) - GAP)
    for name, a, b in zip(layer, right, left, strict=True):
        x[name] = (a + b) / 2


def _width(name: str, known: set[str]) -> float:
    """Width of a node or of a dummy."""
    return WIDTH if name in known else DUMMY


def _path(chain: Sequence[str], x: Mapping[str, float], top: int, known: set[str]) -> str:
    """A smooth curve from the lower side of the first node through the dummies to the upper side of the last."""
    points = []
    for i, name in enumerate(chain):
        middle = x[name] + _width(name, known) / 2 + MARGIN
        upper = (top + i) * (HEIGHT + LAYER) + MARGIN
        if i > 0:
            points.append((middle, upper))
        if i < len(chain) - 1:
            points.append((middle, upper + HEIGHT))
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        bend = (y0 + y1) / 2
        straight = x0 == x1
        steps.append(f"V{y1:.1f}" if straight else f"C{x0:.1f} {bend:.1f} {x1:.1f} {bend:.1f} {x1:.1f} {y1:.1f}")
    return "".join(steps)
