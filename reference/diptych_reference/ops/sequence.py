"""Sequences and optionals: made, looked into, changed. Nothing is computed: tensors keep their bits.

A sequence is a list of tensors of one dtype (`values.Sequence`). An optional is its value, or NOTHING.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych_reference.axes import normal_axis
from diptych_reference.errors import (
    InvalidInputError,
    InvalidModelError,
    InvalidTypeError,
    ResourceLimitError,
    ShapeError,
)
from diptych_reference.operator import Array, operator
from diptych_reference.ops.control_flow import scalar
from diptych_reference.signature import dtype_of
from diptych_reference.values import NOTHING, Sequence, sequence_dtype

PIECES = 1 << 20  # tensors that SplitToSequence makes: each is an object of Python, a hundred bytes and more


@operator("SequenceConstruct", since=11)
def sequence_construct(*inputs: Array) -> Sequence:
    """The inputs, in their order."""
    return Sequence(inputs)


@operator("SequenceEmpty", since=11)
def sequence_empty(*, dtype: int | None = None) -> Sequence:
    """A sequence without tensors, by default of float ones."""
    return Sequence([], np.dtype(np.float32) if dtype is None else dtype_of(dtype))


@operator("SequenceLength", since=11)
def sequence_length(input_sequence: list[Any]) -> Array:
    """The number of tensors, an int64 scalar."""
    return np.array(len(input_sequence), dtype=np.int64)


@operator("SequenceAt", since=11)
def sequence_at(input_sequence: list[Any], position: Array) -> Array:
    """The tensor at `position` in [-n, n-1]."""
    tensor: Array = input_sequence[place(position, len(input_sequence), len(input_sequence))]
    return tensor


@operator("SequenceInsert", since=11)
def sequence_insert(input_sequence: list[Any], tensor: Array, position: Array | None = None) -> Sequence:
    """The sequence with `tensor` before `position` in [-n, n], by default at the end. They are of one type."""
    dtype = sequence_dtype(input_sequence)
    if dtype not in (None, tensor.dtype):
        raise InvalidTypeError(f"a tensor of {tensor.dtype} does not go into a sequence of {dtype}")
    n = len(input_sequence)
    at = n if position is None else place(position, n, n + 1)
    return Sequence([*input_sequence[:at], tensor, *input_sequence[at:]])


@operator("SequenceErase", since=11)
def sequence_erase(input_sequence: list[Any], position: Array | None = None) -> Sequence:
    """The sequence without the tensor at `position` in [-n, n-1], by default the last one."""
    n = len(input_sequence)
    at = place(np.array(-1) if position is None else position, n, n)
    return Sequence([*input_sequence[:at], *input_sequence[at + 1 :]], sequence_dtype(input_sequence))


def place(position: Array, n: int, end: int) -> int:
    """`position` as an index in 0 .. end-1; negative ones count from n."""
    given = int(scalar(position, "position"))
    at = given + n if given < 0 else given
    if not 0 <= at < end:
        raise InvalidInputError(f"position {given} is outside [{-n}, {end - 1}] of a sequence of {n}")
    return at


@operator("ConcatFromSequence", since=11)
def concat_from_sequence(input_sequence: list[Any], *, axis: int, new_axis: int = 0) -> Array:
    """The tensors joined along `axis`; with `new_axis`, stacked along a new one."""
    if not input_sequence:
        raise ShapeError("a sequence without tensors has nothing to concatenate")
    at = normal_axis(axis, input_sequence[0].ndim + bool(new_axis))
    return np.stack(input_sequence, at) if new_axis else np.concatenate(input_sequence, at)


@operator("SplitToSequence", since=(11, 24))
def split_to_sequence(input: Array, split: Array | None = None, *, axis: int = 0, keepdims: int = 1) -> Sequence:
    """Pieces of `input` along `axis`.

    Without `split`, of length 1, and without the axis if `keepdims` is 0; with a scalar, of that length, the last one
    perhaps shorter; with a list, of these lengths, which add up.
    """
    at = normal_axis(axis, input.ndim)
    length = 1 if split is None else int(split) if split.ndim == 0 else 0
    if length > 0 and input.shape[at] // length > PIECES:
        raise ResourceLimitError(f"input of shape {list(input.shape)} would become more than {PIECES} tensors")
    before: tuple[Any, ...] = (slice(None),) * at
    if split is None and not keepdims:
        return Sequence([input[before + (i, ...)] for i in range(input.shape[at])], input.dtype)  # noqa: RUF005
    pieces, start = [], 0
    for length in piece_lengths(np.array(1) if split is None else split, input.shape[at]):
        pieces.append(input[(*before, slice(start, start + length))])
        start += length
    return Sequence(pieces, input.dtype)


def piece_lengths(split: Array, n: int) -> list[int]:
    """Lengths that add up to n."""
    if split.ndim == 0:
        length = int(split)
        if length <= 0:
            raise InvalidInputError(f"split is {length}, expected a positive number")
        return [min(length, n - start) for start in range(0, n, length)]
    if split.ndim != 1:
        raise ShapeError(f"split has shape {list(split.shape)}, expected a scalar or one dimension")
    lengths: list[int] = split.tolist()
    if any(length < 0 for length in lengths) or sum(lengths) != n:
        raise InvalidInputError(f"split {lengths} does not divide the length {n} into parts of length >= 0")
    return lengths


@operator("Optional", since=(15, 28))
def optional(input: Any = None, *, type: str | None = None) -> Any:
    """The input as an optional, or one of `type` that holds nothing."""
    if input is None and type is None:
        raise InvalidModelError("an Optional without input needs the attribute 'type'")
    return NOTHING if input is None else input


@operator("OptionalGetElement", since=(15, 18, 28))
def optional_get_element(input: Any) -> Any:
    """What the optional holds; from version 18 on a tensor or sequence is itself."""
    if input is NOTHING:
        raise InvalidInputError("the optional holds no element to get")
    return input


@operator("OptionalHasElement", since=15)
def optional_has_element_15(input: Any) -> Array:
    """Whether the optional holds a value."""
    return np.array(input is not NOTHING)


@operator("OptionalHasElement", since=(18, 28))
def optional_has_element(input: Any = None) -> Array:
    """Whether the optional holds a value; a tensor or sequence is one, an absent input is none."""
    return np.array(input is not NOTHING and input is not None)
