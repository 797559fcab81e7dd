"""JPEG 2000: OpenJPEG (through Pillow) and hayro-jpeg2000 share no code. The reversible wavelet gives equal bits."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.testing import Case, on_engine, on_reference
from diptych.testing.panels import Outcome
from diptych.testing.values import Array

Image = pytest.importorskip("PIL.Image")

MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def run(stream: bytes, pixel_format: str = "RGB") -> tuple[Outcome, Outcome]:
    """What the panels make of a file."""
    case = Case("ImageDecoder", "", 20, (np.frombuffer(stream, np.uint8),), {"pixel_format": pixel_format}, 1)
    return on_reference(case), on_engine(case)


def file(pixels: Array, mode: str, **options: Any) -> bytes:
    """An image as a file."""
    with io.BytesIO() as stream:
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        assert image.mode == mode
        image.save(stream, format="JPEG2000", **options)
        return stream.getvalue()


def picture(height: int, width: int, channels: int, noise: int) -> Array:
    """Waves and noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([127 + 90 * np.sin(x / (5 + k)) * np.cos(y / (9 - k)) for k in range(channels)], axis=2)
    spread = np.random.default_rng(noise).normal(size=waves.shape) * noise
    return (waves + spread).clip(0, 255).astype(np.uint8)


@st.composite
def images(draw: st.DrawFn) -> tuple[Array, str, dict[str, Any]]:
    """An image, its mode, and options of the encoder. Its `offset` is left out: Pillow's encoder crashes with it."""
    mode = draw(st.sampled_from(sorted(MODES)))
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    smallest = min(height, width)
    options: dict[str, Any] = {
        "no_jp2": draw(st.booleans()),
        "plt": draw(st.booleans()),
        "progression": draw(st.sampled_from(["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"])),
        "codeblock_size": draw(st.sampled_from([(64, 64), (4, 4), (32, 8), (16, 16), (4, 256)])),
    }
    if draw(st.booleans()):  # multiples, since some others are refused
        options["tile_size"] = 8 * draw(st.integers(1, 5)), 8 * draw(st.integers(1, 5))
        smallest = min(smallest, 8)
    options["num_resolutions"] = draw(st.integers(1, min(6, smallest.bit_length())))
    if draw(st.booleans()):
        options["precinct_size"] = draw(st.sampled_from([(32, 32), (64, 128), (128, 128)]))
    if MODES[mode] > 2:
        options["mct"] = draw(st.integers(0, 1))
    return picture(height, width, MODES[mode], draw(st.sampled_from([3, 0, 100]))), mode, options


@given(images())
def test_lossless_files_are_exact(drawn: tuple[Array, str, dict[str, Any]]) -> None:
    pixels, mode, options = drawn
    colors = 1 if MODES[mode] < 3 else 3
    for outcome in run(file(pixels, mode, irreversible=False, **options), "Grayscale" if colors == 1 else "RGB"):
        assert outcome.error is None, outcome.error
        np.testing.assert_array_equal(outcome.outputs[0], pixels[:, :, :colors])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tile", [None, (32, 24)], ids=str)
@pytest.mark.parametrize("rates", [(40,), (20,), (8,), (3,), (60, 20), (60, 10, 4), (30, 0)], ids=str)
def test_bands_cut_short_are_equal(mode: str, tile: tuple[int, int] | None, rates: tuple[int, ...]) -> None:
    """Layers up to a size: the last bit planes are missing, which is lossy though the wavelet is not.

    Not of random images, since Pillow's encoder writes outside its memory for about one small image in 7000.
    """
    options = {} if tile is None else {"tile_size": tile, "num_resolutions": 3}
    stream = file(picture(50, 70, MODES[mode], 9), mode, quality_layers=list(rates), **options)
    left, right = run(stream)
    assert left.error is None
    assert right.error is None
    assert left.outputs[0].shape == (50, 70, 3)
    np.testing.assert_array_equal(left.outputs[0], right.outputs[0])


PIXELS = picture(23, 37, 3, 4)
WHOLE = file(PIXELS, "RGB", num_resolutions=3)
SIZE = WHOLE.index(b"\xff\x51") + 4  # after the segment's length: capabilities
STYLE = WHOLE.index(b"\xff\x52") + 4


def patched(place: int, content: bytes) -> bytes:
    """The file with other bytes at `place`."""
    return WHOLE[:place] + content + WHOLE[place + len(content) :]


def with_box(kind: bytes, content: bytes) -> bytes:
    """The file with one more box in its header."""
    start = WHOLE.index(b"jp2h") - 4
    [length] = struct.unpack_from(">I", WHOLE, start)
    added = struct.pack(">I4s", 8 + len(content), kind) + content
    header = struct.pack(">I", length + len(added)) + WHOLE[start + 4 : start + length] + added
    return WHOLE[:start] + header + WHOLE[start + length :]


def of_16_bits() -> bytes:
    """A file of 16-bit grey."""
    with io.BytesIO() as stream:
        Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 200).save(stream, format="JPEG2000")
        return stream.getvalue()


