"""Resize: sampling a tensor at other places along some of its axes.

Rounding program. Coordinates and weights are computed in binary64, each operation rounded, in the order written below
(`source`, `taps`), then each weight is rounded once: to binary64 for double and for integers of 32 and 64 bits, else to
binary32. Linear and cubic work axis by axis in increasing order, on values of that wider type: `acc = rn(w_0 * x_0)`,
then `acc = rn(acc + rn(w_k * x_k))` in the order of the taps; taps outside read the nearest edge, taps of weight 0 take
part. After the last axis results are rounded once to the type, for integers to nearest even, saturating. An axis that
keeps its length, with scale 1 and no crop, is not touched. Nearest moves elements, of any type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.numerics.conversion import is_float, round_to, to_integer
from diptych_reference.operator import Array, operator
from diptych_reference.ops.shape import integers, normalize_axes

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize")
POLICIES = ("stretch", "not_larger", "not_smaller")


@dataclass(frozen=True)
class Settings:
    """The attributes that say how to sample, checked."""

    mode: str
    coordinates: str
    nearest_mode: str = "round_prefer_floor"
    cubic_coeff_a: float = -0.75
    exclude_outside: bool = False
    extrapolation_value: float = 0.0
    antialias: bool = False

    def check(self, coordinates: Sequence[str]) -> None:
        """Raise on a value that this version of the operator does not know."""
        for name, value, known in (
            ("mode", self.mode, ("nearest", "linear", "cubic")),
            ("coordinate_transformation_mode", self.coordinates, coordinates),
            ("nearest_mode", self.nearest_mode, ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
        ):
            if value not in known:
                raise InvalidModelError(f"{name} is {value!r}, expected one of {sorted(known)}")
        if self.antialias and self.mode == "nearest":
            raise InvalidModelError("antialias is for the modes linear and cubic")


@dataclass(frozen=True)
class Axis:
    """One axis to be resized.

    Its scale is a fraction, so that sizes need no rounding: output size / input length, or the given scale / 1.
    """

    axis: int
    length: int
    ratio: tuple[float, float]
    resized: int  # the output length
    roi: tuple[float, float]

    @property
    def scale(self) -> float:
        """The scale, rounded once."""
        return self.ratio[0] / self.ratio[1]

    @property
    def extent(self) -> float:
        """The output length before it became an integer."""
        return self.length * self.ratio[0] / self.ratio[1]

    def unscale(self, x: Array) -> Array:
        """`x / scale`."""
        return x * self.ratio[1] / self.ratio[0]


@operator("Resize", since=10)
def resize_10(x: Array, scales: Array, *, mode: str = "nearest") -> Array:
    """`x` sampled at `x_resized / scale`; nearest takes the element below (left open by the spec; so did Upsample)."""
    settings = Settings(mode, "asymmetric", "floor")
    settings.check(COORDINATES)
    return resized(x, plan(x, None, scales, None, None, "stretch", settings), settings)


@operator("Upsample", since=(9, 10))
def upsample(x: Array, scales: Array, *, mode: str = "nearest") -> Array:
    """As Resize 10, which replaced it, for scales of at least 1; modes nearest and linear. Version 10 is deprecated."""
    return upsampled(x, scales, mode)


@operator("Upsample", since=7)
def upsample_7(x: Array, *, mode: str = "nearest", scales: Sequence[float]) -> Array:
    """As version 9."""
    return upsampled(x, np.array(scales, np.float32), mode)


@operator("Upsample", since=1)
def upsample_1(x: Array, *, height_scale: float, mode: str = "nearest", width_scale: float) -> Array:
    """As version 9, along the last two of four axes; linear is called bilinear."""
    if x.ndim != 4:
        raise ShapeError(f"X has shape {list(x.shape)}, expected rank 4")
    if mode not in ("nearest", "bilinear"):
        raise InvalidModelError(f"mode is {mode!r}, expected nearest or bilinear")
    scales = np.array([1, 1, height_scale, width_scale], np.float32)
    return upsampled(x, scales, "linear" if mode == "bilinear" else mode)


def upsampled(x: Array, scales: Array, mode: str) -> Array:
    """`x` sampled at `x_resized / scale`: nearest takes the element below."""
    if mode not in ("nearest", "linear"):
        raise InvalidModelError(f"mode is {mode!r}, expected nearest or linear")
    if not (scales >= 1).all():
        raise InvalidInputError(f"scales are {scales.tolist()}, expected numbers of at least 1")
    return resize_10(x, scales, mode=mode)


@operator("Resize", since=(11, 13))
def resize_11(
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
) -> Array:
    """As version 18, for all axes, without antialiasing; version 11 knows `tf_half_pixel_for_nn` as well."""
    settings = Settings(
        mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, bool(exclude_outside), extrapolation_value
    )
    settings.check((*COORDINATES, "tf_half_pixel_for_nn"))
    return resized(x, plan(x, roi, scales, sizes, None, "stretch", settings), settings)


@operator("Resize", since=(18, 19))
def resize(
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Array:
    """`x` sampled anew along `axes` (default: all), to `scales` times its lengths or to `sizes`.

    Modes: nearest, linear, cubic. `antialias` widens the filter of axes that shrink. `half_pixel_symmetric` came in 19.
    """
    settings = Settings(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        bool(exclude_outside),
        extrapolation_value,
        bool(antialias),
    )
    settings.check((*COORDINATES, "half_pixel_symmetric"))
    return resized(x, plan(x, roi, scales, sizes, axes, keep_aspect_ratio_policy, settings), settings)


def plan(
    x: Array,
    roi: Array | None,
    scales: Array | None,
    sizes: Array | None,
    axes: Sequence[int] | None,
    policy: str,
    settings: Settings,
) -> list[Axis]:
    """The axes to be resized, in increasing order."""
    along = list(range(x.ndim)) if axes is None else normalize_axes(axes, x.ndim)
    scales = None if sizes is not None and scales is not None and scales.size == 0 else scales
    if (scales is None) == (sizes is None):
        raise InvalidInputError("Resize needs either scales or sizes, not both")
    if policy not in POLICIES:
        raise InvalidModelError(f"keep_aspect_ratio_policy is {policy!r}, expected one of {POLICIES}")
    crop = crops(roi, len(along), settings)
    lengths = [x.shape[axis] for axis in along]
    outcomes = from_sizes(lengths, sizes, policy) if scales is None else from_scales(lengths, scales, crop)
    planned = [Axis(a, n, *o, c) for a, n, o, c in zip(along, lengths, outcomes, crop, strict=True)]
    changing = [p for p in planned if p.scale != 1.0 or p.resized != p.length or p.roi != (0.0, 1.0)]
    return sorted(changing, key=lambda p: p.axis)


def crops(roi: Array | None, count: int, settings: Settings) -> list[tuple[float, float]]:
    """Start and end of the region of interest along each axis; only `tf_crop_and_resize` has one."""
    if settings.coordinates != "tf_crop_and_resize":
        return [(0.0, 1.0)] * count
    if roi is None or roi.shape != (2 * count,):
        raise ShapeError(f"roi has shape {None if roi is None else list(roi.shape)}, expected [{2 * count}]")
    if not np.isfinite(roi.astype(np.float64)).all():
        raise InvalidInputError(f"roi is {roi.tolist()}, expected finite numbers")
    return [(float(roi[i]), float(roi[count + i])) for i in range(count)]


def from_scales(
    lengths: list[int], scales: Array, crop: list[tuple[float, float]]
) -> list[tuple[tuple[float, float], int]]:
    """Ratio and output length: `floor(length * (roi_end - roi_start) * scale)` in binary32, as ONNX infers it."""
    if scales.shape != (len(lengths),):
        raise ShapeError(f"scales have shape {list(scales.shape)}, expected [{len(lengths)}]")
    outcomes = []
    for length, scale, (start, end) in zip(lengths, scales, crop, strict=True):
        if not (scale > 0 and math.isfinite(scale)):
            raise InvalidInputError(f"a scale is {scale}, expected a positive number")
        size = np.float32(length) * np.float32(end - start) * scale
        if not 0 <= size < 2.0**63:
            raise InvalidInputError(f"length {length}, region {start} to {end} and scale {scale} give no output length")
        outcomes.append(((float(scale), 1.0), int(np.floor(size))))
    return outcomes


def from_sizes(lengths: list[int], sizes: Array | None, policy: str) -> list[tuple[tuple[float, float], int]]:
    """Ratio and output length. With an aspect ratio to keep, all axes get the least or the greatest ratio."""
    wanted = integers([] if sizes is None else sizes, "sizes")
    if len(wanted) != len(lengths) or any(n < 0 for n in wanted):
        raise ShapeError(f"sizes are {wanted}, expected {len(lengths)} lengths >= 0")
    if any(n == 0 < size for n, size in zip(lengths, wanted, strict=True)):
        raise ShapeError(f"lengths {lengths} cannot become {wanted}: an empty axis has nothing to sample")
    ratios = [(size, n) if n else (1, 1) for n, size in zip(lengths, wanted, strict=True)]
    if policy == "stretch" or not ratios:
        return list(zip(ratios, wanted, strict=True))
    size, n = (min if policy == "not_larger" else max)(ratios, key=lambda ratio: Fraction(*ratio))
    return [((size, n), (2 * size * length + n) // (2 * n)) for length in lengths]  # halves go up


def source(axis: Axis, settings: Settings) -> Array:
    """Coordinates in the input of the outputs 0, 1, … along `axis`, in binary64."""
    x = np.arange(axis.resized).astype(np.float64)
    if axis.resized == 0:  # an extent of 0 divides nothing
        return x
    start, end = axis.roi
    match settings.coordinates:
        case "asymmetric":
            return axis.unscale(x)
        case "tf_half_pixel_for_nn":
            return axis.unscale(x + 0.5)
        case "align_corners" | "pytorch_half_pixel" if axis.resized <= 1:
            return np.zeros_like(x)
        case "align_corners":
            return x * (axis.length - 1) / (axis.extent - 1)
        case "tf_crop_and_resize" if axis.resized > 1:
            return start * (axis.length - 1) + x * (end - start) * (axis.length - 1) / (axis.resized - 1)
        case "tf_crop_and_resize":
            return np.full_like(x, 0.5 * (start + end) * (axis.length - 1))
        case "half_pixel_symmetric":
            offset = axis.length / 2 * (1 - axis.resized / axis.extent)
            return offset + axis.unscale(x + 0.5) - 0.5
    return axis.unscale(x + 0.5) - 0.5  # half_pixel, pytorch_half_pixel


def nearest(x: Array, mode: str) -> Array:
    """The integers nearest to `x`; the mode says where a half goes, or which side to take always."""
    below = np.floor(x)
    part = x - below
    up = {"round_prefer_floor": part > 0.5, "round_prefer_ceil": part >= 0.5, "floor": part < 0, "ceil": part > 0}[mode]
    return np.asarray(below + up)


def kernel(t: Array, settings: Settings) -> Array:
    """The weight of a tap at the distances `t` >= 0: a tent, or Keys' cubic with coefficient a."""
    if settings.mode == "linear":
        return np.asarray(np.maximum(1 - t, 0))
    a = settings.cubic_coeff_a
    inner = ((a + 2) * t - (a + 3)) * t * t + 1
    outer = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))


