"""Weights of a few bits in blocks: MatMulNBits and GatherBlockQuantized."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.testing.families.quantization import scales
from diptych.testing.shapes import shape as any_shape
from diptych.testing.shapes import side
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array

DEPTHS = (16, 1, 5, 32, 33, 64, 100, 0, 257, 600)  # K: whole blocks, parts of one, more than a panel's depth
BLOCKS = (16, 32, 64, 128, 1024)
UINT8 = np.dtype(np.uint8)


def codes(s: Sketch, shape: tuple[int, ...]) -> Array:
    """Bytes of codes: random ones, now and then all of them at an end."""
    if s.choose(True, True, True, False):
        return np.random.default_rng(s.integer(0, 0xFFFF)).integers(0, 256, shape).astype(np.uint8)
    return np.full(shape, s.choose(0, 255, 0x80, 0x0F), np.uint8)


@shape_rule("MatMulNBits", domain="com.microsoft")
def matmul_nbits(s: Sketch) -> list[Any]:
    """A [..., K], B [N, blocks, bytes], scales, and perhaps zero points, g_idx and bias."""
    k = s.set("K", s.choose(*DEPTHS))
    rows = s.choose((), (1,), (2,), (3, 2), (5,), (17,), (0,), (1, 37)) if k <= 100 else s.choose((1,), (), (2,))
    few = math.prod(rows) * k <= 640
    n = s.set("N", s.choose(*((1, 70, 5, 15, 16, 17, 33, 64, 8, 130, 0) if few else (1, 5, 16, 17, 33))))
    block, bits = s.set("block_size", s.choose(*BLOCKS)), s.attribute("bits", 4, 8, 2)
    s.attribute("accuracy_level", 0, 4, 1, 2, 3, 4)
    s.attribute("weight_prepacked", 0)
    blocks = -(-k // block)
    shape = (n, blocks, block * bits // 8)
    inputs: list[Any] = [s.tensor((*rows, k)), codes(s, shape), scales(s, (n, blocks), s.dtype)]
    if s.choose(False, False, False, False, False, False, False, True):  # no weights
        inputs[1] = np.zeros([0 if s.coin() else length for length in (0, *shape[1:])], np.uint8)
        inputs[2] = inputs[2] if s.coin() else np.zeros((0, blocks), s.dtype)
    form = s.choose("default", "packed", "floats")
    zero_points = None
    if form != "default":
        zero_points = codes(s, (n, -(-blocks * bits // 8))) if form == "packed" else s.tensor((n, blocks))
    if s.coin():  # as old models have them
        inputs[2] = inputs[2].reshape(-1)
        zero_points = None if zero_points is None else zero_points.reshape(-1)
    places = None
    if s.choose(False, False, False, True):
        length = s.choose(k, blocks * block)
        places = np.random.default_rng(s.integer(0, 0xFFFF)).integers(0, max(blocks, 1), length).astype(np.int32)
    return [*inputs, zero_points, places, s.tensor((n,)) if s.coin() else None]


@shape_rule("GatherBlockQuantized", domain="com.microsoft")
def gather_block_quantized(s: Sketch) -> list[Any]:
    """Data, indices of any shape, in and out of range, scales, and perhaps zero points."""
    packed, small_float = s.dtype == UINT8, s.dtype.name.startswith("float")
    bits = s.attribute("bits", 4, 8, 2) if packed else s.attribute("bits", 4)
    per_byte = 8 // bits if packed else 1
    block = s.set("block_size", s.choose(16, 32, 128, *((0,) if small_float else ())))
    shape = [*any_shape(s.draw, (1, 3), 40), side(s.draw, 8 if packed else 37)]
    gathered, blocked = 0, len(shape) - 1
    if not packed:
        gathered, blocked = s.choose(*range(len(shape))), s.choose(*reversed(range(len(shape))))
    s.set("quantize_axis", blocked - (len(shape) if s.coin() else 0))
    if gathered or s.coin():
        s.set("gather_axis", gathered - (len(shape) if s.coin() else 0))
    if not packed and s.coin():
        shape[blocked] = s.choose(33, 16, 17, 32, 1)
    along = shape[-1] * per_byte if packed else shape[blocked]
    by_block = list(shape)
    by_block[blocked] = -(-along // (block or max(along, 1)))
    where = any_shape(s.draw, (0, 2), 20)
    length = shape[gathered]
    random = np.random.default_rng(s.integer(0, 0xFFFF))
    beyond = s.choose(0, 0, 2)
    indices = random.integers(-length - beyond, max(length, 1) + beyond, where).astype(s.input_dtype("indices"))
    data = codes(s, tuple(shape)) if packed else s.tensor(shape)
    spread = [1 if small_float and i != blocked and s.coin() else n for i, n in enumerate(by_block)]
    given = scales(s, tuple(spread), s.input_dtype("scales"))
    zero_points = None
    if not small_float and s.coin():
        packed_shape = (*by_block[:-1], -(-by_block[-1] * bits // 8))
        zero_points = codes(s, packed_shape) if packed else s.tensor(by_block)
    return [data, indices, given, zero_points]
