"""Where choices come from: Hypothesis, which shrinks them, or a seed, for cases that must stay the same for years."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Protocol

from hypothesis import strategies as st

__all__ = ["Draw", "Drawn", "Seeded"]

EDITS = 4


class Draw(Protocol):
    """A source of choices."""

    def choose(self, choices: tuple[Any, ...]) -> Any:
        """One of `choices`, the first being the simplest."""

    def integer(self, least: int, greatest: int) -> int:
        """An integer in least .. greatest."""

    def edits(self, values: tuple[Any, ...]) -> list[tuple[int, Any]]:
        """Up to four (integer, value): each says to put a value somewhere."""


class Drawn:
    """Choices of Hypothesis, through the `draw` of a composite strategy."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw

    def choose(self, choices: tuple[Any, ...]) -> Any:
        """One of `choices`."""
        return self.draw(_sampled(*choices))

    def integer(self, least: int, greatest: int) -> int:
        """An integer in least .. greatest."""
        return int(self.draw(_integers(least, greatest)))

    def edits(self, values: tuple[Any, ...]) -> list[tuple[int, Any]]:
        """Up to four edits, as a list that shrinks by losing them."""
        return list(self.draw(_edits(*values)))


class Seeded:
    """Choices of a seed alone: `random.random` is the one stream that Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def choose(self, choices: tuple[Any, ...]) -> Any:
        """One of `choices`."""
        return choices[int(self.random.random() * len(choices))]

    def integer(self, least: int, greatest: int) -> int:
        """An integer in least .. greatest."""
        return least + int(self.random.random() * (greatest - least + 1))

    def edits(self, values: tuple[Any, ...]) -> list[tuple[int, Any]]:
        """Up to four edits."""
        return [(self.integer(0, 0xFFFF), self.choose(values)) for _ in range(self.integer(0, EDITS))]


@lru_cache(maxsize=None, typed=True)  # 0, 0.0 and False are different choices
def _sampled(*choices: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(choices)


@cache
def _integers(least: int, greatest: int) -> st.SearchStrategy[int]:
    return st.integers(least, greatest)


@lru_cache(maxsize=None, typed=True)
def _edits(*values: Any) -> st.SearchStrategy[list[tuple[int, Any]]]:
    return st.lists(st.tuples(st.integers(0, 0xFFFF), st.sampled_from(values)), max_size=EDITS)