def taps(axis: Axis, settings: Settings) -> tuple[Array, Array]:
    """Input positions and weights (binary64) of each output along `axis`: [resized, taps] each.

    Taps are the elements floor(x) + 1 - h .. floor(x) + h around the coordinate x, where h is the filter's half width.
    """
    x = source(axis, settings)
    below = np.floor(x)
    part = x - below
    squeeze = min(axis.scale, 1.0) if settings.antialias else 1.0
    if squeeze * axis.length < 0.5:  # possible with a large region of interest only; the filter would have no bound
        raise InvalidInputError(f"antialias: scale {axis.scale} leaves less than half an element of axis {axis.axis}")
    half = math.ceil((1 if settings.mode == "linear" else 2) / squeeze)
    i = np.arange(1 - half, half + 1).astype(np.float64)
    weights = kernel(np.abs(i - part[:, None]) * squeeze, settings)
    if settings.antialias:
        weights = weights / total(weights)
    where = below[:, None] + i
    if settings.exclude_outside:
        weights = np.where((where >= 0) & (where < axis.length), weights, 0.0)
        weights = weights / total(weights)
    return np.clip(where, 0, axis.length - 1).astype(np.int64), weights


def total(weights: Array) -> Array:
    """Sum over the taps, one after the other, as a column; 1 where it is 0 (no tap is left)."""
    result = weights[:, :1]
    for k in range(1, weights.shape[1]):
        result = result + weights[:, k : k + 1]
    return np.where(result == 0, 1.0, result)


