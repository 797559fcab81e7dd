"""Images: places in and around a tensor, affine maps, and files of lossless formats, written here by hand."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array

SIZES = (3, 1, 2, 4, 7)


@shape_rule("AffineGrid")
def affine_grid(s: Sketch) -> list[Any]:
    """Theta [N, 2, 3] or [N, 3, 4] and the size of an image."""
    rank = s.choose(2, 3)
    s.attribute("align_corners", 0, 1)
    size = [
        s.choose(1, 2, 3, 0),
        s.choose(1, 3),
        *(s.choose(*SIZES, 0, *((17, 37) if rank == 2 else ())) for _ in range(rank)),
    ]
    return [s.tensor((size[0], rank, rank + 1)), np.array(size, np.int64)]


@shape_rule("GridSample")
def grid_sample(s: Sketch) -> list[Any]:
    """X [N, C, size…] and places: any numbers, or those of the elements and half-way between them."""
    rank = 2 if s.since == 16 else s.choose(2, 1, 3)
    modes = ("bilinear", "nearest", "bicubic") if s.since == 16 else ("linear", "nearest", "cubic")
    moves = s.dtype == object
    s.set("mode", modes[1]) if moves else s.attribute("mode", *modes)
    padding = s.attribute("padding_mode", "zeros", "border", "reflection")
    align = s.attribute("align_corners", 0, 1)
    size = [s.choose(*SIZES, *((0,) if padding in ("zeros", b"zeros") else ())) for _ in range(rank)]
    x = s.tensor((s.choose(1, 2, 0), s.choose(1, 2, 3), *size))
    outputs = (1, 2, 3, 0, *((17, 70) if rank == 1 else ()))
    shape = (x.shape[0], *(s.choose(*outputs) for _ in range(rank)), rank)
    return [x, places(s, shape, size, bool(align))]


def places(s: Sketch, shape: tuple[int, ...], size: list[int], align: bool) -> Array:
    """A grid, x before y."""
    dtype = s.input_dtype("grid")
    kind = s.choose("uniform", "elements", "any")
    if kind == "any":
        return s.tensor(shape, dtype)
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    if kind == "uniform":
        return random.uniform(-1.6, 1.6, shape).astype(dtype)
    halves = random.integers(-4, 2 * max(size, default=1) + 4, shape) / 2
    n = np.array(size[::-1]).clip(1)
    normal = halves * 2 / np.maximum(n - 1, 1) - 1 if align else (halves * 2 + 1) / n - 1
    return np.asarray(normal).astype(dtype)


@shape_rule("ImageDecoder")
def image_decoder(s: Sketch) -> list[Any]:
    """A file: PNM, BMP or PNG of some kind, or bytes that are no image."""
    s.attribute("pixel_format", "RGB", "BGR", "Grayscale")
    kind = s.choose("ppm", "pgm", "bmp", "png", "nothing")
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    height, width = s.choose(3, 1, 2, 17), s.choose(2, 1, 5, 9)
    if kind == "nothing":
        stream = random.bytes(s.choose(7, 0, 100))
    elif kind == "png":
        channels, depth = s.choose(3, 1, 2, 4), s.choose(8, 16)
        stream = png(random.integers(0, 1 << depth, (height, width, channels)), depth)
    else:
        pixels = random.integers(0, 256, (height, width, 1 if kind == "pgm" else 3)).astype(np.uint8)
        stream = bmp(pixels) if kind == "bmp" else pnm(pixels)
    return [np.frombuffer(stream, np.uint8)]


def pnm(pixels: Array) -> bytes:
    """A binary PGM or PPM file."""
    height, width, channels = pixels.shape
    return b"P%d\n%d %d\n255\n" % (5 if channels == 1 else 6, width, height) + pixels.tobytes()


def bmp(pixels: Array) -> bytes:
    """An uncompressed BMP file of 24 bits, whose rows go upwards."""
    height, width, _ = pixels.shape
    padding = bytes(-3 * width % 4)
    rows = b"".join(row[:, ::-1].tobytes() + padding for row in pixels[::-1])
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54) + header + rows


def png(pixels: Array, depth: int) -> bytes:
    """A PNG file of 1 to 4 channels of 8 or 16 bits, unfiltered."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
