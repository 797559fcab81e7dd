"""The best candidate so far, and the limits within which a better one is looked for."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from diptych.reducer.candidate import Candidate
from diptych.reducer.failure import Failure
from diptych.reducer.measure import describe, measure
from diptych.reducer.trial import Look, Trial

__all__ = ["OutOfBudgetError", "Search", "ddmin"]

Generate = Callable[[Candidate], Iterable[Candidate | None]]


class OutOfBudgetError(Exception):
    """Time or attempts are used up; what was found so far stands."""


@dataclass
class Search:
    """Tries candidates against a failure and keeps the smallest one that has it.

    `seconds` and `attempts` bound the search (None: no bound); `report` is told what goes on. Candidates are never
    tried twice.
    """

    trial: Trial
    target: Failure
    best: Candidate
    seconds: float | None = None
    attempts: int | None = None
    report: Callable[[str], None] = lambda text: None
    start: float = field(default_factory=time.monotonic)
    tried: int = 0
    steps: list[str] = field(default_factory=list)
    _seen: dict[bytes, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Of a model in a file whose tensors are not read, anything is smaller.
        self._size = measure(self.best) if self.best.path is None else (sys.maxsize,)

    def look(self, candidate: Candidate) -> Look:
        """Ask of a candidate, which counts as an attempt."""
        if self.attempts is not None and self.tried >= self.attempts:
            raise OutOfBudgetError(f"{self.attempts} attempts are used up")
        if self.seconds is not None and time.monotonic() - self.start >= self.seconds:
            raise OutOfBudgetError(f"{self.seconds:g} s are used up")
        self.tried += 1
        return self.trial.look(candidate)

    def fails(self, candidate: Candidate | None, what: str) -> bool:
        """Whether a candidate has the failure; the best one if it is smaller as well."""
        if candidate is None:
            return False
        if candidate.key not in self._seen:
            self._seen[candidate.key] = self._try(candidate, what)
        return self._seen[candidate.key]

    def _try(self, candidate: Candidate, what: str) -> bool:
        look = self.look(candidate)
        if not (look.valid and self.target.same(look.failure)):
            return False
        self.take(look, what)
        return True

    def take(self, look: Look, what: str) -> None:
        """Make a candidate with the failure the best one, if it is smaller."""
        size = measure(look.candidate)
        if look.failure is not None and size < self._size:
            self.best, self._size = look.candidate, size
            self.steps.append(f"{what}: {describe(self.best)}")
            self.target = look.failure if self.target.same(look.failure) else self.target

    def attempt(self, candidate: Candidate | None, what: str) -> bool:
        """Try a candidate that would be smaller; whether it has become the best."""
        if candidate is None or candidate.key in self._seen or measure(candidate) >= self._size:
            return False
        self.report(f"{what}: {describe(self.best)} after {self.tried} attempts")
        before = self.best
        self.fails(candidate, what)
        return self.best is not before

    def exhaust(self, what: str, generate: Generate) -> None:
        """Take candidates of the best one, and of what becomes of it, until none is better."""
        while any(self.attempt(candidate, what) for candidate in generate(self.best)):
            pass


def ddmin(items: Sequence[int], fails: Callable[[Sequence[int]], bool]) -> list[int]:
    """A part of `items` that fails while it does not without any single one (Zeller's and Hildebrandt's ddmin).

    `fails(items)` holds at the start. Asks for complements only, coarse ones first.
    """
    kept, pieces = list(items), 2
    while len(kept) > 1:
        pieces = min(pieces, len(kept))
        bounds = [len(kept) * i // pieces for i in range(pieces + 1)]
        for low, high in itertools.pairwise(bounds):
            rest = kept[:low] + kept[high:]
            if fails(rest):
                kept, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if pieces == len(kept):
                break
            pieces *= 2
    return kept