def resized(x: Array, axes: list[Axis], settings: Settings) -> Array:
    """`x` sampled along each of `axes`."""
    if settings.mode == "nearest":
        result = x
        for axis in axes:
            picked = np.clip(nearest(source(axis, settings), settings.nearest_mode), 0, axis.length - 1)
            result = np.take(result, picked.astype(np.int64), axis=axis.axis)
    else:
        result = interpolated(x, axes, settings)
    if settings.coordinates == "tf_crop_and_resize":
        if x.dtype.kind not in "biuf" and not is_float(x.dtype):
            raise InvalidTypeError(f"tf_crop_and_resize fills with a number, the elements are of {x.dtype}")
        value = narrowed(np.array(settings.extrapolation_value), x.dtype)
        result = np.where(outside(result.ndim, axes, settings), value, result).astype(x.dtype, copy=False)
    return result


def interpolated(x: Array, axes: list[Axis], settings: Settings) -> Array:
    """Linear and cubic: a weighted sum of taps along one axis after the other."""
    if not (is_float(x.dtype) or x.dtype.kind in "iu"):
        raise InvalidTypeError(f"mode {settings.mode!r} is defined for numbers, not for {x.dtype}")
    double = x.dtype == np.float64 or (x.dtype.kind in "iu" and x.dtype.itemsize >= 4)
    values = x.astype(np.float64 if double else np.float32)
    for axis in axes:
        dims = list(values.shape)
        dims[axis.axis] = axis.resized
        if math.prod(dims) == 0:
            values = np.zeros(dims, values.dtype)
            continue
        where, weights = taps(axis, settings)
        column = [1] * values.ndim
        column[axis.axis] = axis.resized
        factors = weights.astype(values.dtype).T.reshape(-1, *column)
        acc = factors[0] * np.take(values, where[:, 0], axis=axis.axis)
        for k in range(1, len(factors)):
            acc = acc + factors[k] * np.take(values, where[:, k], axis=axis.axis)
        values = acc
    return narrowed(values, x.dtype)


def narrowed(values: Array, dtype: np.dtype[np.generic]) -> Array:
    """Computed `values` as `dtype`: rounded once; integers to nearest even, saturating, NaN to 0; bool by `!= 0`."""
    if dtype == np.bool_:
        return np.asarray(values != 0)
    return round_to(values, dtype) if is_float(dtype) else to_integer(np.rint(values), dtype)


def outside(rank: int, axes: list[Axis], settings: Settings) -> Array:
    """Which outputs have a coordinate before the first or behind the last element of an axis."""
    mask = np.zeros((1,) * rank, dtype=np.bool_)
    for axis in axes:
        x = source(axis, settings)
        column = [1] * rank
        column[axis.axis] = axis.resized
        mask = mask | ((x < 0) | (x > axis.length - 1)).reshape(column)
    return mask
