"""JPEG 2000 as ImageDecoder takes it: what a file says of itself, before a decoder sees its packets.

Only what is decoded alike everywhere goes through: the reversible (5/3) wavelet of integers, 8 bits, whole files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from diptych_reference.errors import ResourceLimitError, UnsupportedOperatorError

PIXELS = 1 << 25  # of an image: decoders need about 32 bytes for each
LEVELS = 16
PLANES = 16
LAYERS = 32
BYTES = 16  # that descriptions of code-blocks may take, for a pixel
ROOM = 64 << 20  # and for any image

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"  # SOC, SIZ
SIZ, COD, TLM, PLT, QCD, CRG, COM = 0xFF51, 0xFF52, 0xFF55, 0xFF58, 0xFF5C, 0xFF63, 0xFF64
SOT, SOD, EOC = 0xFF90, 0xFF93, 0xFFD9


class BrokenError(Exception):
    """A file that is not whole, or contradicts itself: it holds no image."""


def is_file(stream: bytes) -> bool:
    """Whether `stream` starts as a JPEG 2000 file does, in boxes or without."""
    return stream.startswith((SIGNATURE, CODESTREAM))


def codestream(stream: bytes) -> bytes:
    """The codestream in a file, checked."""
    return in_boxes(stream) if stream.startswith(SIGNATURE) else checked(stream)[0]


def refuse(what: str) -> NoReturn:
    """Say what a decoder might take, but is not taken here."""
    message = f"JPEG 2000 with {what} is not supported: save the image as lossless JPEG 2000 without it, or as PNG"
    raise UnsupportedOperatorError(message)


def need(condition: bool) -> None:
    """The file is broken unless `condition`."""
    if not condition:
        raise BrokenError


class Reader:
    """Bytes of a file, from front to back."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def rest(self) -> bytes:
        """What has not been read."""
        return self.data[self.at :]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        need(0 <= count <= len(self.data) - self.at)
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self, count: int) -> int:
        """An integer of `count` bytes."""
        return int.from_bytes(self.take(count), "big")

    def integers(self, each: int, count: int) -> list[int]:
        """`count` integers of `each` bytes."""
        return [self.integer(each) for _ in range(count)]

    def segment(self) -> Reader:
        """The rest of a marker's segment."""
        return Reader(self.take(self.integer(2) - 2))

    def box(self) -> tuple[bytes, Reader]:
        """A box of a JP2 file: its type and content."""
        length, kind = self.integer(4), self.take(4)
        if length == 0:
            return kind, Reader(self.take(len(self.data) - self.at))
        return kind, Reader(self.take(self.integer(8) - 16 if length == 1 else length - 8))


@dataclass
class Size:
    """What a codestream says of its image."""

    width: int
    height: int
    components: int
    tile: tuple[int, int]  # width and height
    tiles: int


def in_boxes(stream: bytes) -> bytes:
    """The codestream in a JP2 file."""
    file, header = Reader(stream), None
    while True:
        kind, content = file.box()
        if kind == b"jp2h" and header is None:
            header = Header(content)
        elif kind == b"jp2c":
            if header is None:
                raise BrokenError
            code, size = checked(content.data)
            header.check(size)
            return code


class Header:
    """What the boxes around a codestream say of the image in it."""

    def __init__(self, boxes: Reader) -> None:
        self.size: list[int] | None = None  # height, width, components
        self.colors: int | None = None  # channels of colour; 0 with a profile, which leaves it open
        self.channels: int | None = None  # where channels are defined
        while boxes.rest():
            kind, content = boxes.box()
            if kind == b"ihdr":
                self.size = [*content.integers(4, 2), content.integer(2)]
            elif kind == b"colr" and self.colors is None:  # others say the same otherwise
                self.colors = colors_of(content)
            elif kind == b"cdef":
                self.channels = channels_of(content)
            elif kind in (b"pclr", b"cmap"):
                refuse("a palette")
        need(self.size is not None and self.colors is not None)

    def check(self, size: Size) -> None:
        """The codestream says the same."""
        need(self.size == [size.height, size.width, size.components])
        need(self.colors in (0, 1 if size.components < 3 else 3))
        need(self.channels in (None, size.components))


def colors_of(content: Reader) -> int:
    """Channels of the colour space in a box colr."""
    method = content.integer(1)
    content.take(2)
    if method == 2:
        return 0
    if method != 1:
        refuse("a colour space of its own")
    space = content.integer(4)
    if space not in (16, 17):
        refuse("a colour space other than sRGB and grey")
    return 3 if space == 16 else 1


def channels_of(content: Reader) -> int:
    """How many channels a box cdef defines, which are to be colours in their order, and opacity."""
    count = content.integer(2)
    for channel in range(count):
        opacity = count % 2 == 0 and channel + 1 == count
        if content.integers(2, 3) != ([channel, 1, 0] if opacity else [channel, 0, channel + 1]):
            refuse("channels in an unusual order")
    return count


def checked(stream: bytes) -> tuple[bytes, Size]:
    """The codestream at the start of `stream`, whole and of a kind that is decoded."""
    need(stream.startswith(CODESTREAM))
    reader = Reader(stream)
    reader.take(4)
    size = size_of(reader.segment())
    style = exponents = None
    while (marker := reader.integer(2)) != SOT:
        if marker == COD and style is None:
            style = Style(reader.segment(), size)
        elif marker == QCD and exponents is None:
            exponents = reader.segment().data
        elif marker in (COD, QCD, SIZ):
            raise BrokenError
        elif marker in (TLM, CRG, COM):
            reader.segment()
        else:
            refuse("such a marker in its header")
    if style is None or exponents is None:
        raise BrokenError
    check_planes(exponents, style.levels)
    style.check_room(size)
    length = check_tiles(stream, reader.at - 2, size.tiles)
    check_halves(size.width, size.tile[0], style.levels)
    check_halves(size.height, size.tile[1], style.levels)
    return stream[:length], size


