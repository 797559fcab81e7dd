"""Fourier transforms of lengths with small, great and no factors; windows; the mel scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import DTYPES, Array, onnx_number

# Powers of two, small primes, products of them, primes without a butterfly.
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17, 20, 31, 32, 37, 49, 60, 64, 74, 100, 128)
NUMBERS = (
    *("float", "double", "float16", "bfloat16"),
    *("int32", "int64", "int8", "int16", "uint8", "uint16", "uint32", "uint64"),
)


@shape_rule("DFT")
def dft(s: Sketch) -> list[Any]:
    """A signal of one or two numbers an element, cut off or ended with zeros, along any axis but the last."""
    n, rank = s.choose(*LENGTHS), s.integer(1, 3)
    at = s.integer(0, rank - 1)
    inverse, onesided = s.attribute("inverse", 0, 1), s.attribute("onesided", 0, 1)
    parts = s.choose(1, 2) if not onesided else 2 if inverse else 1
    given = s.coin()
    half = bool(inverse and onesided)
    if half and not given:
        n += n % 2  # the default is an even length
    length = n // 2 + 1 if half else n
    if given:
        length = s.choose(length, length, max(length - 1, 1), length + 3)
    others = [s.choose(1, 2, 3, 0) for _ in range(rank)]
    if n <= 16 and rank > 1:
        others[at - 1] = s.choose(1, 2, 3, 9, 17, 0)
    shape = (*others[:at], length, *others[at + 1 :], parts)
    axis = s.choose(at, at - rank - 1)
    inputs: list[Any] = [s.tensor(shape), np.array(n, s.input_dtype("dft_length")) if given else None]
    default = 1 if s.since < 20 else rank - 1
    if s.since < 20:
        if at != default or s.coin():
            s.set("axis", axis)
    elif at != default or s.coin():
        inputs.append(np.array(axis, np.int64))
    return inputs


@shape_rule("STFT")
def stft(s: Sketch) -> list[Any]:
    """A real or complex signal, a window, its length or both, steps shorter and longer than a frame."""
    n, batch = s.choose(*LENGTHS[:-3]), s.choose(1, 2, 0)
    length = n + s.choose(0, 1, 5, 37, -1)
    onesided = s.attribute("onesided", 1, 0)
    parts = 1 if onesided else s.choose(1, 2)
    form = s.choose("window", "length", "both", "neither")
    dtype = s.input_dtype("frame_step")
    step = np.array(s.choose(1, 2, 3, 16, 200), dtype)
    length = max(length, 1)
    return [
        s.tensor((batch, length, parts)),
        step,
        s.tensor((n,)) if form in ("window", "both") else None,
        np.array(n, dtype) if form in ("length", "both") else None,
    ]


@shape_rule("HannWindow", "HammingWindow", "BlackmanWindow")
def window(s: Sketch) -> list[Any]:
    """A size, periodic or symmetric, of any output type."""
    s.attribute("periodic", 1, 0)
    s.attribute("output_datatype", *(onnx_number(DTYPES[name]) for name in NUMBERS))
    return [np.array(s.choose(10, 1, 2, 3, 0, 7, 8, 9, 64, 101, 1000), s.dtype)]


@shape_rule("MelWeightMatrix")
def mel_weight_matrix(s: Sketch) -> list[Any]:
    """Bands of a transform; edges below zero and beyond half the sample rate included."""
    s.attribute("output_datatype", *(onnx_number(DTYPES[name]) for name in NUMBERS))
    counts = [s.choose(8, 1, 3, 20, 0), s.choose(16, 1, 2, 33, 64, 0), s.choose(8192, 100, 16000, 1)]
    dtype = s.input_dtype("lower_edge_hertz")
    special: list[Array] = [s.tensor((), dtype), s.tensor((), dtype)]
    low, high = s.choose((0.0, 4000.0), (125.0, 3800.0), (20.0, 20.0), (300.0, 50.0), (-100.0, 20000.0), (None, None))
    edges = special if low is None else [np.array(edge).astype(dtype) for edge in (low, high)]
    return [*(np.array(count, s.dtype) for count in counts), *edges]
