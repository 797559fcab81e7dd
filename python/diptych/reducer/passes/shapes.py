"""Sizes of axes, their number, and lengths of sequences.

Which axes belong together depends on the operators. Rather than to know all of them, a pass cuts all axes of one size
at once, then those at one position, then two, then each: the reference refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from onnx import AttributeProto

from diptych.reducer.candidate import Candidate, Key, is_open, typed
from diptych.reducer.passes.names import copied

__all__ = ["drop_axes", "fix_shapes", "shorten_sequences", "shrink_axes", "sliced"]

EDGES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)  # sizes at which kernels change their loop
PAIRS = 12  # axes of one size beyond which they are not taken two by two
SMALL = 32  # elements of a tensor of integers that may hold sizes

Axis = tuple[Key, int]


def sliced(array: np.ndarray[Any, Any], axis: int, start: int, stop: int) -> np.ndarray[Any, Any]:
    """Part of an array along an axis, contiguous."""
    return np.ascontiguousarray(array[(slice(None),) * axis + (slice(start, stop),)])


def shrink_axes(candidate: Candidate) -> Iterator[Candidate]:
    """Axes of one size, largest first, cut to smaller ones: the first or the last elements, or the middle half."""
    tensors = candidate.tensors
    sizes: dict[int, list[Axis]] = {}
    for key, array in tensors.items():
        for axis, size in enumerate(array.shape):
            sizes.setdefault(size, []).append((key, axis))
    for size in sorted(sizes, reverse=True):
        for target in _targets(size):
            for part in _parts(sizes[size]):
                for start in dict.fromkeys((0, size - target, (size - target) // 2)):
                    changes: dict[Key, np.ndarray[Any, Any]] = {}
                    for key, axis in part:
                        changes[key] = sliced(changes.get(key, tensors[key]), axis, start, start + target)
                    yield candidate.with_tensors(changes)
                    yield from _with_numbers(candidate, changes, size, target)


def _targets(size: int) -> list[int]:
    """Smaller sizes to try, the smallest first."""
    halves = {size // 2, (size + 1) // 2, size // 4, 3 * size // 4, size - 1}
    return sorted(n for n in halves | set(EDGES) if 0 <= n < size)


def _parts(axes: list[Axis]) -> Iterator[list[Axis]]:
    """Axes that may belong together."""
    seen = set()
    groups = [axes]
    groups += [[a for a in axes if a[1] == position] for position in sorted({axis for _, axis in axes})]
    groups += map(list, combinations(axes, 2)) if len(axes) <= PAIRS else []
    groups += [[axis] for axis in axes]
    for group in groups:
        if group and tuple(group) not in seen:
            seen.add(tuple(group))
            yield group


def _with_numbers(
    candidate: Candidate, changes: dict[Key, np.ndarray[Any, Any]], size: int, target: int
) -> Iterator[Candidate]:
    """The same with the size replaced in what holds sizes: small tensors of integers, and attributes."""
    replaced = dict(changes)
    for key, array in candidate.tensors.items():
        array = replaced.get(key, array)
        if array.dtype.name in ("int64", "int32") and array.size <= SMALL and (array == size).any():
            replaced[key] = np.where(array == size, array.dtype.type(target), array)
    smaller = candidate.with_tensors(replaced)
    found = len(replaced) > len(changes) or any(replaced[key] is not changes[key] for key in changes)
    for node in smaller.model.graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.INTS and size in attribute.ints:
                attribute.ints[:] = [target if value == size else value for value in attribute.ints]
                found = True
            elif attribute.type == AttributeProto.INT and attribute.i == size:
                attribute.i, found = target, True
    if found:
        yield smaller


def drop_axes(candidate: Candidate) -> Iterator[Candidate]:
    """Single elements as scalars; without an axis of one element: in all tensors, in those of one rank, in each."""
    tensors = candidate.tensors
    single = {key: array.reshape(()) for key, array in tensors.items() if array.ndim and array.size == 1}
    if single:
        yield candidate.with_tensors(single)
    for axis in range(max((array.ndim for array in tensors.values()), default=0)):
        having = [key for key, array in tensors.items() if array.ndim > axis and array.shape[axis] == 1]
        ranks = sorted({tensors[key].ndim for key in having})
        groups = [having, *([k for k in having if tensors[k].ndim == rank] for rank in ranks), *([k] for k in having)]
        for group in groups:
            if group:
                yield candidate.with_tensors({key: np.squeeze(tensors[key], axis) for key in group})
    matrices = {key: array for key, array in tensors.items() if array.ndim > 1}
    if matrices:
        yield candidate.with_tensors({key: array.reshape(-1) for key, array in matrices.items()})


def fix_shapes(candidate: Candidate) -> Iterator[Candidate]:
    """Inputs declared with the shapes that they have."""
    if any(map(is_open, candidate.model.graph.input)):
        model = copied(candidate)
        for value in model.graph.input:
            if isinstance(candidate.feeds.get(value.name), np.ndarray):
                value.CopyFrom(typed(value.name, candidate.feeds[value.name]))
        yield candidate.with_model(model)


def shorten_sequences(candidate: Candidate) -> Iterator[Candidate]:
    """Sequences without items, with one, with half of them, without one."""
    for name, value in candidate.feeds.items():
        if not isinstance(value, list) or not value:
            continue
        half = len(value) // 2
        parts = [[], value[:1], value[-1:], value[:half], value[half:]]
        parts += [value[:i] + value[i + 1 :] for i in range(len(value))]
        for part in parts:
            if len(part) < len(value):
                yield Candidate(candidate.model, {**candidate.feeds, name: part})
