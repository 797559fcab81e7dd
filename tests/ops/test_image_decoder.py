"""ImageDecoder: two decoders that share no code. Lossless formats are equal, and so is JPEG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from diptych.testing import Case, on_engine, on_reference
from diptych.testing.values import Array

Image = pytest.importorskip("PIL.Image")


def both(stream: bytes, pixel_format: str = "RGB") -> tuple[Array, Array]:
    """What the panels make of a file."""
    case = Case("ImageDecoder", "", 20, (np.frombuffer(stream, np.uint8),), {"pixel_format": pixel_format}, 1)
    outcomes = on_reference(case), on_engine(case)
    for outcome in outcomes:
        assert outcome.error is None, outcome.error
    [left], [right] = (outcome.outputs for outcome in outcomes)
    assert left.shape == right.shape
    assert left.size > 0
    return left, right


def file(image: Any, kind: str, **options: Any) -> bytes:
    """An image as a file."""
    with io.BytesIO() as stream:
        image.save(stream, format=kind, **options)
        return stream.getvalue()


def picture(width: int, height: int, mode: str = "RGB") -> Any:
    """Smooth colours with edges and a little noise, as photographs have them."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / (5 + k)) * np.cos(y / (9 - k)) for k in range(3)]
    pixels = np.stack(waves, axis=2) + np.random.default_rng(0).normal(size=(height, width, 3)) * 4
    pixels[height // 3 :, width // 2 :] = [220, 40, 90]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


LOSSLESS = [
    *[("BMP", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")],
    *[("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
    *[("PNG", "P", {"bits": bits}) for bits in (1, 2, 4)],
    *[("PPM", mode, {}) for mode in ("1", "L", "RGB")],
    *[("TIFF", mode, {}) for mode in ("1", "L", "RGB", "RGBA", "I;16")],
    *[("TIFF", "RGB", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits")],
    *[("JPEG2000", mode, {"no_jp2": raw}) for mode in ("L", "LA", "RGB", "RGBA") for raw in (False, True)],
    ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", {"lossless": True}),
]


@pytest.mark.parametrize(("kind", "mode", "options"), LOSSLESS, ids=lambda value: str(value))
@pytest.mark.parametrize("pixel_format", ["RGB", "BGR", "Grayscale"])
def test_lossless_formats_are_equal(kind: str, mode: str, options: dict[str, Any], pixel_format: str) -> None:
    left, right = both(file(picture(37, 23, mode), kind, **options), pixel_format)
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("TIFF", "CMYK"), ("TIFF", "P"), ("TIFF", "F")])
def test_other_kinds_are_refused(kind: str, mode: str) -> None:
    stream = np.frombuffer(file(picture(9, 7).convert("L" if mode == "F" else "RGB").convert(mode), kind), np.uint8)
    case = Case("ImageDecoder", "", 20, (stream,), {}, 1)
    for outcome in (on_reference(case), on_engine(case)):
        assert isinstance(outcome.error, NotImplementedError), outcome


SIZES = [(61, 43), (1, 1), (2, 3), (8, 8), (16, 17), (5, 40)]
QUALITIES = [{"quality": 95}, {"quality": 60, "restart_marker_blocks": 2}, {"quality": 5}]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "grey"])
def test_jpeg_is_equal(size: tuple[int, int], progressive: bool, subsampling: str) -> None:
    """The engine's decoder has libjpeg-turbo's transform, interpolation and colours."""
    grey = subsampling == "grey"
    options = {} if grey else {"subsampling": subsampling}
    for quality in QUALITIES:
        image = picture(*size, "L" if grey else "RGB")
        left, right = both(file(image, "JPEG", progressive=progressive, **options, **quality))
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(("subsampling", "factors"), [("4:2:2", 0x12), ("4:2:0", 0x41), ("4:2:0", 0x14)])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_of_rare_sampling_factors_is_equal(subsampling: str, factors: int, progressive: bool) -> None:
    """Factors that Pillow does not write: as many blocks of another arrangement are a file as well."""
    stream = bytearray(file(picture(64, 64), "JPEG", subsampling=subsampling, progressive=progressive))
    header = stream.find(b"\xff\xc2" if progressive else b"\xff\xc0")
    stream[header + 11] = factors  # of brightness
    left, right = both(bytes(stream))
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("quality", [10, 70, 100])
def test_lossy_webp_differs_by_a_level_at_most(mode: str, quality: int) -> None:
    """So far it is equal; nobody promises that."""
    left, right = both(file(picture(61, 43, mode), "WEBP", quality=quality))
    assert np.abs(left.astype(int) - right.astype(int)).max() <= 1


def test_jpeg_inside_tiff_differs_by_a_few_levels() -> None:
    left, right = both(file(picture(61, 43), "TIFF", compression="jpeg", quality=90))
    assert np.abs(left.astype(int) - right.astype(int)).max() <= 4


@pytest.mark.parametrize("kind", ["BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"])
def test_broken_files_do_no_harm(kind: str) -> None:
    """Every prefix of a file, and files with a wrong byte: an image, an empty one or a refusal, never a crash."""
    whole = file(picture(9, 7), kind)
    damaged = [whole[:length] for length in range(0, len(whole), max(1, len(whole) // 40))]
    random = np.random.default_rng(0)
    for _ in range(150):
        stream = bytearray(whole)
        for place in random.integers(0, min(len(whole), 200), 2):
            stream[place] = random.integers(0, 256)
        damaged.append(bytes(stream))
    for stream in damaged:
        case = Case("ImageDecoder", "", 20, (np.frombuffer(stream, np.uint8),), {}, 1)
        outcome = on_engine(case)
        assert outcome.error is not None or outcome.outputs[0].ndim == 3
        on_reference(case)
