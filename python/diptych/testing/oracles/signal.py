"""Oracles of Fourier transforms, windows and the mel scale, from their definitions."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
from onnx import helper

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, oracle, own_unit, spacing, wide
from diptych.testing.values import Array

FLOATS = ("float32", "float64", "float16", "bfloat16")


def roots(n: int) -> tuple[Array, Array]:
    """Cosines and sines of 2 pi k / n in long double."""
    with mpmath.workprec(80):
        angles = [2 * mpmath.pi * k / n for k in range(n)]
        pairs = [[WIDE(mpmath.nstr(f(a), 25)) for a in angles] for f in (mpmath.cos, mpmath.sin)]
    return np.array(pairs[0], WIDE), np.array(pairs[1], WIDE)


def transform(re: Array, im: Array, dtype: Any) -> tuple[Array, Array, Array]:
    """`sum_t x_t e^(-2 pi i k t / n)` along the last axis, and the error of the program."""
    n = re.shape[-1]
    cos, sin = roots(n)
    place = np.outer(np.arange(n), np.arange(n)) % n
    c, s = cos[place], sin[place]
    total = np.sum(np.abs(re) + np.abs(im), axis=-1, keepdims=True)
    slack = WIDE(own_unit(dtype, 2.0**-53)) * (12 + 10 * np.log2(WIDE(n)) + (60 if n > 31 else n)) * total + WIDE(
        5e-324
    ) * (20 + 8 * n)
    return np.matmul(re, c) + np.matmul(im, s), np.matmul(im, c) - np.matmul(re, s), slack


def rounded(x: Array, slack: Array, dtype: Any) -> Expected:
    """With the rounding to a type that is not rounded by `bounded` itself."""
    own = spacing(x, dtype) * WIDE(0.5000001) if np.dtype(dtype) == np.float32 else WIDE(0)
    return Expected(x, np.broadcast_to(slack, x.shape) + own)


def parts_of(x: Array) -> tuple[Array, Array]:
    """Real and imaginary parts."""
    return x[..., 0], x[..., 1] if x.shape[-1] == 2 else np.zeros_like(x[..., 0])


@oracle("DFT")
def dft(case: Case) -> list[Expected | None] | None:
    """From the definition, in long double, for one or both sides and inverses."""
    x, get, dtype = wide(case.inputs[0]), case.attributes.get, case.inputs[0].dtype
    if not (np.abs(x) < 1e30).all():
        return None
    axis = get("axis", 1) if case.opset < 20 else int(case.inputs[2]) if len(case.inputs) > 2 else -2
    x = np.moveaxis(x, axis, -2)
    inverse, onesided, length = get("inverse", 0), get("onesided", 0), x.shape[-2]
    given = case.inputs[1] if len(case.inputs) > 1 else None
    n = int(given) if given is not None else 2 * (length - 1) if inverse and onesided else length
    wanted = n // 2 + 1 if inverse and onesided else n
    x = np.concatenate(
        [x[..., :wanted, :], np.zeros((*x.shape[:-2], max(wanted - length, 0), x.shape[-1]), WIDE)], axis=-2
    )
    re, im = parts_of(x)
    if inverse and onesided:
        im = im.copy()
        im[..., 0] = 0
        if n % 2 == 0:
            im[..., -1] = 0
        back = slice((n - 1) // 2, 0, -1)
        re, im = np.concatenate([re, re[..., back]], axis=-1), np.concatenate([im, -im[..., back]], axis=-1)
    if inverse:
        im, re, slack = transform(im, re, dtype)
        re, im, slack = re / n, im / n, slack / n
    else:
        re, im, slack = transform(re, im, dtype)
    keep = n // 2 + 1 if onesided and not inverse else n
    outputs = [re] if onesided and inverse else [re, im]
    y = np.stack([part[..., :keep] for part in outputs], axis=-1)
    slack = np.broadcast_to(slack[..., None], y.shape)
    return [rounded(np.moveaxis(y, -2, axis), np.moveaxis(slack, -2, axis), dtype)]


@oracle("STFT")
def stft(case: Case) -> list[Expected | None] | None:
    """DFTs of windowed frames."""
    signal, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    window = case.inputs[2] if len(case.inputs) > 2 else None
    given = case.inputs[3] if len(case.inputs) > 3 else None
    n = int(given) if given is not None else len(window) if window is not None else signal.shape[1]
    weights = np.ones(n, WIDE) if window is None else wide(window)
    if not (np.abs(signal) < 1e30).all() or not (np.abs(weights) < 1e6).all():
        return None
    step, onesided = int(case.inputs[1]), case.attributes.get("onesided", 1)
    starts = range(0, signal.shape[1] - n + 1, step)
    bins = n // 2 + 1 if onesided else n
    if not starts:
        return [Expected(np.zeros((signal.shape[0], 0, bins, 2), WIDE))]
    frames = np.stack([signal[:, start : start + n] * weights[:, None] for start in starts], axis=1)
    re, im, slack = transform(*parts_of(frames), dtype)
    y = np.stack([re[..., :bins], im[..., :bins]], axis=-1)
    return [rounded(y, slack[..., None] * 2, dtype)]


@oracle("HannWindow", "HammingWindow", "BlackmanWindow")
def window(case: Case) -> list[Expected | None] | None:
    """Two cosines with the factors that ONNX's text gives."""
    dtype = helper.tensor_dtype_to_np_dtype(case.attributes.get("output_datatype", 1))
    size = int(case.inputs[0])
    n = size if case.attributes.get("periodic", 1) else size - 1
    if dtype.name not in FLOATS or n < 1:
        return None
    factors = {"HannWindow": (0.5, 0.5, 0.0), "BlackmanWindow": (0.42, 0.5, 0.08)}
    a0, a1, a2 = factors.get(case.op_type, (WIDE(25) / 46, WIDE(21) / 46, 0.0))
    cos = roots(n)[0]
    k = np.arange(size)
    y = a0 - a1 * cos[k % n] + a2 * cos[2 * k % n]
    return [rounded(y, np.full(y.shape, WIDE(own_unit(dtype, 2.0**-50)) * 8), dtype)]


