"""Images: decoding files, grids of places, and sampling at them. Upsample, Resize's ancestor, is in resize.py."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np

from diptych_reference.errors import (
    InvalidInputError,
    InvalidModelError,
    InvalidTypeError,
    ResourceLimitError,
    ShapeError,
    UnsupportedOperatorError,
)
from diptych_reference.numerics import accumulator, fma, is_float, round_to, to_integer
from diptych_reference.operator import Array, operator
from diptych_reference.ops import jpeg2000
from diptych_reference.ops.shape import integers

OUTSIDE = -100.0  # a place whose neighbours all lie outside: for coordinates that are no numbers
MOST_TAPS = 1 << 16  # elements that one output reads

PIXELS = 1 << 27  # of an image
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr", "I;16", "I;16B")


@operator("AffineGrid", since=20)
def affine_grid(theta: Array, size: Array, *, align_corners: int = 0) -> Array:
    """`theta` (x, y, 1) for the places in -1 .. 1 of an image of `size` [N, C, H, W] -> [N, H, W, 2]; 3-D alike.

    Element i of n lies at `rn(rn(2i + 1 - n) / n)`, with align_corners at `rn(rn(2i + 1 - n) / (n - 1))`, a single one
    at 0. Then one chain of fused multiply-adds over x, y, (z,) 1 from +0.
    """
    sizes = integers(size, "size")
    rank = len(sizes) - 2
    if rank not in (2, 3) or min(sizes) < 0 or theta.shape != (sizes[0], rank, rank + 1):
        raise ShapeError(f"theta has shape {list(theta.shape)} for size {sizes}")
    wide = accumulator(theta.dtype)
    factors = theta.astype(wide)
    acc = np.zeros((sizes[0], *sizes[2:], rank), wide)
    for k in range(rank):  # x is the last axis
        along = [1] * acc.ndim
        along[-2 - k] = -1
        position = centers(sizes[-1 - k], bool(align_corners), wide).reshape(along)
        acc = fma(factors[:, :, k].reshape(-1, *(1,) * rank, rank), position, acc)
    acc = fma(factors[:, :, rank].reshape(-1, *(1,) * rank, rank), wide.type(1), acc)
    return round_to(acc, theta.dtype)


def centers(n: int, align_corners: bool, dtype: np.dtype[Any]) -> Array:
    """Where in -1 .. 1 the elements of an axis of length `n` lie."""
    twice = (2 * np.arange(n) + 1 - n).astype(dtype)
    divisor = max(n - 1, 1) if align_corners else max(n, 1)
    return np.asarray(twice / np.array(divisor).astype(dtype))


@operator("GridSample", since=16)
def grid_sample_16(
    x: Array, grid: Array, *, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros"
) -> Array:
    """As version 20, for two spatial axes and under other names: bilinear, bicubic."""
    names = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}
    if mode not in names:
        raise InvalidModelError(f"mode is {mode!r}, expected one of {sorted(names)}")
    if x.ndim != 4:
        raise ShapeError(f"X has shape {list(x.shape)}, expected rank 4")
    return grid_sample(x, grid, align_corners=align_corners, mode=names[mode], padding_mode=padding_mode)


@operator("GridSample", since=(20, 22))
def grid_sample(
    x: Array, grid: Array, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Array:
    """`x` [N, C, size…] at the places `grid` [N, output…, axes] -> [N, C, output…].

    The last axis of grid counts the spatial axes from the innermost one: (x, y, z). -1 and 1 are the outer edges of the
    outer elements, with align_corners their centres. Nearest moves elements; linear and cubic compute in binary64 for
    double and integers of 32 and 64 bits, else in binary32; complex numbers part by part.
    """
    if mode not in ("linear", "nearest", "cubic"):
        raise InvalidModelError(f"mode is {mode!r}, expected linear, nearest or cubic")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise InvalidModelError(f"padding_mode is {padding_mode!r}, expected zeros, border or reflection")
    rank = x.ndim - 2
    if rank < 1 or grid.ndim != x.ndim or grid.shape[0] != x.shape[0] or grid.shape[-1] != rank:
        raise ShapeError(f"X and grid have shapes {list(x.shape)} and {list(grid.shape)}")
    if mode != "nearest" and x.dtype == object:
        raise InvalidTypeError(f"mode {mode!r} is defined for numbers, not for strings")
    if {"nearest": 1, "linear": 2, "cubic": 4}[mode] ** rank > MOST_TAPS:
        raise ResourceLimitError(f"mode {mode!r} along {rank} axes reads more than {MOST_TAPS} elements for an output")
    output = (*x.shape[:2], *grid.shape[1:-1])
    if math.prod(output) == 0:
        return np.empty(output, x.dtype)
    if padding_mode != "zeros" and 0 in x.shape:
        raise ShapeError(f"X of shape {list(x.shape)} has no border")
    axes = [Axis(n, bool(align_corners), padding_mode, mode == "cubic") for n in x.shape[2:]]
    places = [axis.denormalized(grid[..., rank - 1 - a].astype(np.float64)) for a, axis in enumerate(axes)]
    if mode == "nearest":
        places = [axis.bounded(np.rint(place)) for axis, place in zip(axes, places, strict=True)]
        return read(x, axes, places)
    places = [axis.bounded(place) for axis, place in zip(axes, places, strict=True)]
    if x.dtype.kind != "c":
        return narrowed(interpolated(x, axes, places, mode), x.dtype)
    result = np.empty(output, x.dtype)
    result.real, result.imag = (interpolated(part, axes, places, mode) for part in (x.real, x.imag))
    return result


class Axis:
    """A spatial axis of GridSample: its length, where its ends are, and what lies beyond them."""

    def __init__(self, length: int, align_corners: bool, padding: str, cubic: bool) -> None:
        self.length, self.align_corners, self.padding, self.cubic = length, align_corners, padding, cubic
        self.low, self.high = (0.0, length - 1.0) if align_corners else (-0.5, length - 0.5)

    def denormalized(self, place: Array) -> Array:
        """-1 .. 1 as coordinates of elements, in binary64, each operation rounded from left to right."""
        if self.align_corners:
            return (place + 1) / 2 * (self.length - 1)
        return ((place + 1) * self.length - 1) / 2

    def bounded(self, place: Array) -> Array:
        """`place`, brought inside where it is outside and the padding says how; with border and cubic it may stay."""
        if self.padding == "border":
            place = np.where(np.isnan(place), 0.0, place)
            outside = np.isinf(place) if self.cubic else (place < self.low) | (place > self.high)
            return np.where(outside, np.clip(place, 0, self.length - 1), place)
        place = np.where(np.isfinite(place), place, OUTSIDE)
        return self.reflected(place) if self.padding == "reflection" else place

    def reflected(self, place: Array) -> Array:
        """Folded back at the ends until it is inside."""
        extent = self.high - self.low
        if extent == 0:
            return np.where(place == self.low, place, self.low)
        beyond = np.where(place < self.low, self.low - place, place - self.high)
        folds = np.trunc(beyond / extent)
        rest = beyond - folds * extent
        from_low = (np.fmod(folds, 2) == 0) == (place < self.low)
        folded = np.where(from_low, self.low + rest, self.high - rest)
        return np.where((place < self.low) | (place > self.high), folded, place)

    def element(self, place: Array) -> tuple[Array, Array]:
        """The index of the element at an integral `place`, and whether there is one."""
        inside = (place >= 0) & (place < self.length)
        if self.padding == "zeros":
            return np.where(inside, place, 0).astype(np.int64), inside
        folded = np.trunc(self.reflected(place)) if self.padding == "reflection" else place
        return np.clip(folded, 0, self.length - 1).astype(np.int64), np.ones_like(inside)


def read(x: Array, axes: list[Axis], places: list[Array]) -> Array:
    """Elements of `x` at integral places [N, output…]: [N, C, output…]; zero where there is none."""
    where, inside = np.zeros(1, np.int64), np.ones(1, np.bool_)
    for axis, place in zip(axes, places, strict=True):
        index, present = axis.element(place)
        where, inside = where * axis.length + index, inside & present
    size = math.prod(axis.length for axis in axes)
    zero = np.full((*x.shape[:2], 1), "" if x.dtype == object else 0, x.dtype)
    flat = np.concatenate([x.reshape(*x.shape[:2], size), zero], axis=2)
    chosen = np.where(inside, where, size).reshape(len(x), 1, -1)
    found = np.take_along_axis(flat, np.broadcast_to(chosen, (*x.shape[:2], chosen.shape[2])), axis=2)
    return found.reshape(*x.shape[:2], *places[0].shape[1:])


def interpolated(x: Array, axes: list[Axis], places: list[Array], mode: str) -> Array:
    """Linear and cubic, in the computing type.

    Along the innermost axis first: `acc = rn(w_0 * x_0)`, `acc = rn(acc + rn(w_k * x_k))`, then so along the next axis
    with what came out. Taps are the elements floor(place) and the next one, cubic also those around them; elements
    outside are +0 (zeros) or other elements (border, reflection). Weights in binary64, each rounded once.
    """
    double = x.dtype == np.float64 or (x.dtype.kind in "iu" and x.dtype.itemsize >= 4)
    wide = x.astype(np.float64 if double else np.float32)
    steps = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    below = [np.floor(place) for place in places]
    weights = []
    for place, floor in zip(places, below, strict=True):
        part = place - floor
        weights.append([weight(np.abs(step - part), mode).astype(wide.dtype)[:, None] for step in steps])

    def along(axis: int, chosen: list[Array]) -> Array:
        if axis == len(axes):
            return read(wide, axes, chosen)
        acc = None
        for step, factor in zip(steps, weights[axis], strict=True):
            term = factor * along(axis + 1, [*chosen, below[axis] + step])
            acc = term if acc is None else acc + term
        assert acc is not None  # there are steps
        return acc

    return along(0, [])


def weight(t: Array, mode: str) -> Array:
    """The weight of an element at distance `t`: a tent, or Keys' cubic with a = -0.75."""
    if mode == "linear":
        return np.asarray(1 - t)
    a = -0.75
    inner = ((a + 2) * t - (a + 3)) * t * t + 1
    outer = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, inner, outer)


