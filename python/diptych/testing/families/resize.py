"""Resize and Upsample: scales or sizes, along all or some axes, in every mode of the version at hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array, is_floating

SCALES = (2.0, 1.0, 0.5, 1.5, 0.7, 3.0, 2.3, 0.3)
COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_crop_and_resize")


@shape_rule("Resize")
def resize(s: Sketch) -> list[Any]:
    """X, a region of interest, and scales or sizes."""
    x = s.shape((1, 4), limit=200, least=s.choose(1, 1, 1, 0))
    modes = ("nearest", "linear", *(("cubic",) if s.since >= 11 else ()))
    mode = s.attribute("mode", *(modes if is_number(s) else modes[:1]))
    if s.since == 10:
        return [s.tensor(x), scales(s, len(x))]
    coordinates = s.attribute("coordinate_transformation_mode", *coordinate_modes(s))
    s.attribute("nearest_mode", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    s.attribute("cubic_coeff_a", -0.75, -0.5)
    s.attribute("exclude_outside", 0, 1)
    s.attribute("extrapolation_value", 0.0, 10.0, -1.5)
    if mode in ("linear", "cubic"):
        s.attribute("antialias", 0, 1)
    axes = list(range(len(x)))
    if "axes" in s.row.attributes and s.coin():
        axes = shapes.permutation(s.draw, len(x))[: s.integer(1, len(x))]
        s.set("axes", [axis - len(x) if s.coin() else axis for axis in axes])
    region = roi(s, len(axes), needed=coordinates == "tf_crop_and_resize")
    return [s.tensor(x), region, *scales_or_sizes(s, [x[axis] for axis in axes])]


@shape_rule("Upsample")
def upsample(s: Sketch) -> list[Any]:
    """X with scales of at least 1: an input, a list, or two numbers for the last two of four axes."""
    modes = ("nearest", "bilinear" if s.since == 1 else "linear")
    s.attribute("mode", *(modes if is_number(s) else modes[:1]))
    choices = (2.0, 1.0, 1.5, 3.0, 2.3)
    if s.since == 1:
        s.set("height_scale", s.choose(*choices))
        s.set("width_scale", s.choose(*choices))
        return [s.tensor(tuple(s.choose(1, 2, 3, 5) for _ in range(4)))]
    x = s.shape((1, 4), limit=100, least=s.choose(1, 1, 1, 0))
    given = [s.choose(*choices) for _ in x]
    if s.since == 7:
        s.set("scales", given)
        return [s.tensor(x)]
    return [s.tensor(x), np.array(given, np.float32)]


def is_number(s: Sketch) -> bool:
    """Whether elements can be interpolated."""
    return is_floating(s.dtype) or s.dtype.kind in "iu"


def coordinate_modes(s: Sketch) -> tuple[str, ...]:
    """The coordinate transformations of this version that the dtype allows."""
    known = COORDINATES if is_number(s) else COORDINATES[:-1]
    return (
        (*known, "tf_half_pixel_for_nn")
        if s.since == 11
        else (*known, "half_pixel_symmetric")
        if s.since >= 19
        else known
    )


def scales(s: Sketch, count: int) -> Array:
    """One scale an axis."""
    return np.array([s.choose(*SCALES) for _ in range(count)], dtype=np.float32)


def roi(s: Sketch, count: int, needed: bool) -> Array | None:
    """Starts and ends of the region; where it is not needed, empty or absent."""
    if not needed:
        return np.zeros(0, s.input_dtype("roi")) if s.since == 11 or s.coin() else None
    starts = [s.choose(0.0, 0.25, 0.4, -0.5) for _ in range(count)]
    ends = [s.choose(1.0, 0.75, 0.6, 1.5) for _ in range(count)]
    return np.array([*starts, *ends]).astype(s.input_dtype("roi"))


def scales_or_sizes(s: Sketch, lengths: list[int]) -> list[Array | None]:
    """Scales, or sizes beside empty or absent scales."""
    if not s.coin():
        return [scales(s, len(lengths))]
    s.attribute("keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller")
    sizes = np.array([s.integer(1, 9) if n else 0 for n in lengths], dtype=np.int64)
    return [np.zeros(0, np.float32) if s.since == 11 or s.coin() else None, sizes]
