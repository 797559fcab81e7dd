"""Detection: regions that lie inside a map, across its edge or outside; boxes that overlap, touch or coincide."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array

SCALES = (1.0, 0.5, 0.0625, 2.0, 0.3)


def feature_map(s: Sketch) -> Array:
    """X [N, C, H, W] with an image at least."""
    return s.tensor((s.choose(1, 2), s.choose(1, 2, 3, 17), *(s.choose(5, 1, 2, 4, 9, 17) for _ in range(2))))


def regions(s: Sketch, x: Array, scale: float) -> tuple[Array, Array]:
    """Corners [R, 4] (x1, y1, x2, y2) of regions, and the image of each: in quarters, or any numbers."""
    count = s.choose(1, 2, 3, 0)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    reach = np.array([*x.shape[:1:-1]] * 2) / scale
    corners = random.uniform(-0.3, 1.3, (count, 4)) * reach
    if s.coin():  # right way round
        corners = np.concatenate(
            [np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])], 1
        )
    if s.coin():
        corners = np.rint(corners * 4) / 4
    return corners.astype(s.dtype), random.integers(0, x.shape[0], count)


@shape_rule("MaxRoiPool")
def max_roi_pool(s: Sketch) -> list[Any]:
    """X and rois [R, 5], the image first."""
    s.set("pooled_shape", [s.choose(2, 1, 3, 7) for _ in range(2)])
    scale = s.attribute("spatial_scale", *SCALES)
    x = feature_map(s)
    corners, images = regions(s, x, scale)
    return [x, np.concatenate([images[:, None].astype(s.dtype), corners], axis=1)]


@shape_rule("RoiAlign")
def roi_align(s: Sketch) -> list[Any]:
    """X, rois [R, 4] and their images."""
    for name in ("output_height", "output_width"):
        s.attribute(name, 1, 2, 3, 5)
    scale = s.attribute("spatial_scale", *SCALES)
    s.attribute("sampling_ratio", 0, 1, 2, 3)
    s.attribute("mode", "avg", "max")
    s.attribute("coordinate_transformation_mode", "half_pixel", "output_half_pixel")
    x = feature_map(s)
    corners, images = regions(s, x, scale)
    return [x, corners, images.astype(np.int64)]


@shape_rule("NonMaxSuppression")
def non_max_suppression(s: Sketch) -> list[Any]:
    """Boxes in quarters, so that quotients hit thresholds exactly, scores with ties, and thresholds or none."""
    s.attribute("center_point_box", 0, 1)
    n, classes, count = s.choose(1, 2, 0), s.choose(1, 2, 3, 0), s.choose(5, 1, 2, 17, 37, 0)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    boxes = random.integers(-4, 9, (n, count, 4)) / 4
    if s.coin():
        boxes = boxes + random.normal(size=boxes.shape) * 0.1
    scores = s.tensor((n, classes, count)) if s.coin() else random.integers(0, 5, (n, classes, count)) / 4
    shape = s.choose((1,), ())
    most = np.full(shape, s.choose(3, 1, 0, 100, -1), np.int64) if s.choose(True, True, True, False) else None
    overlap = np.full(shape, s.choose(0.5, 0.0, 0.25, 1.0, 1 / 3), np.float32) if s.coin() else None
    least = np.full(shape, s.choose(0.25, 0.0, -1.0, 0.5), np.float32) if s.coin() else None
    return [boxes.astype(np.float32), scores.astype(np.float32), most, overlap, least]
