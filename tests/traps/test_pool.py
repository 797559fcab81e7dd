"""Pools: what is padding, what hangs over, where indices count."""

from __future__ import annotations

import numpy as np
from tests.traps.both import answer, answers, refusals, same


def test_a_window_that_would_start_in_the_end_padding_is_dropped() -> None:
    """ceil_mode: five elements and a pad behind, windows of 2 every 3: a third window would see padding alone."""
    x = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 5)
    attributes = {"kernel_shape": [2], "strides": [3], "pads": [0, 1], "ceil_mode": 1}
    same(answer("MaxPool", [x], attributes, opset=22), [[[2, 5]]])
    same(answer("LpPool", [x], {**attributes, "p": 1}, opset=22), [[[3, 9]]])


def test_average_counts_what_is_there() -> None:
    """The divisor: input elements, or with count_include_pad padding too, but never what hangs over (ceil_mode)."""
    x = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 5)
    attributes = {"kernel_shape": [3], "strides": [2], "pads": [1, 0], "ceil_mode": 1}
    same(answer("AveragePool", [x], attributes, opset=22), [[[1.5, 3, 4.5]]])
    same(answer("AveragePool", [x], {**attributes, "count_include_pad": 1}, opset=22), [[[1, 3, 4.5]]])


def test_padding_of_max_pool_is_minus_infinity() -> None:
    x = np.full((1, 1, 2), -3, np.float32)
    same(answer("MaxPool", [x], {"kernel_shape": [2], "pads": [1, 1]}, opset=22), [[[-3, -3, -3]]])


def test_indices_count_in_the_whole_tensor() -> None:
    """Over N, C and all axes, without padding; storage_order 1 counts the plane by columns."""
    x = np.zeros((2, 2, 2, 3), np.float32)
    x[:, :, 1, 2] = 1
    attributes = {"kernel_shape": [2, 3]}
    _, index = answers("MaxPool", [x], attributes, opset=12, n_outputs=2)
    same(index.ravel(), [5, 11, 17, 23])
    x[:, :, 1, 2], x[:, :, 1, 0] = 0, 1
    _, index = answers("MaxPool", [x], {**attributes, "storage_order": 1}, opset=12, n_outputs=2)
    same(index.ravel(), [1, 7, 13, 19])
    _, index = answers("MaxPool", [x], {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}, opset=12, n_outputs=2)
    assert index.min() == 0  # a padded position never counts
    assert index[0, 0, 1, 0] == 3


def test_the_odd_pad_goes_behind_for_upper_and_before_for_lower() -> None:
    x = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 4)
    for auto_pad, sums, means, best in (
        ("SAME_UPPER", [3, 5, 7, 4], [1.5, 2.5, 3.5, 4], [2, 3, 4, 4]),
        ("SAME_LOWER", [1, 3, 5, 7], [1, 1.5, 2.5, 3.5], [1, 2, 3, 4]),
    ):
        attributes = {"kernel_shape": [2], "auto_pad": auto_pad}
        same(answer("LpPool", [x], {**attributes, "p": 1}, opset=18), [[sums]])
        same(answer("AveragePool", [x], attributes, opset=19), [[means]])
        same(answer("MaxPool", [x], attributes, opset=12), [[best]])


def test_norms_are_of_magnitudes_and_padding_adds_nothing() -> None:
    x = np.array([[[-3, 4, -5]]], np.float32)
    attributes = {"kernel_shape": [2], "pads": [1, 1]}
    same(answer("LpPool", [x], attributes, opset=22), np.sqrt(np.array([[[9, 25, 41, 25]]], np.float32)))
    same(answer("LpPool", [x], {**attributes, "p": 1}, opset=22), [[[3, 7, 9, 5]]])
    cubes = answer("LpPool", [x], {"kernel_shape": [2], "p": 3}, opset=22)
    np.testing.assert_allclose(cubes, np.cbrt([[[27 + 64, 64 + 125]]]), rtol=1e-6)
    roots = answer("LpPool", [x], {"kernel_shape": [2], "p": 0.5}, opset=1)
    np.testing.assert_allclose(roots, [[[(3**0.5 + 2) ** 2, (2 + 5**0.5) ** 2]]], rtol=1e-6)
    same(answer("GlobalLpPool", [x], opset=22), np.sqrt(np.float32(50)).reshape(1, 1, 1))
    same(answer("LpPool", [x], {"kernel_shape": [1], "strides": [4], "pads": [4, 0]}, opset=22), [[[0, 3]]])


def test_a_norm_needs_a_positive_p_and_a_kernel() -> None:
    x = np.ones((1, 1, 3), np.float32)
    for p in (0, -2):
        refusals("LpPool", [x], {"kernel_shape": [2], "p": p}, opset=22)
        refusals("GlobalLpPool", [x], {"p": p}, opset=22)
    refusals("LpPool", [x], opset=1)


def test_unpooled_places_count_without_padding() -> None:
    """The suite's case: places count in 4 x 4, the output is 5 x 5."""
    x = np.array([[[[5, 6], [7, 8]]]], np.float32)
    places = np.array([[[[5, 7], [13, 15]]]])
    attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}
    expected = np.zeros((1, 1, 5, 5), np.float32)
    expected[0, 0, 1::2, 1::2] = x
    same(answer("MaxUnpool", [x, places, np.array([1, 1, 5, 5])], attributes, opset=22), expected)
    same(answer("MaxUnpool", [x, places], attributes, opset=22), expected[:, :, :4, :4])


def test_unpooling_undoes_a_padded_pool() -> None:
    """Where there was padding the sizes without it are greater than the input's, and places count in the input's."""
    x = np.random.default_rng(0).permutation(49).reshape(1, 1, 7, 7).astype(np.float32)
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    pooled, places = answers("MaxPool", [x], attributes, opset=12, n_outputs=2)
    shape = np.array([1, 1, 7, 7])
    back = answer("MaxUnpool", [pooled, places, shape], attributes, opset=11)
    expected = np.zeros_like(x)
    expected.reshape(-1)[places.reshape(-1)] = pooled.reshape(-1)
    same(back, expected)
    same(answer("MaxUnpool", [pooled, places], attributes, opset=11), expected)
    same(answer("MaxPool", [back], attributes, opset=12), pooled)


def test_places_outside_are_refused_and_of_two_the_last_stays() -> None:
    x = np.array([[[1, 2]], [[3, 4]]], np.float32)
    attributes = {"kernel_shape": [2], "strides": [2]}
    for wrong in (-1, 8):
        refusals("MaxUnpool", [x, np.array([[[0, 1]], [[2, wrong]]])], attributes, opset=22)
    same(
        answer("MaxUnpool", [x, np.array([[[6, 6]], [[0, 6]]])], attributes, opset=22), [[[3, 0, 0, 0]], [[0, 0, 4, 0]]]
    )
    refusals("MaxUnpool", [x, np.array([[[6, 6]], [[0, 6]]]), np.array([1, 1, 4])], attributes, opset=22)
