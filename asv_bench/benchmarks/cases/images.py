"""Images and signals: pools, resizing, sampling, detection, files, Fourier transforms."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .case import OperatorCase, Value, Weight, fixed, integers, normal, uniform

PLANES = (1, 16, 56, 56)


def cases() -> Iterator[OperatorCase]:
    """All of them."""
    yield from pools()
    yield from resizing()
    yield from detection()
    yield from signals()


def pools() -> Iterator[OperatorCase]:
    """3 x 3 with stride 2, whole planes, and back."""
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
    for op_type in ("AveragePool", "LpPool", "MaxPool"):
        yield OperatorCase(op_type, "3x3/2 56", (normal(*PLANES),), window)
    yield OperatorCase("MaxPool", "3x3/2 112", (normal(1, 64, 112, 112),), window)
    for op_type in ("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"):
        yield OperatorCase(op_type, "planes 7 x 7", (normal(1, 512, 7, 7),))
    corners = fixed(np.arange(16 * 56 * 56).reshape(PLANES)[..., ::2, ::2])
    back = {"kernel_shape": [2, 2], "strides": [2, 2]}
    yield OperatorCase("MaxUnpool", "2x2/2 56", (normal(1, 16, 28, 28), corners), back)


def resizing() -> Iterator[OperatorCase]:
    """Twice as large, sampled, folded, decoded."""
    scales = Weight(fixed([1, 1, 2, 2], np.float32))
    for mode in ("nearest", "linear", "cubic"):
        yield OperatorCase("Resize", f"{mode} by 2", (normal(*PLANES), None, scales), {"mode": mode})
    yield OperatorCase("Upsample", "nearest by 2", (normal(*PLANES), scales), opset=9)
    size = Weight(fixed([1, 3, 56, 56], np.int64))
    yield OperatorCase("AffineGrid", "56 x 56", (normal(1, 2, 3), size))
    yield OperatorCase("GridSample", "linear 56 x 56", (normal(*PLANES), uniform(-1, 1, 1, 56, 56, 2)), opset=20)
    shape, block = Weight(fixed([28, 28], np.int64)), Weight(fixed([3, 3], np.int64))
    yield OperatorCase("Col2Im", "3x3 28", (normal(1, 8 * 9, 28 * 28), shape, block), {"pads": [1] * 4})
    yield OperatorCase("ImageDecoder", "PNG 64 x 64", (png,), opset=20)


def png(rng: np.random.Generator) -> Any:
    """A PNG file of smooth colours, every row predicted from the one above."""
    columns, rows = np.meshgrid(np.arange(64), np.arange(64))
    pixels = np.stack([columns * 4, rows * 4, (columns + rows) * 2], axis=-1) + rng.integers(0, 3, (64, 64, 3))
    pixels = pixels.astype(np.uint8)
    predicted = np.diff(pixels, axis=0, prepend=np.zeros((1, 64, 3), np.uint8)).reshape(64, -1)
    lines = np.concatenate([np.full((64, 1), 2, np.uint8), predicted], axis=1)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(lines.tobytes())))
    stream = b"\x89PNG\r\n\x1a\n"
    for kind, content in (*chunks, (b"IEND", b"")):
        stream += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return np.frombuffer(stream, np.uint8)


def boxes(count: int, side: float, *, leading: tuple[Any, ...] = ()) -> Value:
    """Boxes [x1, y1, x2, y2] inside a square, perhaps with a leading column."""

    def make(rng: np.random.Generator) -> Any:
        first = rng.uniform(0, side * 0.7, (count, 2))
        found = np.concatenate([first, first + rng.uniform(1, side * 0.3, (count, 2))], axis=1)
        columns = [np.full((count, 1), value) for value in leading]
        return np.concatenate([*columns, found], axis=1).astype(np.float32)

    return make


def detection() -> Iterator[OperatorCase]:
    """200 boxes of which few remain; 16 regions of a feature map."""
    scores = uniform(0, 1, 1, 1, 200)
    limits = (Weight(fixed(50, np.int64)), Weight(fixed(0.5, np.float32)), Weight(fixed(0.3, np.float32)))
    in_batch: Value = lambda rng: boxes(200, 100)(rng)[None]  # noqa: E731
    yield OperatorCase("NonMaxSuppression", "200 boxes", (in_batch, scores, *limits))
    regions, batch = boxes(16, 56), integers(0, 1, 16)
    aligned = {"output_height": 7, "output_width": 7, "sampling_ratio": 2}
    yield OperatorCase("RoiAlign", "16 regions", (normal(*PLANES), regions, batch), aligned)
    pooled = (normal(*PLANES), boxes(16, 56, leading=(0,)))
    yield OperatorCase("MaxRoiPool", "16 regions", pooled, {"pooled_shape": [7, 7]})


def signals() -> Iterator[OperatorCase]:
    """A second of sound in frames of 256."""
    yield OperatorCase("DFT", "16 of 512", (normal(16, 512, 1),), opset=20)
    yield OperatorCase("DFT", "16 of 500", (normal(16, 500, 1),), opset=20)
    window = Weight(fixed(np.hanning(256), np.float32))
    yield OperatorCase("STFT", "4096, frames of 256", (normal(1, 4096, 1), fixed(128, np.int64), window))
    length = fixed(400, np.int64)
    for op_type in ("BlackmanWindow", "HammingWindow", "HannWindow"):
        yield OperatorCase(op_type, "400", (length,))
    bins = (fixed(40, np.int64), fixed(512, np.int64), fixed(16000, np.int64))
    edges = (fixed(0, np.float32), fixed(8000, np.float32))
    yield OperatorCase("MelWeightMatrix", "40 of 512", (*bins, *edges))
