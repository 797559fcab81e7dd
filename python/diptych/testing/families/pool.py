"""Pools: the windows of convolutions, without weights."""

from __future__ import annotations

from typing import Any

from diptych.testing.families.conv import OUTPUTS, batch, spatial_rank, window
from diptych.testing.sketch import Sketch, shape_rule


@shape_rule("AveragePool", "MaxPool")
def pool(s: Sketch) -> list[Any]:
    """X [N, C, size…]."""
    view = window(s, spatial_rank(s))
    s.set("kernel_shape", list(view.kernel))
    for name in ("ceil_mode", "count_include_pad", "storage_order"):
        s.attribute(name, 0, 1)
    s.n_outputs = s.integer(1, s.row.schema.max_output)
    return [s.tensor((batch(s), s.choose(1, 2, 3, 17), *view.size))]


@shape_rule("GlobalAveragePool", "GlobalMaxPool")
def global_pool(s: Sketch) -> list[Any]:
    """X [N, C, size…]; a size of 37 x 37 and one beyond a chunk of 4096 terms are among them."""
    rank = spatial_rank(s)
    size = s.choose(tuple(s.choose(*OUTPUTS[rank - 1], 0) for _ in range(rank)), (37,) * rank if rank < 3 else (2,) * 3)
    long = s.choose(False, False, False, False, False, True)
    return [s.tensor((1, 2, 4097) if long else (batch(s), s.choose(1, 2, 3, 17), *size))]
