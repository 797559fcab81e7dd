"""The chains of the left panel against scalar loops: the same order, each step rounded once from the exact rational."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from diptych_reference import run_operator


def fma(a: Any, b: Any, c: Any) -> np.float32:
    """`a * b + c` of finite binary32 numbers: exactly, as a rational, then to the nearest, ties to even."""
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf)]
    return min([near, *around], key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.int32)) & 1))


def conv_order(channels: int, kernel: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(channel of the group, kernel position) in the order of docs/numerics.md."""
    for start in range(0, channels, 16):
        for position in product(*map(range, kernel)):
            for channel in range(start, min(start + 16, channels)):
                yield channel, position


def values(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("channels", "group"), [(3, 1), (17, 1), (36, 2), (4, 4)])
def test_conv(channels: int, group: int) -> None:
    x, w, b = values(0, 1, channels, 5, 4), values(1, 2 * group, channels // group, 3, 2), values(2, 2 * group)
    attributes = {"group": group, "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
    [y] = run_operator("Conv", [x, w, b], attributes)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 2), (0, 1)])
    for m, i, j in np.ndindex(*y.shape[1:]):
        acc = np.float32(0)
        first = m // 2 * (channels // group)
        for c, (h, v) in conv_order(channels // group, (3, 2)):
            acc = fma(padded[0, first + c, 2 * i + h, j + 2 * v], w[m, c, h, v], acc)
        assert y[0, m, i, j] == acc + b[m]


@pytest.mark.parametrize(("channels", "group"), [(3, 1), (17, 1), (6, 2)])
def test_conv_transpose(channels: int, group: int) -> None:
    x, w, b = values(0, 1, channels, 3, 4), values(1, channels, 2, 3, 2), values(2, 2 * group)
    attributes = {
        "group": group,
        "pads": [1, 0, 0, 1],
        "strides": [2, 3],
        "dilations": [1, 2],
        "output_padding": [1, 0],
    }
    [y] = run_operator("ConvTranspose", [x, w, b], attributes)
    assert y.shape == (1, 2 * group, 2 * 2 + 1 + 3 - 1, 3 * 3 + 3 - 1)
    for m, i, j in np.ndindex(*y.shape[1:]):
        acc = np.float32(0)
        first = m // 2 * (channels // group)
        for c, (h, v) in conv_order(channels // group, (3, 2)):
            (s, r), (t, q) = divmod(i + 1 - h, 2), divmod(j - 2 * v, 3)
            if r == q == 0 and 0 <= s < 3 and 0 <= t < 4:
                acc = fma(x[0, first + c, s, t], w[first + c, m % 2, h, v], acc)
        assert y[0, m, i, j] == acc + b[m]


def test_matmul_and_gemm() -> None:
    a, b, c = values(0, 3, 40), values(1, 40, 5), values(2, 5)
    [product_] = run_operator("MatMul", [a, b])
    [y] = run_operator("Gemm", [a, b, c], {"alpha": 0.3, "beta": 0.7})
    for m, n in np.ndindex(3, 5):
        acc = np.float32(0)
        for k in range(40):
            acc = fma(a[m, k], b[k, n], acc)
        assert product_[m, n] == acc
        assert y[m, n] == np.float32(0.3) * acc + np.float32(0.7) * c[n]


def test_padding_takes_part_in_conv() -> None:
    """An infinite weight on a padded position gives NaN, as +0 times infinity is."""
    x, w = np.ones((1, 1, 3), np.float32), np.array([[[np.inf, 1, 1]]], np.float32)
    [y] = run_operator("Conv", [x, w], {"pads": [1, 0]})
    assert np.isnan(y[0, 0, 0])
    assert np.isposinf(y[0, 0, 1])


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, np.uint64])
def test_integer_division_is_total(dtype: Any) -> None:
    ends = np.iinfo(dtype)
    a = np.array([ends.min, ends.min, 7, 7, ends.max, 0], dtype)
    b = np.array([0, ends.max, 0, 2, ends.max, 0], dtype)
    [y] = run_operator("Div", [a, b])
    assert y.dtype == dtype
    assert y.tolist() == [0, -1 if ends.min else 0, 0, 3, 1, 0]
    if ends.min:
        signed = np.array([ends.min, -7, 7, -7], dtype)
        [y] = run_operator("Div", [signed, np.array([-1, 2, -2, -2], dtype)])
        assert y.tolist() == [ends.min, -3, -3, 3]
