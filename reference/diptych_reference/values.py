"""Values that are no arrays: sequences, and optionals that hold nothing. Other optionals are the value they hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidTypeError


class Sequence(list[Any]):
    """A sequence of tensors of one dtype, which one without tensors has too; None where nobody said.

    Plain lists are sequences as well: of the dtype of their tensors, or, without any, of any dtype.
    """

    def __init__(self, tensors: Iterable[Any] = (), dtype: np.dtype[Any] | None = None) -> None:
        super().__init__(tensors)
        self.dtype = sequence_dtype(self) if self else dtype


class Nothing:
    """What an optional without a value holds; a caller sees None."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = Nothing()


def sequence_dtype(sequence: list[Any]) -> np.dtype[Any] | None:
    """The dtype of a sequence's tensors; None where it has none and nobody said. InvalidTypeError where they differ."""
    if not sequence:
        return getattr(sequence, "dtype", None)
    wrong = [type(item).__name__ for item in sequence if not isinstance(item, np.ndarray)]
    if wrong:
        raise InvalidTypeError(f"a sequence holds a {wrong[0]}, expected tensors")
    found = {item.dtype for item in sequence}
    if len(found) > 1:
        raise InvalidTypeError(f"a sequence of {sorted(map(str, found))}; its tensors must be of one type")
    dtype: np.dtype[Any] = sequence[0].dtype
    return dtype


def outward(value: Any) -> Any:
    """A value as a caller sees it: an array, a plain list, or None."""
    if isinstance(value, list):
        return list(value)
    return None if value is NOTHING else value