@oracle("MelWeightMatrix")
def mel_weight_matrix(case: Case) -> list[Expected | None] | None:
    """Triangles between bands whose edges are certain."""
    dtype = helper.tensor_dtype_to_np_dtype(case.attributes.get("output_datatype", 1))
    bands, length, rate = (int(x) for x in case.inputs[:3])
    low, high = (float(wide(x)) for x in case.inputs[3:])
    if dtype.name not in FLOATS or not -699 < low < 1e6 or not -699 < high < 1e6:
        return None
    with mpmath.workprec(100):
        mels = [2595 * mpmath.log10(1 + mpmath.mpf(f) / 700) for f in (low, high)]
        step = (mels[1] - mels[0]) / (bands + 2)
        hertz = [700 * (mpmath.power(10, (mels[0] + i * step) / 2595) - 1) for i in range(bands + 2)]
        exact = [(length + 1) * f / rate for f in hertz]
        if any(abs(x - mpmath.nint(x)) < 1e-9 for x in exact):
            return None  # floor may go either way
        edges = [int(mpmath.floor(x)) for x in exact]
    y = np.zeros((length // 2 + 1, bands), WIDE)
    for i in range(bands):
        left, centre, right = edges[i : i + 3]
        for j in range(len(y)):
            if centre <= j < right:
                y[j, i] = WIDE(right - j) / (right - centre)
            elif left == centre == j:
                y[j, i] = 1
            elif left < j <= centre:
                y[j, i] = WIDE(j - left) / (centre - left)
    return [rounded(y, np.full(y.shape, WIDE(own_unit(dtype, 2.0**-52)) * 8), dtype)]
