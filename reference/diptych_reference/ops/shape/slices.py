"""Slice."""

from __future__ import annotations

from collections.abc import Sequence

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape.arguments import integers, normalize_axes


@operator("Slice", since=1)
def slice_1(data: Array, *, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None = None) -> Array:
    """Elements `starts[i]` to `ends[i]` (exclusive) along `axes[i]`; negative ones count from the end; clamped."""
    return sliced(data, integers(starts, "starts"), integers(ends, "ends"), axes, None)


@operator("Slice", since=(10, 11, 13))
def slice_(data: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Array:
    """Every `steps[i]`-th element from `starts[i]` to `ends[i]` (exclusive) along `axes[i]`; negative: backwards.

    Negative starts and ends count from the end, once; then they are clamped, a backward end to -1 (before the first).
    """
    return sliced(data, integers(starts, "starts"), integers(ends, "ends"), axes, steps)


def sliced(
    data: Array,
    starts: list[int],
    ends: list[int],
    axes: Array | Sequence[int] | None,
    steps: Array | Sequence[int] | None,
) -> Array:
    """The slice of Slice-13."""
    along = list(range(len(starts))) if axes is None else integers(axes, "axes")
    strides = [1] * len(starts) if steps is None else integers(steps, "steps")
    if not len(starts) == len(ends) == len(along) == len(strides):
        raise ShapeError(f"{len(starts)} starts, {len(ends)} ends, {len(along)} axes and {len(strides)} steps")
    if 0 in strides:
        raise InvalidInputError("a step is 0")
    chosen = [slice(None)] * data.ndim
    for axis, start, end, step in zip(normalize_axes(along, data.ndim), starts, ends, strides, strict=True):
        chosen[axis] = clamped(start, end, step, data.shape[axis])
    return data[tuple(chosen)]


def clamped(start: int, end: int, step: int, length: int) -> slice:
    """The slice of one axis. Unlike Python's, a backward slice that starts before the first element starts at it."""
    low, high = (0, length) if step > 0 else (-1, length - 1)
    start, end = (n + length if n < 0 else n for n in (start, end))
    start, end = min(max(start, 0), high), min(max(end, low), high)
    return slice(start, None if end < 0 else end, step) if length else slice(0, 0)
