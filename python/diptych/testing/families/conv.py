"""Convolutions: output sizes, kernels, strides, dilations and padding first; the input's size follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.testing.families.quantization import quantized
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array

CHANNELS = (1, 2, 3, 4, 5, 8, 9, 16, 17, 33)  # around blocks of 16
OUTPUTS = ((1, 2, 3, 4, 7, 9, 17, 37), (1, 2, 3, 5, 8, 17), (1, 2, 3))  # sizes by spatial rank


@dataclass(frozen=True)
class Window:
    """Spatial geometry: an input size and the attributes that go with it."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]


def per_axis(s: Sketch, name: str, rank: int, choices: Sequence[int], default: int) -> tuple[int, ...]:
    """An attribute with a value an axis; its default where it is left out or this version lacks it."""
    if name not in s.row.attributes or not s.coin():
        return (default,) * rank
    return tuple(s.set(name, [s.choose(*choices) for _ in range(rank)]))


def window(s: Sketch, rank: int) -> Window:
    """Windows of a convolution or pool: every draw is valid, since the input is made at least as long as needed."""
    kernel = tuple(s.choose(1, 2, 3, *((5, 7) if rank == 1 else ())) for _ in range(rank))
    strides = per_axis(s, "strides", rank, (1, 2, 3), 1)
    dilations = per_axis(s, "dilations", rank, (1, 2, 3), 1)
    padding = auto_or_explicit(s, rank)
    size = []
    for axis in range(rank):
        extent = (kernel[axis] - 1) * dilations[axis] + 1
        output = s.choose(*OUTPUTS[rank - 1])
        spare = s.integer(0, strides[axis] - 1)
        size.append(max(1, (output - 1) * strides[axis] + extent + spare - padding[axis] - padding[rank + axis]))
    return Window(tuple(size), kernel, strides, dilations)


