"""Convolutions: one chain of fused multiply-adds for each output element (docs/numerics.md, section 4).

The order of a chain: input channels of the group in blocks of 16; in a block the kernel positions in row-major order;
in a position the channels of the block. So a block of 16 channels at one position is one vector of the right panel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.numerics import fma, fma_chain, sigmoid, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.matmul import round_back
from diptych_reference.ops.quantization import check_granularity, requantized
from diptych_reference.windows import check_auto_pad, explicit_pads, per_axis, split_padding, windows

BLOCK = 16  # channels


@operator("Conv", since=(1, 11, 22))
def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """`x` [N, C, size…] with `w` [M, C/group, kernel…] and `b` [M] -> [N, M, output…]; padding is +0."""
    check_weights(x, w, kernel_shape, group, channels=w.shape[1] * group if w.ndim > 1 else 0)
    view = windows(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad)
    n, m, per_group = x.shape[0], w.shape[0], w.shape[1]
    padded = view.pad(widen(x), 0).reshape(n, group, per_group, *padded_size(view.pads, x.shape[2:], view.overhang))
    weights = widen(w).reshape(group, m // group, per_group, *view.kernel)
    acc = np.zeros((n, group, m // group, *view.output), padded.dtype)
    for block in blocks(per_group if acc.size else 0):
        for position in view.positions():
            chosen: tuple[Any, ...] = (slice(None), slice(None), block, *position)
            factors = np.moveaxis(weights[chosen], 2, 0)  # [block, G, M/G]
            acc = continued(acc, view.at(padded[:, :, block], position), factors)
    return with_bias(acc.reshape(n, m, *view.output), b, x.dtype)


def continued(acc: Array, inputs: Array, factors: Array) -> Array:
    """The chains `acc` [N, G, M/G, size…], each continued over the channels of a block.

    `inputs` [N, G, block, size…] is what they meet at one kernel position, `factors` [block, G, M/G] the weights there.
    """
    terms = np.moveaxis(inputs, 2, 0)[:, :, :, None]  # [block, N, G, 1, size…]
    return fma_chain(terms, factors.reshape(factors.shape + (1,) * (acc.ndim - 3)), acc)


def padded_size(pads: tuple[tuple[int, int], ...], size: tuple[int, ...], overhang: tuple[int, ...]) -> tuple[int, ...]:
    """Spatial size after padding."""
    return tuple(n + b + e + extra for n, (b, e), extra in zip(size, pads, overhang, strict=True))


def blocks(channels: int) -> Iterator[slice]:
    """Channels of a group in blocks of 16, the last one short."""
    for start in range(0, channels, BLOCK):
        yield slice(start, min(start + BLOCK, channels))


def with_bias(acc: Array, bias: Array | None, dtype: np.dtype[np.generic]) -> Array:
    """`rn(acc + bias)` for each channel, rounded once to the output's type."""
    if bias is not None:
        if bias.shape != acc.shape[1:2]:
            raise ShapeError(f"bias of shape {list(bias.shape)} for {acc.shape[1]} output channels")
        acc = acc + widen(bias).reshape(-1, *(1,) * (acc.ndim - 2))
    return round_back(acc, dtype)


def check_weights(x: Array, w: Array, kernel_shape: Sequence[int] | None, group: int, channels: int) -> None:
    """Ranks, channels and groups must agree."""
    if x.ndim < 3 or w.ndim != x.ndim:
        raise ShapeError(f"X and W have shapes {list(x.shape)} and {list(w.shape)}, expected one rank of at least 3")
    if group < 1 or channels != x.shape[1] or w.shape[0] % group or x.shape[1] % group:
        raise ShapeError(f"{x.shape[1]} input channels, weights {list(w.shape)} and group {group} do not fit together")
    if kernel_shape and tuple(kernel_shape) != w.shape[2:]:
        raise InvalidModelError(f"kernel_shape {list(kernel_shape)}, but W has shape {list(w.shape)}")