def narrowed(values: Array, dtype: np.dtype[Any]) -> Array:
    """Computed `values` as `dtype`: floats rounded once, others cast: integers toward zero, bool by `!= 0`."""
    if dtype == np.bool_:
        return np.asarray(values != 0)
    return round_to(values, dtype) if is_float(dtype) else to_integer(values, dtype)


@operator("ImageDecoder", since=20)
def image_decoder(encoded_stream: Array, *, pixel_format: str = "RGB") -> Array:
    """The image in a file's bytes -> [height, width, channels], decoded by Pillow; [0, 0, channels] if it cannot be.

    BMP, JPEG, JPEG 2000, PNG, PNM, TIFF and WebP, of 8 bits a channel (of 16 the upper 8 are taken); transparency is
    left out. Grayscale of colours is `(19595 R + 38470 G + 7471 B + 32768) >> 16`. CMYK, other kinds of numbers and
    JPEG 2000 of any but the reversible wavelet are refused. JPEG is what libjpeg-turbo makes of it (docs/numerics.md).
    """
    if pixel_format not in ("RGB", "BGR", "Grayscale"):
        raise InvalidModelError(f"pixel_format is {pixel_format!r}, expected RGB, BGR or Grayscale")
    if encoded_stream.ndim != 1:
        raise ShapeError(f"encoded_stream has shape {list(encoded_stream.shape)}, expected one dimension")
    pixels = decoded(encoded_stream.tobytes())
    if pixels is None:
        return np.empty((0, 0, 1 if pixel_format == "Grayscale" else 3), np.uint8)
    if pixel_format == "Grayscale":
        return luma(pixels)[:, :, None]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, ::-1] if pixel_format == "BGR" else pixels)


