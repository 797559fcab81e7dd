"""Weights of a few bits, quantized in blocks: MatMulNBits and GatherBlockQuantized of com.microsoft.

Rounding programs:

MatMulNBits: a weight is `w = rn(rn(q - zero_point) * scale)` in binary32; `Y = rn(acc + bias)`, acc the fma chain of
`a_k`, `w_k` over k from +0. This is MatMul of what blocked DequantizeLinear gives.

With accuracy_level 4, unless there is a g_idx, zero points are floats or a block has more than 65536 weights: A is
quantized too, each block of a row by itself, `m = max |a|`, `s = rn(m / 127)`, `q_a = rint(clamp(rn(a * rn(127 / m)),
-127, 127))`, 0 where m is 0 and where the product is NaN. For each block in order `acc = fma(rn(d), rn(s * scale),
acc)`, d being the sum of `q_a * (q - zero_point)`, which is exact in int32; then `rn(acc + bias)`.

GatherBlockQuantized: `rn(rn(x - zero_point) * scale)` in binary32, then rounded to the type of the scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diptych_reference.errors import InvalidInputError, InvalidModelError, InvalidTypeError, ShapeError
from diptych_reference.numerics import fma, maximum_over, round_to, to_integer, widen
from diptych_reference.operator import Array, operator
from diptych_reference.ops.matmul import chain
from diptych_reference.ops.quantization import SMALL_INTEGERS, difference
from diptych_reference.ops.shape import normalize_axis

INT8_LEVEL = 4
LARGEST_BLOCK = 1 << 16  # a block's dot product then fits int32
UINT8 = np.dtype(np.uint8)


def unpacked(packed: Array, bits: int) -> Array:
    """Bytes as the 8 / bits integers that each holds, the lowest bits first; the last axis grows."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return codes.reshape(*packed.shape[:-1], packed.shape[-1] * len(shifts))


def check_bits(bits: int, block_size: int) -> None:
    """What both operators take."""
    if bits not in (2, 4, 8):
        raise InvalidModelError(f"bits is {bits}, expected 2, 4 or 8")
    if block_size < 16 or block_size & (block_size - 1):
        raise InvalidModelError(f"block_size is {block_size}, expected a power of two from 16 on")


@dataclass
class Weights:
    """The K x N right operand: `codes` [N, K], and by block `scales` and `zeros` [N, blocks], all in float32 but codes.

    `group` [K] says which block's scale and zero point each k has.
    """

    codes: Array
    scales: Array
    zeros: Array
    group: Array

    def dequantized(self) -> Array:
        """[K, N]."""
        shifted = self.codes.astype(np.float32) - self.zeros[:, self.group]
        return (shifted * self.scales[:, self.group]).T


@operator("MatMulNBits", since=1, domain="com.microsoft")
def matmul_nbits(
    a: Array,
    b: Array,
    scales: Array,
    zero_points: Array | None = None,
    g_idx: Array | None = None,
    bias: Array | None = None,
    *,
    K: int,  # noqa: N803  ONNX Runtime's names
    N: int,  # noqa: N803
    block_size: int,
    bits: int = 4,
    accuracy_level: int = 0,
    weight_prepacked: int = 0,
) -> Array:
    """`a` [..., K] times weights, plus `bias` [N] -> [..., N].

    `b` [N, blocks, block_size * bits / 8] holds the weights' codes; `scales` [N, blocks]; `zero_points`, by default
    2^(bits - 1), packed as `b` [N, ceil(blocks * bits / 8)] or in `a`'s type [N, blocks]; both may be flat. `g_idx` [K]
    names each k's block, by default k // block_size. A `b` with a dimension of 0 stands for weights of 0.
    """
    check_attributes(K, N, block_size, bits, weight_prepacked)
    if a.ndim == 0 or a.shape[-1] != K:
        raise ShapeError(f"A has shape {list(a.shape)}, expected [..., {K}]")
    if bias is not None and bias.shape != (N,):
        raise ShapeError(f"bias has shape {list(bias.shape)}, expected [{N}]")
    if is_omitted(b, K, N, block_size, bits):
        acc = np.zeros((*a.shape[:-1], N), np.float32)
    else:
        weights = read_weights(a, b, scales, zero_points, g_idx, (K, N, block_size, bits))
        integers = accuracy_level == INT8_LEVEL and g_idx is None and block_size <= LARGEST_BLOCK
        rows = widen(a) if a.ndim > 1 else widen(a)[None]
        if integers and (zero_points is None or zero_points.dtype == UINT8):
            acc = quantized_product(rows, weights, block_size)
        else:
            acc = chain(rows, weights.dequantized())
        acc = acc.reshape(*a.shape[:-1], N)
    return round_to(acc if bias is None else acc + widen(bias), a.dtype)


