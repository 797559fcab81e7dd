"""ImageDecoder: two decoders that share no code. Lossless formats and JPEG are equal, lossy WebP nearly so."""

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


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("options", [{"quality": 95}, {"quality": 75}, {"quality": 30, "progressive": True}], ids=str)
def test_jpeg_differs_by_a_few_levels(subsampling: str, options: dict[str, Any]) -> None:
    left, right = both(file(picture(61, 43), "JPEG", subsampling=subsampling, **options))
    difference = np.abs(left.astype(int) - right.astype(int))
    assert difference.max() <= 2
    assert difference.mean() < 0.5


def test_grey_jpeg() -> None:
    left, right = both(file(picture(61, 43, "L"), "JPEG", quality=80), "Grayscale")
    assert np.abs(left.astype(int) - right.astype(int)).max() <= 1


def test_lossy_webp_differs_by_a_few_levels() -> None:
    left, right = both(file(picture(61, 43), "WEBP", quality=70))
    assert np.abs(left.astype(int) - right.astype(int)).max() <= 2


@pytest.mark.parametrize("kind", ["BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
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
