"""Detection: regions of interest pooled from a feature map, and the choice among overlapping boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, ResourceLimitError, ShapeError
from diptych_reference.numerics import maximum, maximum_over, minimum, round_to, widen
from diptych_reference.operator import Array, operator

FARTHEST = 2.0**31  # coordinates of regions stay below
SAMPLES = 1 << 26  # of a region


@operator("MaxRoiPool", since=(1, 22))
def max_roi_pool(x: Array, rois: Array, *, pooled_shape: Sequence[int], spatial_scale: float = 1.0) -> Array:
    """Maxima of the bins of `rois` [R, 5] (image, x1, y1, x2, y2) in `x` [N, C, H, W] -> [R, C, pooled…].

    A corner is `round(rn(coordinate * spatial_scale))`, halves away from zero, in the computing type; both corners
    belong to the region, which is one element wide at least. Bin i of p in a region of n elements has its elements
    `floor(i * n / p) .. ceil((i + 1) * n / p) - 1`, in integers, as far as they are in the image. Of none: +0.
    """
    if x.ndim != 4 or rois.ndim != 2 or rois.shape[1] != 5:
        raise ShapeError(f"X and rois have shapes {list(x.shape)} and {list(rois.shape)}, expected rank 4 and [R, 5]")
    if len(pooled_shape) != 2 or min(pooled_shape) < 1:
        raise InvalidModelError(f"pooled_shape {list(pooled_shape)}: expected two values of at least 1")
    wide = widen(rois)
    corners = rounded_away((wide[:, 1:] * wide.dtype.type(spatial_scale)).astype(np.float64))
    if not (np.abs(corners) < FARTHEST).all():
        raise InvalidInputError(f"rois with coordinates of {FARTHEST} or more")
    images = wide[:, 0]
    if not np.isin(images, np.arange(x.shape[0])).all():
        raise InvalidInputError(f"rois of the images {images.tolist()}, X has {x.shape[0]}")
    rows, columns = pooled_shape
    result = np.zeros((len(rois), x.shape[1], rows, columns), x.dtype)
    if result.size == 0:
        return result
    for roi, (image, (left, top, right, bottom)) in enumerate(
        zip(images.astype(int), corners.astype(int), strict=True)
    ):
        for i, j in np.ndindex(rows, columns):
            part = x[image, :, span(i, rows, top, bottom, x.shape[2]), span(j, columns, left, right, x.shape[3])]
            if part[0].size:
                result[roi, :, i, j] = maximum_over(part, (1, 2))
    return result


def rounded_away(x: Array) -> Array:
    """To the nearest integer, halves away from zero."""
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(1.0, x), whole)


def span(i: int, parts: int, first: int, last: int, size: int) -> slice:
    """Elements of bin `i` of `parts` in a region first .. last of an axis of `size`."""
    n = max(int(last) - int(first) + 1, 1)
    start, end = int(first) + i * n // parts, int(first) - (-(i + 1) * n // parts)
    start = min(max(start, 0), size)
    return slice(start, max(start, min(end, size)))


@operator("RoiAlign", since=(16, 22))
def roi_align(
    x: Array,
    rois: Array,
    batch_indices: Array,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """Samples of the bins of `rois` [R, 4] (x1, y1, x2, y2) in `x` [N, C, H, W] -> [R, C, height, width].

    A bin is sampled at a grid of places, by default as many an axis as it has elements, rounded up. A sample lies
    between four elements; `avg` takes the mean of the interpolated samples, `max` the greatest of all four weighted
    elements of all samples (so ONNX's reference and its test suite have it), in order of `maximum`.
    """
    half = {"half_pixel": True, "output_half_pixel": False}.get(coordinate_transformation_mode)
    if half is None:
        raise InvalidModelError(
            f"coordinate_transformation_mode {coordinate_transformation_mode!r}: expected half_pixel, output_half_pixel"
        )
    return aligned(x, rois, batch_indices, half, mode, (output_height, output_width), sampling_ratio, spatial_scale)


@operator("RoiAlign", since=10)
def roi_align_10(
    x: Array,
    rois: Array,
    batch_indices: Array,
    *,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """As version 16 with `output_half_pixel`."""
    return aligned(x, rois, batch_indices, False, mode, (output_height, output_width), sampling_ratio, spatial_scale)


def aligned(
    x: Array,
    rois: Array,
    batch_indices: Array,
    half_pixel: bool,
    mode: str,
    output: tuple[int, int],
    sampling_ratio: int,
    spatial_scale: float,
) -> Array:
    """RoiAlign; coordinates and weights in binary64, each weight rounded once to the computing type."""
    if x.ndim != 4 or rois.ndim != 2 or rois.shape[1] != 4 or batch_indices.shape != rois.shape[:1]:
        shapes = [list(v.shape) for v in (x, rois, batch_indices)]
        raise ShapeError(f"X, rois and batch_indices have shapes {shapes}, expected rank 4, [R, 4] and [R]")
    if mode not in ("avg", "max") or min(output) < 1 or sampling_ratio < 0:
        raise InvalidModelError(f"mode {mode!r}, output {output} and sampling_ratio {sampling_ratio} are no RoiAlign")
    if ((batch_indices < 0) | (batch_indices >= x.shape[0])).any():
        raise InvalidInputError(f"batch_indices {batch_indices.tolist()}, X has {x.shape[0]} images")
    result = np.zeros((len(rois), x.shape[1], *output), x.dtype)
    for roi, corners in enumerate(rois.astype(np.float64) * spatial_scale - (0.5 if half_pixel else 0.0)):
        starts, sizes = corners[1::-1], corners[:1:-1] - corners[1::-1]  # y before x
        if not half_pixel:
            sizes = np.maximum(sizes, 1.0)
        bins = sizes / np.array(output)
        if not np.isfinite([starts, bins]).all():
            raise InvalidInputError(f"region {roi} has coordinates {rois[roi].tolist()}")
        counts = [sampling_ratio] * 2 if sampling_ratio else np.maximum(np.ceil(bins), 0).tolist()
        if math.prod([*counts, *output]) > SAMPLES:
            raise ResourceLimitError(f"region {roi} needs more than {SAMPLES} samples")
        if result.size and math.prod(counts) and math.prod(x.shape[2:]):
            grid = zip(x.shape[2:], starts, bins, output, map(int, counts), strict=True)
            y_samples, x_samples = (samples(*axis) for axis in grid)
            image = x[int(batch_indices[roi])]
            result[roi] = round_to(pooled(image, y_samples, x_samples, mode), x.dtype)
    return result


Samples = tuple[Array, Array, Array, Array, Array]


def samples(size: int, start: float, bin_size: float, bins: int, count: int) -> Samples:
    """The places `start + i * bin + (k + 1/2) * bin / count` of one axis, [bins, count] each.

    Whether a place is in -1 .. size; the elements below and above it (the first and the last one beyond the ends) and
    their weights. Every operation is rounded, from left to right.
    """
    i, k = np.arange(bins).astype(np.float64)[:, None], np.arange(count).astype(np.float64)
    place = (start + i * bin_size) + (k + 0.5) * bin_size / count
    inside = (place >= -1) & (place <= size)
    place = np.maximum(np.where(inside, place, 0.0), 0.0)
    low = np.minimum(np.trunc(place), size - 1)
    high = np.minimum(low + 1, size - 1)
    above = np.where(low < size - 1, place - low, 0.0)
    return inside, low.astype(np.int64), high.astype(np.int64), 1 - above, above


def pooled(image: Array, y_samples: Samples, x_samples: Samples, mode: str) -> Array:
    """`image` [C, H, W] -> [C, height, width] in the computing type.

    The terms of a sample are `rn(rn(wy * wx) * x)` for (low, low), (low, high), (high, low), (high, high), or four +0
    where it is outside. avg: the four are added from left to right, samples are added in row-major order from +0, and
    the sum is divided by their count.
    """
    wide = widen(image)
    result = None
    for k in range(y_samples[0].shape[1]):
        in_y, *rows, low_y, high_y = (v[:, k, None] for v in y_samples)
        for j in range(x_samples[0].shape[1]):
            in_x, *columns, low_x, high_x = (v[None, :, j] for v in x_samples)
            terms = []
            for row, wy in zip(rows, (low_y, high_y), strict=True):
                for column, wx in zip(columns, (low_x, high_x), strict=True):
                    term = (wy * wx).astype(wide.dtype) * wide[:, row, column]
                    terms.append(np.where(in_y & in_x, term, wide.dtype.type(0)))
            if mode == "max":
                best = maximum(maximum(terms[0], terms[1]), maximum(terms[2], terms[3]))
                result = best if result is None else maximum(result, best)
            else:
                value = ((terms[0] + terms[1]) + terms[2]) + terms[3]
                result = (wide.dtype.type(0) if result is None else result) + value
    assert result is not None  # there are samples
    count = y_samples[0].shape[1] * x_samples[0].shape[1]
    return np.asarray(result if mode == "max" else result / wide.dtype.type(count))


@operator("NonMaxSuppression", since=(10, 11))
def non_max_suppression(
    boxes: Array,
    scores: Array,
    max_output_boxes_per_class: Array | None = None,
    iou_threshold: Array | None = None,
    score_threshold: Array | None = None,
    *,
    center_point_box: int = 0,
) -> Array:
    """Of `boxes` [N, S, 4] with `scores` [N, C, S] the best ones that do not overlap -> [selected, 3] (n, c, s).

    For each image and class: boxes whose score is greater than score_threshold (without one: is a number), by
    descending score, of equal ones the first; a box is left out if its intersection over union with one that was
    selected is greater than iou_threshold; until max_output_boxes_per_class (by default none) are selected.
    """
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape != (scores.shape[0], scores.shape[2], 4):
        raise ShapeError(f"boxes and scores have shapes {list(boxes.shape)} and {list(scores.shape)}")
    if center_point_box not in (0, 1):
        raise InvalidModelError(f"center_point_box is {center_point_box}, expected 0 or 1")
    most = int(scalar("max_output_boxes_per_class", max_output_boxes_per_class, 0))
    overlap = scalar("iou_threshold", iou_threshold, np.float32(0))
    if not 0 <= overlap <= 1:
        raise InvalidInputError(f"iou_threshold is {overlap}, expected 0 to 1")
    least = scalar("score_threshold", score_threshold, None)
    selected: list[tuple[int, int, int]] = []
    for n, c in np.ndindex(scores.shape[:2]) if most > 0 else ():
        score = scores[n, c]
        left = np.flatnonzero(score > least if least is not None else score == score)
        left = left[np.argsort(-score[left], kind="stable")]
        corners, chosen = edges(boxes[n], center_point_box), 0
        while len(left) and chosen < most:
            best, left = left[0], left[1:]
            selected.append((n, c, int(best)))
            chosen += 1
            left = left[~(intersection_over_union(corners[best], corners[left]) > overlap)]
    return np.array(selected, np.int64).reshape(-1, 3)


def scalar(name: str, value: Array | None, default: Any) -> Any:
    """The one element of an optional input."""
    if value is None:
        return default
    if value.shape not in ((), (1,)):
        raise ShapeError(f"{name} has shape {list(value.shape)}, expected one element")
    return value.reshape(())[()]


def edges(boxes: Array, center_point_box: int) -> Array:
    """[S, 4] (low, low, high, high) of boxes given by any two opposite corners, or by centre and size."""
    if center_point_box:
        half = boxes[:, 2:] / np.float32(2)
        return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return np.concatenate([minimum(boxes[:, :2], boxes[:, 2:]), maximum(boxes[:, :2], boxes[:, 2:])], axis=1)


def intersection_over_union(box: Array, others: Array) -> Array:
    """In binary32, every operation rounded; 0 where an extent, an area or the union is not above 0, or NaN."""
    extent = minimum(box[None, 2:], others[:, 2:]) - maximum(box[None, :2], others[:, :2])
    shared = extent[:, 0] * extent[:, 1]
    area = (box[2] - box[0]) * (box[3] - box[1])
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = (area + areas) - shared
    proper = (extent > 0).all(axis=1) & (shared > 0) & (area > 0) & (areas > 0) & (union > 0)
    return np.where(proper, shared / union, np.float32(0))
