"""Detection: what a corner, a threshold and a maximum mean."""

from __future__ import annotations

import numpy as np
import pytest
from tests.traps.both import answer, refusals, same

F = np.float32


def nms(boxes: list, scores: list, *limits: object, opset: int = 11, **attributes: int) -> list:
    """The selected boxes of one image and class; limits: most, overlap, least."""
    given = [np.array([v], t) if v is not None else None for v, t in zip(limits, (np.int64, F, F), strict=False)]
    found = answer(
        "NonMaxSuppression", [np.array([boxes], F), np.array([[scores]], F), *given], attributes, opset=opset
    )
    assert (found[:, :2] == 0).all()
    return found[:, 2].tolist()


UNIT = [0, 0, 1, 1]
HALF = [0, 0.5, 1, 1.5]  # intersection over union with UNIT: 1/3


def test_by_default_nothing_is_selected() -> None:
    assert nms([UNIT], [1]) == []
    assert nms([UNIT], [1], 0) == []
    assert nms([UNIT], [1], -5) == []
    assert answer("NonMaxSuppression", [np.zeros((1, 1, 4), F), np.ones((1, 1, 1), F)], opset=10).shape == (0, 3)


def test_a_quotient_equal_to_the_threshold_is_kept() -> None:
    quarter = [0, 0.6, 1, 1.6]
    assert nms([UNIT, HALF], [2, 1], 9, F(0.5) / F(1.5)) == [0, 1]
    assert nms([UNIT, HALF], [2, 1], 9, np.nextafter(F(0.5) / F(1.5), F(0))) == [0]
    assert nms([UNIT, quarter], [2, 1], 9, 0) == [0]
    assert nms([UNIT, [0, 1, 1, 2]], [2, 1], 9, 0) == [0, 1]  # they touch


def test_a_score_equal_to_the_threshold_is_dropped() -> None:
    assert nms([UNIT, [0, 3, 1, 4]], [0.5, 0.75], 9, 0.5, 0.5) == [1]


def test_corners_are_any_two_opposite_ones() -> None:
    for turned in ([1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0]):
        assert nms([UNIT, turned], [2, 1], 9, 0.9) == [0]
    # Centre and size: the same box as UNIT, and one beside it.
    assert nms([[0.5, 0.5, 1, 1], [1.5, 0.5, 1, 1]], [2, 1], 9, 0, center_point_box=1) == [0, 1]
    assert nms([[0.5, 0.5, 1, 1], [0.75, 0.5, 1, 1]], [2, 1], 9, 0, center_point_box=1) == [0]


def test_order_is_image_class_score_index() -> None:
    boxes = np.array([[UNIT, [0, 3, 1, 4], [0, 6, 1, 7]]] * 2, F)
    scores = np.array([[[1, 3, 3], [0, 2, 1]], [[5, 5, 5], [1, 2, 3]]], F)
    found = answer("NonMaxSuppression", [boxes, scores, np.array([2])], opset=11)
    expected = [[0, 0, 1], [0, 0, 2], [0, 1, 1], [0, 1, 2], [1, 0, 0], [1, 0, 1], [1, 1, 2], [1, 1, 1]]
    assert found.tolist() == expected


def test_numbers_that_are_none() -> None:
    nan = float("nan")
    assert nms([UNIT, [0, 3, 1, 4]], [nan, -1], 9) == [1]
    assert nms([UNIT, [nan, 0, 1, 1], UNIT], [3, 2, 1], 9, 0.5) == [0, 1]
    for wrong in (-0.1, 1.5, nan):
        refusals(
            "NonMaxSuppression",
            [np.zeros((1, 1, 4), F), np.ones((1, 1, 1), F), np.array(1), np.array(wrong, F)],
            opset=11,
        )


def test_many_boxes_are_fast_and_right() -> None:
    """Three thousand boxes, few of which overlap."""
    random = np.random.default_rng(0)
    corner = random.uniform(0, 1000, (1, 3000, 2))
    boxes = np.concatenate([corner, corner + random.uniform(5, 15, (1, 3000, 2))], axis=2).astype(F)
    scores = random.permutation(3000).astype(F).reshape(1, 1, -1)
    found = answer("NonMaxSuppression", [boxes, scores, np.array(3000), np.array(0.3, F)], opset=11)
    chosen = scores[0, 0][found[:, 2]]
    assert 1000 < len(found) < 3000
    assert (np.diff(chosen) < 0).all()