def auto_or_explicit(s: Sketch, rank: int) -> tuple[int, ...]:
    """Draw auto_pad or pads; return how much padding [begin…, end…] is certain."""
    auto = s.attribute("auto_pad", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    if auto in (None, b"NOTSET", "NOTSET"):
        return per_axis(s, "pads", 2 * rank, (0, 1, 2), 0)
    return (0,) * (2 * rank)


def spatial_rank(s: Sketch) -> int:
    """One, two or three spatial axes."""
    return int(s.choose(2, 1, 3))


def channels(s: Sketch) -> tuple[int, int, int]:
    """Groups, input channels a group, output channels a group; depthwise ones included."""
    group = s.attribute("group", 1, 2, 3, 16, 17) or 1
    if group >= 16:
        return group, s.choose(1, 2), s.choose(1, 2)
    return group, s.choose(*CHANNELS), s.choose(*CHANNELS) if group == 1 else s.choose(1, 2, 4, 9)


def batch(s: Sketch) -> int:
    """N."""
    return int(s.choose(1, 2, 3, 0))


def layer(s: Sketch) -> tuple[int, int, int, Window]:
    """Channels and windows of a convolution, whose kernel_shape is perhaps said as well."""
    group, c, m = channels(s)
    view = window(s, spatial_rank(s))
    if s.coin():
        s.set("kernel_shape", list(view.kernel))
    return group, c, m, view


@shape_rule("Conv")
def conv(s: Sketch) -> list[Any]:
    """X [N, C, size…], W [M, C/group, kernel…] and perhaps B [M]."""
    group, c, m, view = layer(s)
    x = s.tensor((batch(s), group * c, *view.size))
    return [x, s.tensor((group * m, c, *view.kernel)), s.tensor((group * m,)) if s.coin() else None]


@shape_rule("ConvInteger")
def conv_integer(s: Sketch) -> list[Any]:
    """As Conv, of 8-bit integers of either kind, with zero points; that of W is a scalar or one a channel."""
    group, c, m, view = layer(s)
    second = s.input_dtype("w")
    left: Array | None = s.tensor(()) if s.coin() else None
    right = s.tensor((group * m,) if s.coin() else (), second) if s.coin() else None
    x = s.tensor((batch(s), group * c, *view.size))
    return [x, s.tensor((group * m, c, *view.kernel), second), left, right]


@shape_rule("QLinearConv")
def qlinear_conv(s: Sketch) -> list[Any]:
    """X, W and Y with scales and zero points, those of W one in all or one a channel; perhaps B in int32."""
    group, c, m, view = layer(s)
    per_channel = (group * m,) if s.coin() else s.choose((), (1,))
    x, w = (batch(s), group * c, *view.size), (group * m, c, *view.kernel)
    inputs = [
        *quantized(s, x, "x", s.choose((), (1,))),
        *quantized(s, w, "w", per_channel),
        *quantized(s, None, "y", s.choose((), (1,)), terms=c * math.prod(view.kernel)),
    ]
    return [*inputs, s.tensor((group * m,), s.input_dtype("B")) if s.coin() else None]


@shape_rule("ConvTranspose")
def conv_transpose(s: Sketch) -> list[Any]:
    """X [N, C, size…], W [C, M/group, kernel…] and perhaps B [M]."""
    group, c, m = channels(s)
    rank = spatial_rank(s)
    kernel = [s.choose(1, 2, 3) for _ in range(rank)]
    strides = per_axis(s, "strides", rank, (1, 2, 3), 1)
    dilations = per_axis(s, "dilations", rank, (1, 2), 1)
    size = [s.choose(*OUTPUTS[rank - 1][:5]) for _ in range(rank)]
    extra = [0] * rank
    if s.coin():
        extra = s.set(
            "output_padding", [s.integer(0, max(step, gap) - 1) for step, gap in zip(strides, dilations, strict=True)]
        )
    full = [
        step * (n - 1) + more + (k - 1) * gap + 1
        for step, n, more, k, gap in zip(strides, size, extra, kernel, dilations, strict=True)
    ]
    transposed_padding(s, full)
    if s.coin():
        s.set("kernel_shape", kernel)
    inputs = [s.tensor((batch(s), group * c, *size)), s.tensor((group * c, m, *kernel))]
    return [*inputs, s.tensor((group * m,)) if s.coin() else None]


def transposed_padding(s: Sketch, full: list[int]) -> None:
    """Pads that leave an output of at least 1, an output shape, or automatic padding. `full`: sizes without padding."""
    match s.choose("none", "pads", "output_shape", "auto_pad"):
        case "pads":
            begins = [s.integer(0, min(2, n - 1)) for n in full]
            ends = [s.integer(0, min(2, n - 1 - begin)) for n, begin in zip(full, begins, strict=True)]
            s.set("pads", [*begins, *ends])
        case "output_shape":
            s.set("output_shape", [s.integer(max(1, n - 3), n) for n in full])
            s.attribute("auto_pad", "NOTSET", "SAME_UPPER", "SAME_LOWER")
        case "auto_pad":
            s.attribute("auto_pad", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")


@shape_rule("DeformConv")
def deform_conv(s: Sketch) -> list[Any]:
    """X, W, an offset for every kernel position of every output, and perhaps B and a mask."""
    group, c, m, view = layer(s)
    rank = len(view.kernel)
    pads = s.attributes.get("pads", [0] * (2 * rank))
    output = [
        (view.size[i] + pads[i] + pads[rank + i] - (view.kernel[i] - 1) * view.dilations[i] - 1) // view.strides[i] + 1
        for i in range(rank)
    ]
    divisors = [n for n in range(1, group * c + 1) if group * c % n == 0]
    groups = s.attribute("offset_group", *divisors[:3], divisors[-1])
    taps = int(np.prod(view.kernel))
    n = batch(s)
    inputs = [s.tensor((n, group * c, *view.size)), s.tensor((group * m, c, *view.kernel))]
    offset = s.tensor((n, groups * taps * rank, *output), specials=s.choose(False, False, True))
    bias = s.tensor((group * m,)) if s.coin() else None
    return [*inputs, offset, bias, s.tensor((n, groups * taps, *output)) if s.coin() else None]


@shape_rule("CausalConvWithState")
def causal_conv_with_state(s: Sketch) -> list[Any]:
    """A sequence [N, C, L] shorter or longer than what the kernel remembers, with or without bias and past."""
    n, channels, taps = batch(s), s.choose(1, 2, 3, 17), s.choose(3, 1, 2, 4, 7)
    s.attribute("activation", "none", "silu", "swish")
    x = s.tensor((n, channels, s.choose(4, 1, 2, 0, 9, 17, 37)))
    s.n_outputs = s.choose(2, 1)
    bias = s.tensor((channels,)) if s.coin() else None
    return [x, s.tensor((channels, 1, taps)), bias, s.tensor((n, channels, taps - 1)) if s.coin() else None]


@shape_rule("Col2Im")
def col2im(s: Sketch) -> list[Any]:
    """Columns of as many blocks as the image has. Blocks of strings do not overlap."""
    rank = int(s.choose(2, 1, 3))
    block = [s.choose(1, 2, 3) for _ in range(rank)]
    if s.dtype == object:
        strides, dilations = tuple(s.set("strides", block)), (1,) * rank
    else:
        strides = per_axis(s, "strides", rank, (1, 2, 3), 1)
        dilations = per_axis(s, "dilations", rank, (1, 2), 1)
    pads = per_axis(s, "pads", 2 * rank, (0, 1, 2), 0)
    image, blocks = [], []
    for axis in range(rank):
        extent = (block[axis] - 1) * dilations[axis] + 1
        padding = pads[axis] + pads[rank + axis]
        wanted = s.choose(1, 2, 3, 5, *((17, 37) if rank == 1 else ()))
        image.append(max(1, (wanted - 1) * strides[axis] + extent + s.integer(0, strides[axis] - 1) - padding))
        blocks.append((image[axis] + padding - extent) // strides[axis] + 1)
    columns = s.tensor((batch(s), s.choose(1, 2, 3) * int(np.prod(block)), int(np.prod(blocks))))
    return [columns, np.array(image, np.int64), np.array(block, np.int64)]
