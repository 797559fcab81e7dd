"""Images: what a place is, and what a file holds."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from tests.traps.both import answer, refusals, same

import diptych
import diptych_reference
from diptych.testing.families.image import bmp, chunk, png, pnm

F = np.float32
SQUARE = np.arange(1, 7, dtype=F).reshape(1, 1, 2, 3)


def sample(places: list, x: np.ndarray = SQUARE, opset: int = 20, **attributes: object) -> list:
    """At places of one row."""
    grid = np.array(places, F).reshape(1, *(1,) * (x.ndim - 3), -1, x.ndim - 2)
    return answer("GridSample", [x, grid], attributes, opset=opset).reshape(-1).tolist()


def test_places_are_x_before_y() -> None:
    assert sample([[1, -1], [-1, 1]], align_corners=1) == [3, 4]
    volume = np.arange(8, dtype=F).reshape(1, 1, 2, 2, 2)
    grid = np.array([1, -1, -1, -1, 1, -1, -1, -1, 1], F).reshape(1, 1, 1, 3, 3)
    found = answer("GridSample", [volume, grid], {"align_corners": 1}, opset=22)
    same(found.reshape(-1), [1, 2, 4])


def test_by_default_the_ends_are_edges() -> None:
    """-1 is the left edge of the first element: with zeros half of it is outside."""
    assert sample([[-1, -0.5], [-2 / 3, -0.5]]) == [0.5, 1]
    assert sample([[-1, -0.5]], align_corners=1) == [1.75]


def test_names_of_modes_changed_in_20() -> None:
    for old, new in (("bilinear", "linear"), ("bicubic", "cubic"), ("nearest", "nearest")):
        places = [[0.1, 0.3], [-0.4, 0.9]]
        assert sample(places, opset=16, mode=old) == sample(places, opset=22, mode=new)
        grid = np.zeros((1, 1, 1, 2), F)
        if old != new:
            refusals("GridSample", [SQUARE, grid], {"mode": new}, opset=16)
            refusals("GridSample", [SQUARE, grid], {"mode": old}, opset=20)
    refusals("GridSample", [np.zeros((1, 1, 4), F), np.zeros((1, 2, 1), F)], opset=16)


def test_nearest_takes_the_even_one_of_two() -> None:
    line = np.arange(4, dtype=F).reshape(1, 1, 4)
    places = [(2 * at + 1) / 4 - 1 for at in (0.5, 1.5, 2.5)]
    assert sample(places, line, mode="nearest") == [0, 2, 2]


def test_reflection_folds_until_it_is_inside() -> None:
    """Edges -1/2 and 3 1/2: -3.5 becomes 2.5 (ties to even: 2)."""
    line = np.arange(4, dtype=F).reshape(1, 1, 4)
    place = lambda at: (2 * at + 1) / 4 - 1  # noqa: E731
    places = [place(at) for at in (-1, -2, 4, 5, 9, -9)]
    assert sample(places, line, mode="nearest", padding_mode="reflection") == [0, 1, 3, 2, 1, 0]
    aligned = [at * 2 / 3 - 1 for at in (-1, -3.5, 4, 7)]
    assert sample(aligned, line, padding_mode="reflection", align_corners=1) == pytest.approx([1, 2.5, 2, 1], abs=1e-5)
    assert sample([-3, 0.5, 7], line[:, :, :1], mode="nearest", padding_mode="reflection", align_corners=1) == [0, 0, 0]


def test_a_cubic_place_outside_stays_there_and_its_neighbours_are_clamped() -> None:
    """Just outside the first of 0, 1: a cubic through 0, 0, 0, 1 is below 0; far outside only the border is seen."""
    line = np.array([0, 1], F).reshape(1, 1, 2)
    near, far = sample([(2 * -0.75 + 1) / 2 - 1, 9], line, mode="cubic", padding_mode="border")
    assert near == pytest.approx(-0.75 * 0.25**2 * 0.75)
    assert far == pytest.approx(1)


def test_places_that_are_no_numbers() -> None:
    bad = [np.nan, np.inf, -np.inf]
    line = np.array([1, 2, 4, 8], F).reshape(1, 1, 4)
    for mode in ("nearest", "linear", "cubic"):
        assert sample(bad, line, mode=mode) == [0, 0, 0]
        assert sample(bad, line, mode=mode, padding_mode="border") == [1, 8, 1]
    assert all(value in (1, 2, 4, 8) for value in sample(bad, line, mode="nearest", padding_mode="reflection"))


@pytest.mark.parametrize("dtype", ["int8", "uint64", "bool", "complex64", "complex128"])
def test_other_numbers_are_interpolated_and_cast(dtype: str) -> None:
    x = np.array([[[1, 4]]]).astype(dtype)
    found = answer("GridSample", [x, np.zeros((1, 1, 1), F)], opset=22)
    same(found, np.array([[[2.5]]]).astype(dtype))
    strings = np.array([[["a", "b"]]], object)
    places = np.array([[[0.5], [9]]], F)
    assert answer("GridSample", [strings, places], {"mode": "nearest"}, opset=22).tolist() == [[["b", ""]]]
    refusals("GridSample", [strings, places], opset=22)


def test_an_empty_image_has_zeros_but_no_border() -> None:
    x, grid = np.zeros((1, 1, 0), F), np.zeros((1, 1, 1), F)
    same(answer("GridSample", [x, grid], opset=22), [[[0]]])
    refusals("GridSample", [x, grid], {"padding_mode": "border"}, opset=22)


def test_a_single_element_lies_in_the_middle() -> None:
    theta = np.array([[[1, 0, 0], [0, 1, 0]]], F)
    same(answer("AffineGrid", [theta, np.array([1, 1, 1, 2])], {"align_corners": 1}, opset=20), [[[[-1, 0], [1, 0]]]])
    same(answer("AffineGrid", [theta, np.array([1, 1, 1, 2])], opset=20), [[[[-0.5, 0], [0.5, 0]]]])
    refusals("AffineGrid", [theta, np.array([2, 1, 1, 2])], opset=20)
    refusals("AffineGrid", [theta, np.array([1, 1, 1, 1, 2])], opset=20)


def decode(stream: bytes, pixel_format: str = "RGB") -> np.ndarray:
    return answer("ImageDecoder", [np.frombuffer(stream, np.uint8)], {"pixel_format": pixel_format}, opset=20)


PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


@pytest.mark.parametrize("encode", [bmp, pnm, lambda pixels: png(pixels, 8)], ids=["bmp", "pnm", "png"])
def test_pixels_and_their_order(encode: object) -> None:
    stream = encode(PIXELS)  # type: ignore[operator]
    same(decode(stream), PIXELS)
    same(decode(stream, "BGR"), PIXELS[:, :, ::-1])
    r, g, b = (PIXELS[:, :, i].astype(int) for i in range(3))
    same(decode(stream, "Grayscale"), ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16)[:, :, None], np.uint8)


def test_transparency_is_left_out_and_16_bits_are_cut() -> None:
    rgba = np.concatenate([PIXELS, PIXELS[:, :, :1]], axis=2)
    same(decode(png(rgba, 8)), PIXELS)
    same(decode(png(PIXELS.astype(int) * 256 + 255, 16)), PIXELS)
    grey = PIXELS[:, :, :1]
    same(decode(png(grey, 8)), np.repeat(grey, 3, axis=2))
    same(decode(png(np.repeat(grey, 2, axis=2), 8), "Grayscale"), grey)
    same(decode(png(grey.astype(int) * 256 + 200, 16), "Grayscale"), grey)


@pytest.mark.parametrize(
    "stream", [b"", b"P6\n3 3\n255\nab", png(PIXELS, 8)[:-30], b"GIF89a" + bytes(40), b"\xff\xd8\xff"]
)
def test_what_cannot_be_decoded_is_empty(stream: bytes) -> None:
    same(decode(stream), np.zeros((0, 0, 3), np.uint8))
    same(decode(stream, "Grayscale"), np.zeros((0, 0, 1), np.uint8))


def jpeg_2000(width: int, height: int, wavelet: int) -> bytes:
    """A codestream of one grey tile without data."""
    size = struct.pack(">HHIIIIIIIIHBBB", 41, 0, width, height, 0, 0, width, height, 0, 0, 1, 7, 1, 1)
    style = struct.pack(">HBBHBBBBBB", 12, 0, 0, 1, 0, 0, 4, 4, 0, wavelet)
    quantization = struct.pack(">HBB", 4, 0x40, 8 << 3)
    part = struct.pack(">HHIBB", 10, 0, 15, 0, 1)
    return b"\xff\x4f\xff\x51%b\xff\x52%b\xff\x5c%b\xff\x90%b\xff\x93\0\xff\xd9" % (size, style, quantization, part)


def test_lossless_jpeg_2000_is_decoded() -> None:
    """All coefficients are 0: the middle of the range."""
    same(decode(jpeg_2000(3, 2, 1), "Grayscale"), np.full((2, 3, 1), 128, np.uint8))
    same(decode(jpeg_2000(3, 2, 1)[:-1]), np.zeros((0, 0, 3), np.uint8))
    same(decode(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50)), np.zeros((0, 0, 3), np.uint8))


def test_lossy_jpeg_2000_is_refused() -> None:
    """Decoders round the irreversible wavelet differently."""
    errors = refusals("ImageDecoder", [np.frombuffer(jpeg_2000(3, 2, 0), np.uint8)], opset=20)
    assert "irreversible (9/7)" in str(errors[0])
    assert "irreversible (9/7)" in str(errors[1])
    assert isinstance(errors[0], diptych_reference.UnsupportedOperatorError)
    assert isinstance(errors[1], diptych.UnsupportedOperatorError)


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    """A small file that says it has 2^34 pixels."""
    header = struct.pack(">IIBBBBB", 1 << 17, 1 << 17, 8, 2, 0, 0, 0)
    content = zlib.compress(bytes(1000))
    stream = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")
    for bomb in (stream, jpeg_2000(1 << 17, 1 << 17, 1), jpeg_2000((1 << 25) + 1, 1, 1)):
        errors = refusals("ImageDecoder", [np.frombuffer(bomb, np.uint8)], opset=20)
        assert isinstance(errors[0], diptych_reference.ResourceLimitError)
        assert isinstance(errors[1], diptych.ResourceLimitError)