def size_of(segment: Reader) -> Size:
    """The segment SIZ."""
    segment.take(2)  # capabilities
    width, height, *offset, tile_width, tile_height, x, y = segment.integers(4, 8)
    components = segment.integer(2)
    described = segment.rest()
    need(len(described) == 3 * components and 0 not in (width, height, tile_width, tile_height))
    if not 1 <= components <= 4:
        refuse("more than four components")
    if any((*offset, x, y)):
        refuse("an offset of the image or its tiles")
    for component in range(components):
        depth, *steps = described[3 * component : 3 * component + 3]
        if depth != 7:
            refuse("components that are not of 8 bits, unsigned")
        if steps != [1, 1]:
            refuse("subsampled components")
    if width * height > PIXELS:
        raise ResourceLimitError(f"an image of {width} x {height} pixels, at most {PIXELS} are decoded")
    tiles = -(-width // tile_width) * -(-height // tile_height)
    need(tiles <= 0xFFFF)
    return Size(width, height, components, (min(tile_width, width), min(tile_height, height)), tiles)


class Style:
    """How components are coded: the segment COD."""

    def __init__(self, segment: Reader, size: Size) -> None:
        flags, order = segment.integers(1, 2)
        self.layers = segment.integer(2)
        mixed, self.levels = segment.integers(1, 2)
        self.block = [side + 2 for side in segment.integers(1, 2)]  # logarithms of width and height
        options, wavelet = segment.integers(1, 2)
        stored = segment.rest()
        need(order <= 4 and self.layers > 0 and mixed <= (size.components > 2) and self.levels <= 32)
        need(max(self.block) <= 10 and self.block[0] + self.block[1] <= 12 and wavelet <= 1)
        need(len(stored) == (self.levels + 1 if flags & 1 else 0))
        if wavelet == 0:
            refuse("the irreversible (9/7) wavelet")
        if flags > 1 or options != 0:
            refuse("options of packets or code-blocks")
        if self.layers > LAYERS or self.levels > LEVELS:
            refuse("more than 32 layers or 16 decompositions")
        # Logarithms of a precinct's width and height at every resolution.
        self.precincts = [(byte & 15, byte >> 4) for byte in stored] or [(15, 15)] * (self.levels + 1)
        need(all(0 not in precinct for precinct in self.precincts[1:]))

    def check_room(self, size: Size) -> None:
        """Refuse code-blocks so many that their descriptions are much larger than the image."""
        blocks = 0
        for resolution, precinct in enumerate(self.precincts):
            # Those of the largest tile, rounded up: of a band's side, and of parts of blocks at both its ends.
            less = min(resolution, 1)
            bands, halvings = (3, self.levels - resolution + 1) if resolution else (1, self.levels)
            width, height = (
                (((size.tile[axis] >> halvings) + 2) >> min(self.block[axis], precinct[axis] - less)) + 2
                for axis in (0, 1)
            )
            blocks += bands * width * height
        needed = blocks * size.components * (256 + 24 * self.layers)
        if needed > size.width * size.height * BYTES + ROOM:
            refuse("so many code-blocks")


def check_planes(segment: bytes, levels: int) -> None:
    """The segment QCD: of the reversible wavelet it says how many bit planes each band has."""
    need(len(segment) == 3 * levels + 2 and segment[0] & 31 == 0)
    if any((segment[0] >> 5) + (byte >> 3) > PLANES + 1 for byte in segment[1:]):
        refuse("more than 16 bit planes")


def check_halves(extent: int, tile: int, levels: int) -> None:
    """Refuse tiles of which a level of the wavelet is one number at an odd place along an axis.

    It is halved, and decoders round differently where it is odd since bit planes were left out.
    """
    for start in range(0, extent, tile):
        end = min(start + tile, extent)
        for halvings in range(levels):
            low, high = (-(-place >> halvings) for place in (start, end))
            if low % 2 == 1 and high == low + 1:
                refuse("tiles that end in a single row or column at an odd place")


def check_tiles(stream: bytes, at: int, tiles: int) -> int:
    """Follow the parts of tiles, of which the first starts at `at`: all tiles are there. Where the codestream ends."""
    parts = [(0, 0)] * tiles  # seen and announced
    while True:
        reader = Reader(stream[at : at + 12])
        marker = reader.integer(2)
        if marker == EOC:
            break
        need(marker == SOT)
        segment = reader.segment()
        tile, length = segment.integer(2), segment.integer(4)
        part, count = segment.integers(1, 2)
        need(tile < tiles and not segment.rest())
        seen, announced = parts[tile]
        need(part == seen and (announced == 0 or count in (0, announced)))
        parts[tile] = part + 1, max(announced, count)
        end = at + length if length else len(stream) - 2
        need(at + 12 <= end <= len(stream))
        check_part(Reader(stream[at + 12 : end]))
        at = end
    need(all(seen > 0 and announced in (0, seen) for seen, announced in parts))
    return at + 2


def check_part(part: Reader) -> None:
    """The header of a tile's part is to say nothing of its own."""
    while (marker := part.integer(2)) != SOD:
        if marker not in (PLT, COM):
            refuse("such a marker in the header of a tile")
        part.segment()
