"""Shapes: small ones, empty ones, and lengths just around the widths of vector registers.

Every function takes a Draw first and constructs what it returns; nothing is filtered. The first choice is the simplest
one, so counterexamples shrink towards it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from diptych.testing.draws import Draw

__all__ = ["SIDES", "axis", "choose", "integer", "operand", "permutation", "shape", "side", "subset"]

# For vectors of L = 4, 8, 16 elements: L-1, L, L+1, 2L+5, among the small lengths 0 to 5.
SIDES = (1, 2, 3, 4, 5, 0, 7, 8, 9, 13, 15, 16, 17, 21, 37)


def choose(draw: Draw, choices: Sequence[Any]) -> Any:
    """One of `choices`, the first being the simplest."""
    return draw.choose(tuple(choices))


def integer(draw: Draw, least: int, greatest: int) -> int:
    """An integer in least .. greatest."""
    return draw.integer(least, greatest)


def side(draw: Draw, limit: int = 37, least: int = 0) -> int:
    """A length in least .. limit, out of SIDES."""
    return int(choose(draw, tuple(n for n in SIDES if least <= n <= limit) or (least,)))


def shape(draw: Draw, ranks: tuple[int, int] = (0, 4), limit: int = 1024, least: int = 0) -> tuple[int, ...]:
    """A shape of a rank in `ranks` with at most `limit` elements and no side below `least`."""
    sides: list[int] = []
    for _ in range(integer(draw, *ranks)):
        sides.append(side(draw, max(limit // max(1, math.prod(sides)), least), least))
    return tuple(sides)


def operand(draw: Draw, target: Sequence[int]) -> tuple[int, ...]:
    """A shape that broadcasts into `target`: leading sides left out, others 1."""
    start = integer(draw, 0, len(target)) if target else 0
    return tuple(choose(draw, (n, n, 1)) for n in target[start:])


def axis(draw: Draw, rank: int) -> int:
    """An axis of a tensor of `rank` >= 1, counted from either end."""
    return int(choose(draw, (*range(rank), *range(-1, -rank - 1, -1))))


def subset(draw: Draw, rank: int) -> list[int]:
    """Some distinct axes of a tensor of `rank`, in any order, counted from either end."""
    chosen = permutation(draw, rank)[: integer(draw, 0, rank)]
    return [a - rank if choose(draw, (False, True)) else a for a in chosen]


def permutation(draw: Draw, n: int) -> list[int]:
    """0 .. n-1 in some order."""
    left = list(range(n))
    return [left.pop(integer(draw, 0, len(left) - 1)) for _ in range(n)]
