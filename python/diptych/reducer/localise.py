"""Finding the node: nothing is run on the reference again, since the value of every name is recorded.

Each node alone, on the inputs that the reference gave it, is the common case: one candidate of one node. Where the
engine goes wrong only with several nodes at once (a fusion, a pass, a buffer used twice), the shortest failing prefix
is found by bisection, then the shortest stretch of what its last node depends on, then a part of that without a
superfluous node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from diptych.reducer.bodies import evaluations
from diptych.reducer.candidate import Candidate, attribute_graphs
from diptych.reducer.failure import Failure
from diptych.reducer.search import Search, ddmin
from diptych.reducer.source import Source
from diptych.reducer.trial import Look

__all__ = ["find_node", "find_stretch", "shrink_graph"]

TURNS = 1000  # evaluations of one loop's body that are looked into

STRETCH = 16  # nodes in a row that are run together

LookAt = Callable[[Candidate], Look]
Wanted = Callable[[Failure | None], bool]


def find_node(
    source: Source, look: LookAt, wanted: Wanted, hint: str = "", progress: Callable[[str], None] = lambda text: None
) -> Look | None:
    """The first node that fails alone as `wanted` has it, in graphs inside nodes too; None where none does.

    `hint` is a message in which the node's name may stand: those nodes are looked at first.
    """
    for done, index in enumerate(_hinted(source, hint)):
        node = source.graph.node[index]
        progress(f"node {done + 1} of {len(source.order)}: {node.op_type} {node.name}")
        part = source.cut([index])
        if part is None or draws(source, index):
            continue
        seen = look(part)
        if seen.identical:
            continue
        if any(attribute_graphs(node)) or part.model.functions:
            inner = _find_inside(part, look, wanted, progress)
            if inner is not None:
                return inner
        if seen.valid and wanted(seen.failure):
            return seen
    return None


def _find_inside(part: Candidate, look: LookAt, wanted: Wanted, progress: Callable[[str], None]) -> Look | None:
    """The first node that fails in an evaluation of the graphs of a single node."""
    for turn in islice(evaluations(part), TURNS):
        source = Source(turn)
        try:
            found = find_node(source, look, wanted, progress=progress)
        finally:
            source.close()
        if found is not None:
            return found
    return None


def _hinted(source: Source, hint: str) -> Iterator[int]:
    """The nodes in order, those named in a message first."""
    named = [i for i in source.order if len(source.graph.node[i].name) > 1 and source.graph.node[i].name in hint]
    yield from named
    yield from (i for i in source.order if i not in set(named))


def draws(source: Source, index: int) -> bool:
    """Whether a node draws random numbers without a seed: no two engines draw the same."""
    node = source.graph.node[index]
    random = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")
    return node.op_type in (*random, "Dropout") and not any(attribute.name == "seed" for attribute in node.attribute)


def find_stretch(source: Source, search: Search, wanted: Wanted) -> bool:
    """Look for a few nodes in a row that fail together on the reference's values; reduce them to those that matter.

    For engines that are not held to bits: behind many more nodes the honest error may hide the failure.
    """
    order = source.order
    for start in range(0, max(len(order) - STRETCH // 2, 1), STRETCH // 2):
        nodes = order[start : start + STRETCH]
        search.report(f"nodes {start + 1} to {start + len(nodes)} of {len(order)} together")
        part = source.cut([i for i in nodes if not draws(source, i)])
        seen = search.look(part) if part is not None else None
        if seen is not None and seen.failure is not None and wanted(seen.failure):
            search.target = seen.failure
            search.take(seen, "nodes in a row")
            ddmin(nodes, lambda few: search.fails(source.cut(few), "cut"))
            return True
    return False


def shrink_graph(source: Source, search: Search) -> None:
    """Make the best candidate a part of the model without a superfluous node, if any part has the failure."""

    def fails(nodes: Sequence[int]) -> bool:
        search.report(f"cut: {len(nodes)} of {len(source.order)} nodes")
        return search.fails(source.cut(nodes), "cut")

    if not fails(source.order):
        source.open_shapes = not source.open_shapes  # engines treat declared and open shapes differently
        if not fails(source.order):
            return
    prefix = _prefix(source.order, fails)
    stretch = _stretch(source.ancestors(prefix[-1]), fails) or prefix
    ddmin(stretch, fails)


def _prefix(order: Sequence[int], fails: Callable[[Sequence[int]], bool]) -> Sequence[int]:
    """The shortest prefix that fails, if all longer ones do."""
    low, high = 0, len(order)  # order[:low] does not fail, order[:high] does
    while high - low > 1:
        middle = (low + high) // 2
        if fails(order[:middle]):
            high = middle
        else:
            low = middle
    return order[:high]


def _stretch(ancestors: Sequence[int], fails: Callable[[Sequence[int]], bool]) -> Sequence[int] | None:
    """The nearest 1, 2, 4, … nodes that a node depends on which fail with it; None where not even all do."""
    count = 1
    while True:
        if fails(ancestors[:count]):
            return ancestors[:count]
        if count >= len(ancestors):
            return None
        count *= 2
