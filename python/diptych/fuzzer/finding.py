"""A finding, and what makes two of them the same.

Hundreds of cases show one bug. Two failures are one finding where engine, operator, meaning of its version, kind of
verdict, detail and element type are equal, and the later case has all the special values that the earlier, reduced one
needed: a bug that shows without NaN explains failures with NaN, not the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from diptych.testing import Case, GraphCase
from diptych.testing.values import is_floating

__all__ = ["Finding", "Signature", "Subject", "specials_of"]

Subject = Case | GraphCase
DETAIL = 90  # characters of an engine's message that count


@dataclass(frozen=True)
class Signature:
    """What tells findings apart, special values aside.

    `kind`: "type" (dtype, shape or number of outputs), "class" (NaN, infinity, sign of zero), "bound", "bits", "crash",
    "hang", "error" (any exception but a refusal), or the name of the relation that does not hold ("body", "float64",
    "batch", "history"). `meaning` is the newest version of the operator with the same function and attributes.
    """

    engine: str
    operator: str
    meaning: int
    kind: str
    detail: str
    dtype: str


@dataclass(frozen=True)
class Finding:
    """A signature, the smallest case that shows it, and how often it was met.

    `specials` are the kinds of special values in the case's inputs. `steady` is False where the engine did not repeat
    what it had done. `version` is the engine's.
    """

    signature: Signature
    subject: Subject
    specials: frozenset[str]
    problem: str
    version: str = ""
    steady: bool = True

    def explains(self, signature: Signature, specials: frozenset[str]) -> bool:
        """Whether a failure is this finding again."""
        return self.signature == signature and self.specials <= specials

    def __str__(self) -> str:
        """One line for people."""
        s = self.signature
        return f"{s.engine}: {s.operator}-{s.meaning} {s.dtype}: {s.kind}: {self.problem}"


def normal_detail(text: str) -> str:
    """An engine's message without what changes from case to case: numbers, quoted names, addresses, paths."""
    text = re.sub(r"0x[0-9a-fA-F]+|/\S+|'[^']*'|\"[^\"]*\"", "…", text)
    return " ".join(re.sub(r"[-+]?\d+(\.\d+)?", "#", text).split())[:DETAIL]


def specials_of(subject: Subject) -> frozenset[str]:
    """Kinds of special values in the inputs: "nan", "inf", "-0", "subnormal", "huge", "empty", "least", "greatest"."""
    values = subject.feeds().values() if isinstance(subject, Case) else subject.feeds.values()
    return frozenset(kind for array in _arrays(list(values)) for kind in _kinds(array))


def _arrays(values: list[Any]) -> Iterator[np.ndarray[Any, Any]]:
    """All arrays, those of sequences too."""
    for value in values:
        if isinstance(value, list):
            yield from _arrays(value)
        elif isinstance(value, np.ndarray):
            yield value


def _kinds(array: np.ndarray[Any, Any]) -> Iterator[str]:
    """Kinds of special values in one array."""
    if not array.size:
        yield "empty"
        return
    if array.dtype.kind == "c":
        array = array.view(f"f{array.dtype.itemsize // 2}")
    if array.dtype.kind in "iu" and array.dtype.itemsize > 1:
        ends = np.iinfo(array.dtype)
        if ends.min < 0 and np.any(array == ends.min):
            yield "least"
        if np.any(array == ends.max):
            yield "greatest"
        return
    if array.dtype.kind in "OUSb" or not is_floating(array.dtype):
        return
    info = ml_dtypes.finfo(array.dtype)  # type: ignore[no-untyped-call]
    with np.errstate(all="ignore"):
        numbers = array.astype(np.float64)
    sizes = np.abs(numbers)
    tests = {
        "nan": np.isnan(numbers),
        "inf": np.isinf(numbers),
        "-0": (numbers == 0) & np.signbit(numbers),
        "subnormal": (sizes > 0) & (sizes < float(info.smallest_normal)),
        "huge": np.isfinite(numbers) & (sizes >= float(info.max) / 4),
    }
    yield from (name for name, found in tests.items() if found.any())