def luma(pixels: Array) -> Array:
    """Brightness of [H, W, 3] as ITU-R 601-2 weighs it; a grey image [H, W] is that already."""
    if pixels.ndim == 2:
        return pixels
    r, g, b = (pixels[:, :, channel].astype(np.uint32) for channel in range(3))
    return ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(np.uint8)


def decoded(stream: bytes) -> Array | None:
    """[H, W] of a grey image, [H, W, 3] of one with colours; None if it is no image."""
    try:
        from PIL import Image, features
    except ImportError as error:
        message = "ImageDecoder needs Pillow, which is not installed: pip install 'diptych-reference[image]'"
        raise UnsupportedOperatorError(message) from error
    formats: tuple[str, ...] = FORMATS
    if jpeg2000.is_file(stream):
        if not features.check("jpg_2000"):
            raise UnsupportedOperatorError("JPEG 2000 needs a Pillow with OpenJPEG, as its wheels have it")
        try:
            stream, formats = jpeg2000.codestream(stream), ("JPEG2000",)
        except jpeg2000.BrokenError:
            return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels: the limit here is another
            image = Image.open(io.BytesIO(stream), formats=formats)
            check_kind(image)
            image.load()
    except (InvalidInputError, ResourceLimitError, UnsupportedOperatorError):
        raise
    except Image.DecompressionBombError as error:
        raise ResourceLimitError(f"an image of more than {PIXELS} pixels: {error}") from error
    except Exception:  # whatever a decoder thinks of a broken file
        return None
    if image.mode.startswith("I;16"):
        return (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))


def check_kind(image: Any) -> None:
    """Refuse an image that is too large, or of a kind that decoders take differently."""
    if math.prod(image.size) > PIXELS:
        raise ResourceLimitError(f"an image of {image.size} pixels, at most {PIXELS} are decoded")
    if image.mode not in MODES or (image.format == "TIFF" and image.mode == "P"):
        raise UnsupportedOperatorError(f"an image of mode {image.mode} is not supported")
