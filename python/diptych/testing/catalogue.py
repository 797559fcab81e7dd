"""The catalogue: every operator version that the reference defines, with the element types of its cases.

Nobody keeps this list by hand: it is the reference's registry, and a test holds the engine's against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

import diptych_reference
from diptych.testing.schema import Row, row
from diptych_reference.operator import Operator
from diptych_reference.schemas import is_known

__all__ = ["catalogue", "entries", "is_newest_meaning", "newest_meaning"]


@cache
def catalogue() -> tuple[Row, ...]:
    """All rows of the reference's registry that have a schema, sorted by operator and version."""
    found: list[Row] = []
    for (domain, op_type), versions in sorted(diptych_reference.registry.items()):
        if is_known(domain, op_type):
            found.extend(row(op_type, since, domain) for since in sorted(versions))
    return tuple(found)


def entries() -> Iterator[tuple[Row, np.dtype[Any]]]:
    """Every row with every element type of its leading input."""
    for entry in catalogue():
        for dtype in entry.dtypes:
            yield entry, dtype


def is_newest_meaning(row: Row) -> bool:
    """Whether no later version of the operator has the same function and attributes: such differ in types alone."""
    return newest_meaning(row.op_type, row.since, row.domain) == row.since


@cache
def newest_meaning(op_type: str, since: int, domain: str = "") -> int:
    """The newest version of the operator that has the same function and attributes as version `since`."""
    versions = diptych_reference.registry[domain, op_type]
    meaning = _meaning(versions[since])
    return max(other for other, version in versions.items() if other >= since and _meaning(version) == meaning)


def _meaning(version: Operator) -> tuple[Any, ...]:
    """What tells versions of an operator apart, types aside: function and attributes, less a hint that nobody reads."""
    attributes = {*version.defaults, *version.required} - {"consumed_inputs"}
    return version.function, attributes
