"""Transpose."""

from __future__ import annotations

from collections.abc import Sequence

from diptych_reference.errors import ShapeError
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape.arguments import normalize_axes


@operator("Transpose", since=(1, 13, 21, 23, 24, 25))
def transpose(data: Array, *, perm: Sequence[int] | None = None) -> Array:
    """Output dimension i is input dimension `perm[i]`; without `perm` the dimensions are reversed."""
    order = list(range(data.ndim))[::-1] if perm is None else normalize_axes(perm, data.ndim)
    if len(order) != data.ndim:
        raise ShapeError(f"perm {order} is no permutation of the axes of shape {list(data.shape)}")
    return data.transpose(order)
