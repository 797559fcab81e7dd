"""Concat and Split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape.arguments import integers, normalize_axis


@operator("Concat", since=1)
def concat_1(*inputs: Array, axis: int = 1) -> Array:
    """The inputs one after the other along `axis`."""
    return joined(inputs, axis)


@operator("Concat", since=(4, 11, 13))
def concat(*inputs: Array, axis: int) -> Array:
    """The inputs one after the other along `axis`. Empty ones count: all other dimensions must agree."""
    return joined(inputs, axis)


def joined(inputs: Sequence[Array], axis: int) -> Array:
    """The inputs one after the other along `axis`."""
    if not inputs:
        raise ShapeError("Concat without inputs")
    along = normalize_axis(axis, inputs[0].ndim)
    return np.concatenate(inputs, axis=along)


@operator("Split", since=1)
def split_1(
    input: Array, lengths: Array | None = None, *, axis: int = 0, split: Sequence[int] | None = None, n_outputs: int
) -> tuple[Array, ...]:
    """Pieces of `input` along `axis`: lengths from the second input or the attribute, else equal ones."""
    return given_or_equal(input, axis, split if lengths is None else lengths, n_outputs)


@operator("Split", since=(2, 11))
def split_2(input: Array, *, axis: int = 0, split: Sequence[int] | None = None, n_outputs: int) -> tuple[Array, ...]:
    """Pieces of `input` along `axis`: lengths from the attribute, else equal ones, as many as the node has outputs."""
    return given_or_equal(input, axis, split, n_outputs)


@operator("Split", since=13)
def split_13(input: Array, split: Array | None = None, *, axis: int = 0, n_outputs: int) -> tuple[Array, ...]:
    """As version 2, with the lengths an input."""
    return given_or_equal(input, axis, split, n_outputs)


@operator("Split", since=18)
def split(
    input: Array, split: Array | None = None, *, axis: int = 0, num_outputs: int | None = None, n_outputs: int
) -> tuple[Array, ...]:
    """Pieces of `input` along `axis`: of lengths `split`, or `num_outputs` of ceil(n / num_outputs), the last less."""
    if split is not None and num_outputs is not None:
        raise InvalidInputError("give either the input split or the attribute num_outputs, not both")
    if split is not None:
        return cut(input, axis, named(integers(split, "split"), n_outputs))
    if num_outputs not in (None, n_outputs):
        raise InvalidInputError(f"num_outputs is {num_outputs}, the node has {n_outputs} outputs")
    length = input.shape[normalize_axis(axis, input.ndim)]
    chunk = -(-length // n_outputs)
    return cut(input, axis, [max(0, min(chunk, length - i * chunk)) for i in range(n_outputs)])


def given_or_equal(input: Array, axis: int, lengths: Array | Sequence[int] | None, pieces: int) -> tuple[Array, ...]:
    """Consecutive pieces of `input` along `axis`: of these lengths, or (None) `pieces` equal ones."""
    if lengths is not None:
        return cut(input, axis, named(integers(lengths, "split"), pieces))
    length = input.shape[normalize_axis(axis, input.ndim)]
    if length % pieces:
        raise ShapeError(f"length {length} along axis {axis} is not divisible into {pieces} equal parts")
    return cut(input, axis, [length // pieces] * pieces)


def named(lengths: list[int], n_outputs: int) -> list[int]:
    """The lengths, one for each output that the node names."""
    if len(lengths) != n_outputs:
        raise ShapeError(f"{len(lengths)} lengths for {n_outputs} outputs")
    return lengths


def cut(input: Array, axis: int, lengths: list[int]) -> tuple[Array, ...]:
    """Consecutive pieces of `input` along `axis`."""
    along = normalize_axis(axis, input.ndim)
    if any(n < 0 for n in lengths) or sum(lengths) != input.shape[along]:
        raise ShapeError(f"split {lengths} does not make up the length {input.shape[along]} of axis {along}")
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    before = (slice(None),) * along
    return tuple(input[(*before, slice(end - n, end))] for n, end in zip(lengths, ends, strict=True))