def align(x: np.ndarray, roi: list, opset: int = 16, **attributes: object) -> np.ndarray:
    return answer("RoiAlign", [x, np.array([roi], F), np.array([0])], attributes, opset=opset)[0, 0]


def test_half_pixel_is_the_default_from_16_on() -> None:
    x = np.arange(16, dtype=F).reshape(1, 1, 4, 4)
    attributes = {"output_height": 2, "output_width": 2, "sampling_ratio": 1}
    same(align(x, [1, 1, 3, 3], **attributes), [[5, 6], [9, 10]])
    output_half_pixel = align(x, [1, 1, 3, 3], coordinate_transformation_mode="output_half_pixel", **attributes)
    same(output_half_pixel, [[7.5, 8.5], [11.5, 12.5]])
    same(align(x, [1, 1, 3, 3], opset=10, **attributes), output_half_pixel)


def test_a_ratio_of_0_takes_as_many_samples_as_a_bin_has_elements() -> None:
    x = (np.arange(64, dtype=F) ** 2).reshape(1, 1, 8, 8)
    for roi, samples in (([0, 0, 4, 4], 2), ([0, 0, 3.5, 3.5], 2), ([0, 0, 5, 5], 3)):
        attributes = {"output_height": 2, "output_width": 2}
        same(align(x, roi, **attributes), align(x, roi, sampling_ratio=samples, **attributes))


def test_max_is_of_weighted_elements() -> None:
    """One sample in the middle of 1, 2, 3, 10: a quarter of 10, not the mean of all four."""
    x = np.array([[[[1, 2], [3, 10]]]], F)
    same(align(x, [0, 0, 2, 2], sampling_ratio=1, mode="max"), [[2.5]])
    same(align(x, [0, 0, 2, 2], sampling_ratio=1), [[4]])


def test_regions_outside_are_zero_and_malformed_ones_have_a_size() -> None:
    x = np.ones((1, 1, 4, 4), F)
    same(align(x, [90, 90, 99, 99]), [[0]])
    same(align(x, [3, 3, 1, 1]), [[0]])  # no sample
    same(align(x, [3, 3, 1, 1], mode="max"), [[0]])
    same(align(x, [3, 3, 1, 1], opset=10), [[1]])  # one element wide at least
    image = np.array([1])
    refusals("RoiAlign", [x, np.zeros((1, 4), F), image], opset=16)
    refusals("RoiAlign", [x, np.full((1, 4), np.nan, F), image - 1], opset=16)


@pytest.mark.parametrize("opset", [1, 22])
def test_bins_of_maxima(opset: int) -> None:
    """Both corners belong to the region; halves go away from zero; bins overlap where they do not divide it."""
    x = np.arange(1, 37, dtype=F).reshape(1, 1, 6, 6)

    def pool(roi: list, shape: list, scale: float = 1.0) -> list:
        attributes = {"pooled_shape": shape, "spatial_scale": scale}
        return answer("MaxRoiPool", [x, np.array([[0, *roi]], F)], attributes, opset=opset)[0, 0].tolist()

    assert pool([1, 1, 3, 3], [1, 1]) == [[22]]
    assert pool([1, 1, 3, 3], [2, 2]) == [[15, 16], [21, 22]]
    assert pool([0.5, 0.5, 2.5, 2.5], [1, 1]) == [[22]]
    assert pool([2, 2, 6, 6], [1, 1], 0.5) == [[22]]
    assert pool([-9, -9, -8, -8], [1, 2]) == [[0, 0]]
    assert pool([4, 4, 9, 9], [2, 2]) == [[36, 0], [0, 0]]
    assert pool([3, 3, 1, 1], [1, 1]) == [[22]]  # one element


def test_regions_must_be_numbers_of_images() -> None:
    x = np.zeros((1, 1, 2, 2), F)
    for roi in ([1, 0, 0, 1, 1], [-1, 0, 0, 1, 1], [0.5, 0, 0, 1, 1], [0, 0, 0, np.nan, 1], [0, 0, 0, 1e20, 1]):
        refusals("MaxRoiPool", [x, np.array([roi], F)], {"pooled_shape": [1, 1]}, opset=22)
