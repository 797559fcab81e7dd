"""Col2Im: blocks of an image, laid side by side as columns, added up to the image again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.numerics import is_float, round_to, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape import integers
from diptych_reference.windows import Windows, windows


@operator("Col2Im", since=18)
def col2im(
    input: Array,
    image_shape: Array,
    block_shape: Array,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """`input` [N, C * block positions, blocks] -> [N, C, image…], the blocks being windows of the padded image.

    Each element of the image is the sum of what blocks have there, in the order of block positions (row-major), from
    +0; bool: whether any is true. Strings cannot be added: blocks of them must not overlap.
    """
    image, block = integers(image_shape, "image_shape"), integers(block_shape, "block_shape")
    if input.ndim != 3 or not image or len(image) != len(block) or min(image) < 0:
        raise ShapeError(f"input {list(input.shape)}, image_shape {image} and block_shape {block} do not fit together")
    view = windows(tuple(image), block, strides, dilations, pads)
    taps, blocks = math.prod(view.kernel), math.prod(view.output)
    if input.shape[1] % taps or input.shape[2] != blocks:
        raise ShapeError(f"input {list(input.shape)}: expected a multiple of {taps} rows and {blocks} columns")
    n, channels = input.shape[0], input.shape[1] // taps
    if input.dtype == object:
        check_apart(view)
    columns = widen(input).reshape(n, channels, taps, *view.output)
    padded = empty_image((n, channels, *padded_size(view)), columns.dtype)
    for tap, position in enumerate(view.positions()):
        target = view.at(padded, position)
        if input.dtype == object:
            target[...] = columns[:, :, tap]
        elif input.dtype == np.bool_:
            target |= columns[:, :, tap]
        else:
            target += columns[:, :, tap]
    inner = tuple(slice(begin, begin + size) for (begin, _), size in zip(view.pads, image, strict=True))
    result = padded[(slice(None), slice(None), *inner)].copy()
    return round_to(result, input.dtype) if is_float(input.dtype) else result


def padded_size(view: Windows) -> tuple[int, ...]:
    """Spatial size of the padded image."""
    return tuple(size + begin + end for size, (begin, end) in zip(view.size, view.pads, strict=True))


def empty_image(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """Zeros; of strings, empty ones."""
    return np.full(shape, "", object) if dtype.kind == "O" else np.zeros(shape, dtype)


def check_apart(view: Windows) -> None:
    """InvalidInputError if two blocks have one element of the image."""
    hits = np.zeros(padded_size(view), np.int64)
    for position in view.positions():
        view.at(hits, position)[...] += 1
    inner = tuple(slice(begin, begin + size) for (begin, _), size in zip(view.pads, view.size, strict=True))
    if (hits[inner] > 1).any():
        raise InvalidInputError("blocks of strings overlap, and strings cannot be added")
