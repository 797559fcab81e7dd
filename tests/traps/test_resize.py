"""Resize: what a length, a ratio and a coordinate are."""

from __future__ import annotations

import numpy as np
import pytest
from tests.traps.both import answer, refusals, same

F = np.float32
LINE = np.arange(1, 5, dtype=F).reshape(1, 1, 1, 4)


def resize(
    scales: list | None = None, sizes: list | None = None, x: np.ndarray = LINE, **attributes: object
) -> np.ndarray:
    given = [None if scales is None else np.array(scales, F), None if sizes is None else np.array(sizes)]
    return answer("Resize", [x, None, *given], attributes, opset=19)


def test_aligned_corners_divide_by_the_fractional_length() -> None:
    """With scales the resized length in the formula is 4 * 0.6 = 2.4, not 2: so the suite has it."""
    attributes = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    found = resize([1, 1, 1, 0.6], **attributes)
    np.testing.assert_allclose(found, [[[[1, 1 + 3 / 1.4]]]], rtol=1e-6)
    same(resize(sizes=[1, 1, 1, 2], **attributes), [[[[1, 4]]]])


def test_one_ratio_for_all_axes_and_halves_go_up() -> None:
    x = np.zeros((5, 8), F)
    assert resize(sizes=[4, 4], x=x, keep_aspect_ratio_policy="not_larger").shape == (3, 4)  # 2.5
    assert resize(sizes=[4, 4], x=x, keep_aspect_ratio_policy="not_smaller").shape == (4, 6)  # 6.4
    assert resize(sizes=[4, 4], x=x).shape == (4, 4)


def test_round_prefer_floor_sends_halves_down() -> None:
    attributes = {"coordinate_transformation_mode": "asymmetric"}
    same(resize([1, 1, 1, 2], **attributes), [[[[1, 1, 2, 2, 3, 3, 4, 4]]]])
    same(resize([1, 1, 1, 2], nearest_mode="round_prefer_ceil", **attributes), [[[[1, 2, 2, 3, 3, 4, 4, 4]]]])


def test_a_region_counts_in_the_length() -> None:
    roi = np.array([0, 0, 0, 0.25, 1, 1, 1, 0.75], F)
    attributes = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 9.0, "mode": "linear"}
    found = answer("Resize", [LINE, roi, np.array([1, 1, 1, 2], F)], attributes, opset=19)
    np.testing.assert_allclose(found, [[[[1.75, 2.25, 2.75, 3.25]]]], rtol=1e-6)
    beyond = np.array([0, 0, 0, 0, 1, 1, 1, 2], F)
    found = answer("Resize", [LINE, beyond, None, np.array([1, 1, 1, 3])], attributes, opset=19)
    same(found, [[[[1, 4, 9]]]])


def test_outside_is_left_out_and_the_rest_made_whole() -> None:
    """exclude_outside: at the edge the weights of what is there are divided by their sum."""
    ones = np.ones((1, 1, 1, 4), F)
    attributes = {"mode": "cubic", "exclude_outside": 1}
    np.testing.assert_allclose(resize([1, 1, 1, 2], x=ones, **attributes), np.ones((1, 1, 1, 8)), rtol=1e-6)


def test_antialias_widens_the_filter() -> None:
    attributes = {"mode": "linear", "antialias": 1}
    np.testing.assert_allclose(resize([1, 1, 1, 0.5], **attributes), [[[[1.625, 3.375]]]], rtol=1e-6)
    same(resize([1, 1, 1, 0.5], mode="linear"), [[[[1.5, 3.5]]]])


def test_symmetric_halves_of_a_fractional_length() -> None:
    """half_pixel_symmetric: what a fractional length cuts off is cut off alike at both ends."""
    found = resize([1, 1, 1, 0.6], mode="linear", coordinate_transformation_mode="half_pixel_symmetric")
    np.testing.assert_allclose(found + found[..., ::-1], np.full((1, 1, 1, 2), 5), rtol=1e-6)


@pytest.mark.parametrize("opset", [7, 9, 10])
def test_upsample_takes_the_element_below(opset: int) -> None:
    x = np.array([[1, 2], [3, 4]], F)
    given = ([x], {"scales": [1.0, 2.5]}) if opset == 7 else ([x, np.array([1, 2.5], F)], {})
    same(answer("Upsample", given[0], {**given[1]}, opset=opset), [[1, 1, 1, 2, 2], [3, 3, 3, 4, 4]])
    linear = answer("Upsample", given[0], {**given[1], "mode": "linear"}, opset=opset)
    np.testing.assert_allclose(linear, [[1, 1.4, 1.8, 2, 2], [3, 3.4, 3.8, 4, 4]], rtol=1e-6)


def test_upsample_1_has_two_scales() -> None:
    x = np.array([[[[1, 2], [3, 4]]]], F)
    attributes = {"height_scale": 2.0, "width_scale": 1.0}
    same(answer("Upsample", [x], attributes, opset=1), [[[[1, 2], [1, 2], [3, 4], [3, 4]]]])
    same(answer("Upsample", [x], {**attributes, "mode": "bilinear"}, opset=1), [[[[1, 2], [2, 3], [3, 4], [3, 4]]]])
    refusals("Upsample", [x], {**attributes, "mode": "linear"}, opset=1)
    refusals("Upsample", [x[0]], attributes, opset=1)


def test_upsample_does_not_shrink() -> None:
    refusals("Upsample", [LINE, np.array([1, 1, 1, 0.5], F)], opset=9)
    refusals("Upsample", [LINE], {"scales": [1.0, 1.0, 1.0, 0.9]}, opset=7)
