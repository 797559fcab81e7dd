"""Pools: the windows of convolutions, without weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.testing.families.conv import OUTPUTS, batch, per_axis, spatial_rank, window
from diptych.testing.sketch import Sketch, shape_rule


def norm(s: Sketch) -> None:
    """The p of a norm: an integer, in version 1 a float."""
    s.attribute("p", *((2.0, 1.0, 3.0, 0.5, 2.5) if s.since == 1 else (2, 1, 3, 4)))


@shape_rule("AveragePool", "LpPool", "MaxPool")
def pool(s: Sketch) -> list[Any]:
    """X [N, C, size…]."""
    view = window(s, spatial_rank(s))
    s.set("kernel_shape", list(view.kernel))
    for name in ("ceil_mode", "count_include_pad", "storage_order"):
        s.attribute(name, 0, 1)
    norm(s)
    s.n_outputs = s.integer(1, s.row.schema.max_output)
    return [s.tensor((batch(s), s.choose(1, 2, 3, 17), *view.size))]


@shape_rule("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")
def global_pool(s: Sketch) -> list[Any]:
    """X [N, C, size…]; a size of 37 x 37 and one beyond a chunk of 4096 terms are among them."""
    norm(s)
    rank = spatial_rank(s)
    size = s.choose(tuple(s.choose(*OUTPUTS[rank - 1], 0) for _ in range(rank)), (37,) * rank if rank < 3 else (2,) * 3)
    long = s.choose(False, False, False, False, False, True)
    return [s.tensor((1, 2, 4097) if long else (batch(s), s.choose(1, 2, 3, 17), *size))]


@shape_rule("MaxUnpool")
def max_unpool(s: Sketch) -> list[Any]:
    """X [N, C, size…], as many places in the unpooled tensor (each channel's own, or any), and perhaps its shape."""
    rank = spatial_rank(s)
    kernel = s.set("kernel_shape", [s.choose(1, 2, 3) for _ in range(rank)])
    strides = per_axis(s, "strides", rank, (1, 2, 3), 1)
    size = [s.choose(*OUTPUTS[rank - 1]) for _ in range(rank)]
    full = [(n - 1) * step + k for n, step, k in zip(size, strides, kernel, strict=True)]
    pads = [0] * (2 * rank)
    if s.coin():
        begins = [s.integer(0, min(1, n - 1)) for n in full]
        pads = s.set("pads", [*begins, *(s.integer(0, min(1, n - 1 - b)) for n, b in zip(full, begins, strict=True))])
    lead = (batch(s), s.choose(1, 2, 3))
    frame, output_shape = [n - pads[i] - pads[rank + i] for i, n in enumerate(full)], None
    if s.coin():
        wanted = [max(1, n + s.integer(-2, 3)) for n in full]
        frame = [min(n, wish) for n, wish in zip(full, wanted, strict=True)]
        output_shape = np.array([*lead, *wanted], np.int64)
    x = s.tensor((*lead, *size))
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    plane = math.prod(frame)
    if s.coin():
        places = random.integers(0, max(1, plane * math.prod(lead)), x.shape)
    else:
        homes = np.arange(math.prod(lead)).reshape(*lead, *(1,) * rank) * plane
        places = random.integers(0, plane, x.shape) + homes
    return [x, places.astype(np.int64), output_shape]
