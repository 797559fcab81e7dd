"""In which order a campaign meets operators: all in turn, so that a short one reaches every one of them.

An operator has many versions and element types, some hundred each; a campaign that took these one after another would
spend its time on Cast. So a turn takes one version and type of each operator, the operators shuffled by the seed, and
the next turn their next ones. An operator whose failures are known sits out one turn for each of them: its next cases
mostly fail as before.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from diptych.testing import Row
from diptych.testing.catalogue import newest_meaning

__all__ = ["name_of", "turns"]


def turns(rows: Sequence[Row], seed: int, known: Callable[[str], int]) -> Iterator[tuple[int, Row, Any]]:
    """Endless (lap, row, element type); `lap` counts how often all of the operator's rows and types came before.

    `known(name)`: how many findings the campaign has of an operator by now.
    """
    shuffle = random.Random(seed).shuffle
    entries = [(row, dtype) for row in rows for dtype in row.dtypes]
    shuffle(entries)
    entries.sort(key=lambda entry: rank(*entry))
    queues: dict[str, list[tuple[Row, Any]]] = {}
    for row, dtype in entries:
        queues.setdefault(name_of(row), []).append((row, dtype))
    names, taken = list(queues), Counter[str]()
    shuffle(names)
    for turn in itertools.count() if names else ():
        for name in names:
            if turn % (1 + known(name)):
                continue
            lap, place = divmod(taken[name], len(queues[name]))
            taken[name] += 1
            yield lap, *queues[name][place]


def name_of(row: Row) -> str:
    """`Conv`, `com.microsoft.Attention`."""
    return f"{row.domain}.{row.op_type}" if row.domain else row.op_type


def rank(row: Row, dtype: Any) -> tuple[bool, int]:
    """Newest meanings before older ones, an operator's first types before its others."""
    older = newest_meaning(row.op_type, row.since, row.domain) != row.since
    return older, row.dtypes.index(dtype)
