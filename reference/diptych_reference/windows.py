"""Sliding windows of convolutions and pools: attributes, output sizes, views of the input at a kernel position.

Spatial sizes are per axis, in the order of the input's axes 2 and up. Padding is (begin, end) for each axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diptych_reference.errors import InvalidModelError, ShapeError

Array = NDArray[Any]


@dataclass(frozen=True)
class Windows:
    """Windows of `kernel` positions, `dilations` apart, that start every `strides` in the padded input."""

    size: tuple[int, ...]  # of the input
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    output: tuple[int, ...]

    @property
    def overhang(self) -> tuple[int, ...]:
        """How far the last window reaches beyond the padded input (ceil_mode), at least 0."""
        last = zip(self.output, self.strides, self.kernel, self.dilations, self.size, self.pads, strict=True)
        return tuple(max(0, (o - 1) * s + (k - 1) * d + 1 - n - b - e) for o, s, k, d, n, (b, e) in last)

    def pad(self, x: Array, value: Any) -> Array:
        """`x` [N, C, size…] with padding and overhang filled by `value`."""
        reach = [(b, e + extra) for (b, e), extra in zip(self.pads, self.overhang, strict=True)]
        lead = [(0, 0)] * (x.ndim - len(self.size))
        return np.pad(x, [*lead, *reach], constant_values=value)

    def positions(self) -> Iterator[tuple[int, ...]]:
        """Kernel positions in row-major order."""
        return product(*map(range, self.kernel))

    def at(self, padded: Array, position: tuple[int, ...]) -> Array:
        """View [N, C, output…]: what each window sees at a kernel position."""
        steps = zip(position, self.dilations, self.strides, self.output, strict=True)
        seen = tuple(slice(p * d, p * d + s * (o - 1) + 1 if o else p * d, s) for p, d, s, o in steps)
        return padded[(slice(None),) * (padded.ndim - len(seen)) + seen]


def per_axis(name: str, values: Sequence[int] | None, default: int, rank: int, least: int) -> tuple[int, ...]:
    """An attribute with one value an axis, or its default."""
    found = tuple(values) if values else (default,) * rank
    if len(found) != rank or min(found, default=least) < least:
        raise InvalidModelError(f"{name} {list(found)}: expected {rank} values of at least {least}")
    return found


def explicit_pads(pads: Sequence[int] | None, rank: int) -> tuple[tuple[int, int], ...]:
    """ONNX's [begin…, end…] as pairs."""
    flat = per_axis("pads", pads, 0, 2 * rank, 0)
    return tuple(zip(flat[:rank], flat[rank:], strict=True))


def split_padding(total: int, auto_pad: str) -> tuple[int, int]:
    """Total padding of an axis as (begin, end): the odd one goes to the end for SAME_UPPER, else to the begin."""
    small, large = total // 2, total - total // 2
    return (small, large) if auto_pad == "SAME_UPPER" else (large, small)


def check_auto_pad(auto_pad: str) -> None:
    """InvalidModelError unless `auto_pad` is one of ONNX's words."""
    if auto_pad not in ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"):
        raise InvalidModelError(f"auto_pad {auto_pad!r}: expected NOTSET, SAME_UPPER, SAME_LOWER or VALID")


def windows(
    size: tuple[int, ...],
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
) -> Windows:
    """Resolve the attributes of Conv, AveragePool and MaxPool for an input of spatial `size`."""
    rank = len(size)
    kernel = per_axis("kernel_shape", kernel_shape, 1, rank, 1)
    step = per_axis("strides", strides, 1, rank, 1)
    dilation = per_axis("dilations", dilations, 1, rank, 1)
    check_auto_pad(auto_pad)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if auto_pad.startswith("SAME"):
        output = tuple(-(-n // s) for n, s in zip(size, step, strict=True))
        totals = [max(0, (o - 1) * s + e - n) for o, s, e, n in zip(output, step, extent, size, strict=True)]
        return Windows(size, kernel, step, dilation, tuple(split_padding(t, auto_pad) for t in totals), output)
    padding = explicit_pads(pads if auto_pad == "NOTSET" else None, rank)
    sizes = zip(size, padding, extent, step, strict=True)
    output = tuple(output_size(n, b, e, extent, s, ceil_mode) for n, (b, e), extent, s in sizes)
    if min(output, default=0) < 0:
        raise ShapeError(f"the kernel covers {extent}, more than the padded input of size {list(size)}")
    return Windows(size, kernel, step, dilation, padding, output)


def output_size(size: int, begin: int, end: int, extent: int, stride: int, ceil_mode: int) -> int:
    """Number of windows along an axis; with ceil_mode also a last partial one, unless it starts in the end padding."""
    room = size + begin + end - extent
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + begin:
        count -= 1
    return count
