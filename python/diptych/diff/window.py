"""The slice of two tensors around one element, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Window", "sample", "shown", "window"]

ROWS, COLUMNS = 5, 5


@dataclass(frozen=True)
class Window:
    """`expected` and `actual` are rows of elements as text; `origin` is the index of the first, `worst` (row, column).

    The last two axes are shown; all others are fixed at `origin`. A tensor of one axis is one row.
    """

    origin: tuple[int, ...]
    worst: tuple[int, int]
    expected: list[list[str]]
    actual: list[list[str]]

    @property
    def slice(self) -> str:
        """The slice in NumPy's spelling."""
        if not self.origin:
            return "[()]"
        sizes = [len(self.expected), len(self.expected[0])][-min(2, len(self.origin)) :]
        fixed = [str(i) for i in self.origin[: -len(sizes)]]
        moving = [f"{start}:{start + size}" for start, size in zip(self.origin[-len(sizes) :], sizes, strict=True)]
        return f"[{', '.join([*fixed, *moving])}]"


def window(expected: Any, actual: Any, at: tuple[int, ...] | None) -> Window | None:
    """Return the slice around `at`; None where the values are no tensors of one shape."""
    if at is None or not isinstance(expected, np.ndarray) or not isinstance(actual, np.ndarray):
        return None
    if expected.shape != actual.shape or len(at) != expected.ndim:
        return None
    rank = expected.ndim
    starts, stops = list(at), [i + 1 for i in at]
    for axis, side in zip(range(rank - 1, max(-1, rank - 3), -1), (COLUMNS, ROWS), strict=False):
        starts[axis] = max(0, min(at[axis] - side // 2, expected.shape[axis] - side))
        stops[axis] = min(expected.shape[axis], starts[axis] + side)
    taken = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    rows = stops[-2] - starts[-2] if rank > 1 else 1
    texts = [
        [[shown(x) for x in row] for row in np.asarray(side[taken]).reshape(rows, -1)] for side in (expected, actual)
    ]
    worst = (at[-2] - starts[-2] if rank > 1 else 0, at[-1] - starts[-1] if rank else 0)
    return Window(tuple(starts), worst, texts[0], texts[1])


def sample(value: Any) -> tuple[str, list[list[str]]]:
    """The first elements of a value as (slice, rows); no rows for what is no tensor or is empty."""
    item = value[0] if isinstance(value, list) and value else value
    if not isinstance(item, np.ndarray) or not item.size:
        return "", []
    taken = window(item, item, (0,) * item.ndim)
    assert taken is not None
    return f"{'[0]' if item is not value else ''}{taken.slice}", taken.expected


def shown(value: Any) -> str:
    """One element with as many digits as tell it from its neighbours."""
    array = np.asarray(value)
    if array.dtype.kind == "V":
        return str(array.astype(np.float32)[()])
    return repr(array.item()) if array.dtype.kind in "OSU" else str(array[()])