@operator("ConvInteger", since=10)
def conv_integer(
    x: Array,
    w: Array,
    x_zero_point: Array | None = None,
    w_zero_point: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Conv of `x - x_zero_point` and `w - w_zero_point` (a scalar, or one an output channel) in wrapping int32."""
    left, right = x.astype(np.int32), w.astype(np.int32)
    if x_zero_point is not None:
        if x_zero_point.size != 1:
            raise ShapeError(f"x_zero_point of shape {list(x_zero_point.shape)}, expected a scalar")
        left = left - x_zero_point.astype(np.int32).reshape(())
    if w_zero_point is not None:
        right = right - w_zero_point.astype(np.int32).reshape(-1, *(1,) * (w.ndim - 1))
    if right.shape != w.shape:
        raise ShapeError(f"w_zero_point for weights of shape {list(w.shape)}")
    return conv(
        left,
        right,
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )


@operator("QLinearConv", since=10)
def qlinear_conv(
    x: Array,
    x_scale: Array,
    x_zero_point: Array,
    w: Array,
    w_scale: Array,
    w_zero_point: Array,
    y_scale: Array,
    y_zero_point: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """ConvInteger, `+ b` in wrapping int32, then requantized to y's scale and type.

    Scales and zero points are scalars; those of w may be one an output channel. Padding is x's zero point.
    """
    if x_scale.size != 1:
        raise ShapeError(f"x_scale of shape {list(x_scale.shape)}, expected a scalar")
    check_granularity(w_scale, w_zero_point)
    acc = conv_integer(
        x,
        w,
        x_zero_point,
        w_zero_point,
        auto_pad=auto_pad,
        dilations=dilations,
        group=group,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    acc = with_bias(acc, b, acc.dtype)
    channels = w_scale.reshape(-1, *(1,) * (acc.ndim - 2))
    return requantized(acc, x_scale.reshape(()), channels, y_scale, y_zero_point)


@operator("ConvTranspose", since=(1, 11, 22))
def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """`x` [N, C, size…] with `w` [C, M/group, kernel…] -> [N, M, output…].

    Output `o` gathers the kernel positions `k` for which `o + pad - k * dilation` is the stride times an input
    position. For one `k` those outputs are `stride` apart, so each step of the chain runs on a strided view of the
    accumulators.
    """
    check_weights(x, w, kernel_shape, group, channels=w.shape[0])
    rank, size, kernel = x.ndim - 2, x.shape[2:], w.shape[2:]
    stride, dilation = per_axis("strides", strides, 1, rank, 1), per_axis("dilations", dilations, 1, rank, 1)
    extra = per_axis("output_padding", output_padding, 0, rank, 0)
    steps = zip(size, kernel, stride, dilation, extra, strict=True)
    full = [s * (n - 1) + e + (k - 1) * d + 1 for n, k, s, d, e in steps]
    output, begins = transposed_size(size, full, stride, auto_pad, output_shape, pads)
    n, per_group, m = x.shape[0], x.shape[1] // group, w.shape[1]
    inputs = widen(x).reshape(n, group, per_group, *size)
    weights = widen(w).reshape(group, per_group, m, *kernel)
    acc = np.zeros((n, group, m, *output), inputs.dtype)
    for block in blocks(per_group if acc.size else 0):
        for position in np.ndindex(*kernel):
            offsets = [p * d - begin for p, d, begin in zip(position, dilation, begins, strict=True)]
            hits = [hit(*axis) for axis in zip(size, output, stride, offsets, strict=True)]
            source = (slice(None), slice(None), block, *(read for read, _ in hits))
            target = (slice(None), slice(None), slice(None), *(write for _, write in hits))
            factors = np.moveaxis(weights[(slice(None), block, slice(None), *position)], 1, 0)  # [block, G, M/G]
            acc[target] = continued(acc[target], inputs[source], factors)
    return with_bias(acc.reshape(n, group * m, *output), b, x.dtype)


def hit(size: int, output: int, stride: int, offset: int) -> tuple[slice, slice]:
    """Inputs i and outputs `i * stride + offset` along one axis, for all i that land inside the output."""
    first = max(0, -(offset // stride))  # the least i with i * stride + offset >= 0
    last = min(size, (output - 1 - offset) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


def transposed_size(
    size: tuple[int, ...],
    full: list[int],
    stride: tuple[int, ...],
    auto_pad: str,
    output_shape: Sequence[int] | None,
    pads: Sequence[int] | None,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Output sizes and padding at the begin. `full` are the sizes without padding."""
    check_auto_pad(auto_pad)
    rank = len(size)
    if output_shape or auto_pad.startswith("SAME"):
        wanted = [n * s for n, s in zip(size, stride, strict=True)]
        output = per_axis("output_shape", output_shape[-rank:] if output_shape else wanted, 0, rank, 0)
        totals = (max(0, f - o) for f, o in zip(full, output, strict=True))
        return output, tuple(split_padding(total, auto_pad)[0] for total in totals)
    padding = explicit_pads(pads if auto_pad == "NOTSET" else None, rank)
    output = tuple(max(0, f - b - e) for f, (b, e) in zip(full, padding, strict=True))
    return output, tuple(begin for begin, _ in padding)


@operator("CausalConvWithState", since=27)
def causal_conv_with_state(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    past_state: Array | None = None,
    *,
    activation: str = "none",
) -> tuple[Array, Array]:
    """`input` [N, C, L] behind `past_state` [N, C, k-1] (+0), each channel with its kernel of `weight` [C, 1, k].

    One chain over the k positions from +0, then `+ bias`; with activation silu (or swish) `rn(a * sigmoid(a))` of that.
    The second output is the last k - 1 elements of past and input, the next call's past_state.
    """
    if activation not in ("none", "silu", "swish"):
        raise InvalidModelError(f"activation {activation!r}: expected none, silu or swish")
    if input.ndim != 3 or weight.ndim != 3 or weight.shape[:2] != (input.shape[1], 1) or weight.shape[2] < 1:
        raise ShapeError(f"input and weight have shapes {list(input.shape)} and {list(weight.shape)}, expected C, 1, k")
    n, channels, length = input.shape
    k = weight.shape[2]
    past = np.zeros((n, channels, k - 1), input.dtype) if past_state is None else past_state
    if past.shape != (n, channels, k - 1):
        raise ShapeError(f"past_state has shape {list(past.shape)}, expected {[n, channels, k - 1]}")
    sequence = np.concatenate([past, input], axis=2)
    acc = np.zeros(input.shape, widen(input).dtype)
    for position in range(k):
        acc = fma(widen(sequence[:, :, position : position + length]), widen(weight[:, :, position]), acc)
    if bias is not None:
        if bias.shape != (channels,):
            raise ShapeError(f"bias of shape {list(bias.shape)} for {channels} channels")
        acc = acc + widen(bias)[:, None]
    result = acc if activation == "none" else acc * sigmoid(acc)
    return round_back(result, input.dtype), sequence[:, :, length:].copy()