def check_attributes(k: int, n: int, block_size: int, bits: int, weight_prepacked: int) -> None:
    """Attributes that no tensor can fit."""
    check_bits(bits, block_size)
    if k < 0 or n < 0:
        raise InvalidModelError(f"K is {k} and N is {n}, expected 0 or more")
    if weight_prepacked:
        raise InvalidModelError(
            f"weight_prepacked is {weight_prepacked}, a layout of GPUs; export with weight_prepacked=0"
        )


def is_omitted(b: Array, k: int, n: int, block_size: int, bits: int) -> bool:
    """Whether `b` stands for no weights; else it has its shape."""
    shape = (n, -(-k // block_size), block_size * bits // 8)
    omitted = (
        b.ndim == 3 and b.size == 0 and all(has in (wanted, 0) for has, wanted in zip(b.shape, shape, strict=True))
    )
    if b.shape != shape and not omitted:
        raise ShapeError(f"B has shape {list(b.shape)}, expected {list(shape)}, or some of it 0 for no weights")
    return omitted


def read_weights(
    a: Array,
    b: Array,
    scales: Array,
    zero_points: Array | None,
    g_idx: Array | None,
    extents: tuple[int, int, int, int],
) -> Weights:
    """The inputs of MatMulNBits, checked; `extents` are K, N, block_size and bits."""
    k, n, block_size, bits = extents
    blocks = b.shape[1]
    scales = widen(by_block("scales", scales, n, blocks))
    if zero_points is None:
        zeros = np.full((n, blocks), 1 << (bits - 1), np.float32)
    elif zero_points.dtype == UINT8:
        packed = by_block("zero_points", zero_points, n, -(-blocks * bits // 8))
        zeros = unpacked(packed, bits)[:, :blocks].astype(np.float32)
    elif zero_points.dtype == a.dtype:
        zeros = widen(by_block("zero_points", zero_points, n, blocks))
    else:
        raise InvalidTypeError(f"zero_points is {zero_points.dtype}, expected uint8 or A's type, {a.dtype}")
    group = np.arange(k) // block_size if g_idx is None else groups(g_idx, k, blocks, block_size)
    return Weights(unpacked(b.reshape(n, -1), bits)[:, :k], scales, zeros, group)


def by_block(name: str, values: Array, n: int, columns: int) -> Array:
    """`values` as [N, columns], which may be given flat."""
    if values.shape not in ((n, columns), (n * columns,)):
        raise ShapeError(f"{name} has shape {list(values.shape)}, expected [{n}, {columns}] or [{n * columns}]")
    return values.reshape(n, columns)


def groups(g_idx: Array, k: int, blocks: int, block_size: int) -> Array:
    """The block of each k; what g_idx says beyond K is not read, but must be a block too."""
    if g_idx.shape not in ((k,), (blocks * block_size,)):
        raise ShapeError(f"g_idx has shape {list(g_idx.shape)}, expected [{k}] or [{blocks * block_size}]")
    if g_idx.size and not 0 <= g_idx.min() <= g_idx.max() < blocks:
        raise InvalidInputError(f"g_idx reaches from {g_idx.min()} to {g_idx.max()}, expected 0 to {blocks - 1}")
    return g_idx[:k]


def quantized_product(a: Array, weights: Weights, block_size: int) -> Array:
    """`a` [..., M, K], quantized block by block, times the weights; exact in a block, a chain over the blocks."""
    levels, steps = quantized_rows(a, block_size)  # [..., M, blocks, block_size], [..., M, blocks]
    k, shifted = a.shape[-1], weights.codes.astype(np.int32) - weights.zeros[:, weights.group].astype(np.int32)
    acc = np.zeros((*a.shape[:-1], len(shifted)), np.float32)
    for block in range(steps.shape[-1]):
        ks = slice(block * block_size, min((block + 1) * block_size, k))
        dot = chain(levels[..., block, : ks.stop - ks.start], shifted[:, ks].T)
        acc = fma(dot.astype(np.float32), steps[..., block, None] * weights.scales[:, block], acc)
    return acc


def quantized_rows(a: Array, block_size: int) -> tuple[Array, Array]:
    """Each block of the last axis, filled up with zeros, as integers -127 .. 127 and the step between them."""
    k = a.shape[-1]
    blocks = -(-k // block_size)
    padding = [(0, 0)] * (a.ndim - 1) + [(0, blocks * block_size - k)]
    x = np.pad(a, padding).reshape(*a.shape[:-1], blocks, block_size)
    greatest = maximum_over(np.abs(x), (x.ndim - 1,))
    inverse = np.where(greatest == 0, np.float32(0), np.float32(127) / greatest)
    levels = np.clip(x * inverse[..., None], np.float32(-127), np.float32(127))
    return to_integer(np.rint(levels), np.int32), greatest / np.float32(127)


@operator("GatherBlockQuantized", since=1, domain="com.microsoft")
def gather_block_quantized(
    data: Array,
    indices: Array,
    scales: Array,
    zero_points: Array | None = None,
    *,
    bits: int = 4,
    block_size: int = 128,
    gather_axis: int = 0,
    quantize_axis: int = 1,
) -> Array:
    """Gather along `gather_axis` of `(data - zero_points) * scales`, which have one value a block of `quantize_axis`.

    uint8 `data` holds 8 / `bits` elements a byte along its last axis, as do its zero points; they default to
    2^(bits - 1), other integers' to 0. Small floats have none; their scales broadcast along other axes, and block_size
    0 is one block. Negative indices count from the end; one outside gives zeros.
    """
    if data.ndim < 2:
        raise ShapeError(f"data has shape {list(data.shape)}, expected two axes or more")
    gathered, blocked = normalize_axis(gather_axis, data.ndim), normalize_axis(quantize_axis, data.ndim)
    integers = data.dtype == UINT8 or data.dtype in SMALL_INTEGERS
    if integers or block_size:
        check_bits(bits if data.dtype == UINT8 else 4, block_size)
    if integers and data.dtype != UINT8 and bits != 4:
        raise InvalidModelError(f"bits is {bits}, expected 4 for {data.dtype}")
    if data.dtype == UINT8:
        if gathered != 0 or blocked != data.ndim - 1:
            raise InvalidModelError(
                f"gather_axis {gather_axis}, quantize_axis {quantize_axis}: packed data is gathered along its first"
                " axis and quantized along its last"
            )
        data = unpacked(data, bits)
    elif zero_points is not None and not integers:
        raise InvalidModelError(f"zero_points with data of {data.dtype}, which has none")
    size = block_size or max(data.shape[blocked], 1)
    block_of = np.arange(data.shape[blocked]) // size
    shape = tuple(-(-n // size) if axis == blocked else n for axis, n in enumerate(data.shape))
    scale = spread_blocks(widen(scales), shape, blocked, block_of, broadcast=not integers)
    zero_point = None
    if zero_points is not None:
        if zero_points.dtype == UINT8:
            zero_points = packed_zero_points(zero_points, shape, bits)
        zero_point = spread_blocks(zero_points, shape, blocked, block_of, broadcast=False)
    elif data.dtype == UINT8:
        zero_point = np.full((), 1 << (bits - 1), np.uint8)
    steps = difference(data, zero_point) if integers else data.astype(np.float32)
    return gathered_or_zero(round_to(steps * scale, scales.dtype), indices, gathered)


def packed_zero_points(packed: Array, shape: tuple[int, ...], bits: int) -> Array:
    """Zero points of packed data, one a block, in the shape of the scales."""
    expected = (*shape[:-1], -(-shape[-1] * bits // 8))
    if packed.shape != expected:
        raise ShapeError(f"zero_points has shape {list(packed.shape)}, expected {list(expected)}")
    return unpacked(packed, bits)[..., : shape[-1]]


def spread_blocks(values: Array, shape: tuple[int, ...], axis: int, block_of: Array, broadcast: bool) -> Array:
    """`values`, one a block of `axis`, for each index of it; with `broadcast` other axes may have length 1."""
    fits = values.ndim == len(shape) and all(
        has == wanted or (broadcast and has == 1 and i != axis)
        for i, (has, wanted) in enumerate(zip(values.shape, shape, strict=False))
    )
    if not fits:
        raise ShapeError(f"scales or zero_points have shape {list(values.shape)}, expected {list(shape)}")
    return np.take(values, block_of, axis=axis)


def gathered_or_zero(values: Array, indices: Array, axis: int) -> Array:
    """As Gather, but +0 where an index is out of range."""
    length = values.shape[axis]
    wide = indices.astype(np.int64)
    outside = (wide < -length) | (wide >= length)
    if length == 0:
        return np.zeros((*values.shape[:axis], *indices.shape, *values.shape[axis + 1 :]), values.dtype)
    taken = np.take(values, np.where(outside, 0, np.where(wide < 0, wide + length, wide)), axis=axis)
    hidden = outside.reshape(outside.shape + (1,) * (values.ndim - axis - 1))
    return np.where(hidden, np.zeros((), values.dtype), taken)