REFUSED = {
    "irreversible": (file(PIXELS, "RGB", irreversible=True), "irreversible"),
    "irreversible, bare": (file(PIXELS, "RGB", irreversible=True, no_jp2=True), "irreversible"),
    "16 bits": (of_16_bits(), "not of 8 bits"),
    "signed": (file(PIXELS, "RGB", signed=True), "not of 8 bits"),
    "subsampled": (patched(SIZE + 36 + 4, b"\2\2"), "subsampled"),
    "offset": (patched(SIZE + 10, struct.pack(">I", 1)), "offset"),
    "offset of tiles": (patched(SIZE + 26, struct.pack(">I", 1)), "offset"),
    "sYCC": (patched(WHOLE.index(b"colr") + 7, struct.pack(">I", 18)), "colour space"),
    "palette": (with_box(b"pclr", b"\0\1\1\7\0"), "palette"),
    "order": (with_box(b"cdef", struct.pack(">10H", 3, 0, 0, 3, 1, 0, 2, 2, 0, 1)), "order"),
    "layers": (patched(STYLE + 2, b"\0\x21"), "32 layers"),
    "packets": (patched(STYLE, b"\2"), "options"),
    "code-blocks": (patched(STYLE + 8, b"\1"), "options"),
    "bit planes": (patched(WHOLE.index(b"\xff\x5c") + 4, b"\xe0\xb0"), "bit planes"),
    "odd tiles": (file(PIXELS, "RGB", tile_size=(9, 23), num_resolutions=4), "odd place"),
    "COC": (patched(WHOLE.index(b"\xff\x64"), b"\xff\x53"), "marker"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_kinds_are_refused(name: str) -> None:
    stream, what = REFUSED[name]
    for outcome in run(stream):
        assert isinstance(outcome.error, NotImplementedError), outcome
        assert what in str(outcome.error)


def test_profiles_and_known_channels_are_taken() -> None:
    """A profile is not applied, as of no other format; a box cdef that says what is known anyway changes nothing."""
    with_profile = patched(WHOLE.index(b"colr") + 4, b"\2")
    for stream in (with_profile, with_box(b"cdef", struct.pack(">10H", 3, 0, 0, 1, 1, 0, 2, 2, 0, 3))):
        for outcome in run(stream):
            np.testing.assert_array_equal(outcome.outputs[0], PIXELS)


@pytest.mark.parametrize("tile", [(13, 7), (9, 23), (36, 22), (19, 12)], ids=str)
def test_tiles_of_odd_sizes_are_exact(tile: tuple[int, int]) -> None:
    for outcome in run(file(PIXELS, "RGB", tile_size=tile, num_resolutions=2)):
        assert outcome.error is None, outcome.error
        np.testing.assert_array_equal(outcome.outputs[0], PIXELS)


def test_too_many_code_blocks_are_refused() -> None:
    """Blocks of 1 x 1 in 32 layers: a description of a thousand bytes for each number."""
    size = struct.pack(">HHIIIIIIIIHBBB", 41, 0, 2000, 2000, 0, 0, 2000, 2000, 0, 0, 1, 7, 1, 1)
    style = struct.pack(">HBBHBBBBBBBB", 14, 1, 0, 32, 0, 1, 0, 0, 0, 1, 0x11, 0x11)
    planes = struct.pack(">HB4B", 7, 0x40, *[8 << 3] * 4)
    part = struct.pack(">HHIBB", 10, 0, 14, 0, 1)
    stream = b"\xff\x4f\xff\x51%b\xff\x52%b\xff\x5c%b\xff\x90%b\xff\x93\xff\xd9" % (size, style, planes, part)
    for outcome in run(stream):
        assert isinstance(outcome.error, NotImplementedError), outcome
        assert "code-blocks" in str(outcome.error)


@pytest.mark.parametrize("options", [{}, {"no_jp2": True, "tile_size": (16, 16), "num_resolutions": 2}], ids=str)
def test_files_cut_off_are_empty(options: dict[str, Any]) -> None:
    whole = file(PIXELS, "RGB", **options)
    for length in [*range(min(len(whole), 400)), *range(400, len(whole), 97), len(whole) - 1]:
        for outcome in run(whole[:length]):
            assert outcome.error is None
            assert outcome.outputs[0].shape == (0, 0, 3)


def test_headers_are_judged_alike() -> None:
    """Wrong bytes before the packets: refused by both, with the same kind of error, or by none."""
    random = np.random.default_rng(0)
    packets = WHOLE.index(b"\xff\x93")
    for _ in range(600):
        stream = bytearray(WHOLE)
        for place in random.integers(12, packets, random.integers(1, 3)):
            stream[place] = (
                random.integers(0, 256) if random.random() < 0.5 else stream[place] ^ 1 << random.integers(8)
            )
        left, right = run(bytes(stream))
        assert type(left.error).__name__ == type(right.error).__name__, (left.error, right.error)
