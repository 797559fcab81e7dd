"""DepthToSpace and SpaceToDepth: channels become blocks of pixels, and back. A reshape, a transposition, a reshape."""

from __future__ import annotations

from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.operator import Array, operator

MODES = ("DCR", "CRD")


@operator("DepthToSpace", since=1)
def depth_to_space_1(input: Array, *, blocksize: int) -> Array:
    """As version 11, mode DCR."""
    return depth_to_space(input, blocksize=blocksize)


@operator("DepthToSpace", since=(11, 13, 28))
def depth_to_space(input: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """[n, c, h, w] to [n, c / b^2, h b, w b]: pixel (i, j) of a block comes from channel (i, j, depth).

    Mode DCR: the channels count (i, j) first, then depth; CRD: depth first, then (i, j).
    """
    n, c, h, w = images(input, blocksize, mode)
    b, depth = blocksize, c // (blocksize * blocksize)
    if c % (b * b):
        raise ShapeError(f"{c} channels are not divisible into blocks of {b} by {b}")
    if mode == "DCR":
        split = input.reshape(n, b, b, depth, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        split = input.reshape(n, depth, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return split.reshape(n, depth, h * b, w * b)


@operator("SpaceToDepth", since=(1, 13))
def space_to_depth_1(input: Array, *, blocksize: int) -> Array:
    """As version 28, mode DCR."""
    return space_to_depth(input, blocksize=blocksize)


@operator("SpaceToDepth", since=28)
def space_to_depth(input: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """[n, c, h, w] to [n, c b^2, h / b, w / b]: what DepthToSpace of the same mode takes back."""
    n, c, h, w = images(input, blocksize, mode)
    b = blocksize
    if h % b or w % b:
        raise ShapeError(f"an image of {h} by {w} is not divisible into blocks of {b} by {b}")
    split = input.reshape(n, c, h // b, b, w // b, b)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return split.transpose(order).reshape(n, c * b * b, h // b, w // b)


def images(input: Array, blocksize: int, mode: str) -> tuple[int, int, int, int]:
    """The four dimensions of `input`, the attributes checked."""
    if mode not in MODES or blocksize < 1:
        raise InvalidModelError(f"mode {mode!r}, blocksize {blocksize}; expected one of {MODES} and 1 or more")
    if input.ndim != 4:
        raise ShapeError(f"shape {list(input.shape)}, expected [N, C, H, W]")
    n, c, h, w = input.shape
    return n, c, h, w
