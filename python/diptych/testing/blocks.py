"""Weights as integers of a few bits in blocks with a scale each: operands of MatMulNBits and DequantizeLinear."""

from __future__ import annotations

import numpy as np

from diptych.testing.values import Array


def pack(codes: Array, bits: int) -> Array:
    """Integers of `bits` bits, 8 / bits to a byte along the last axis, the first in the lowest bits; it is padded."""
    per_byte = 8 // bits
    padded = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % per_byte)]).astype(np.uint8)
    parts = padded.reshape(*codes.shape[:-1], padded.shape[-1] // per_byte, per_byte)
    packed = np.zeros(parts.shape[:-1], np.uint8)
    for place in range(per_byte):
        packed |= (parts[..., place] << np.uint8(place * bits)).astype(np.uint8)
    return packed


def quantize_blocks(
    weights: Array, block_size: int, bits: int = 4, *, symmetric: bool = True
) -> tuple[Array, Array, Array | None]:
    """B, scales and zero_points of MatMulNBits for float `weights` [K, N]; symmetric ones have no zero points."""
    codes, scales, zeros = block_codes(weights, block_size, bits, symmetric=symmetric)
    return pack(codes, bits), scales, None if symmetric else pack(zeros, bits)


def block_codes(
    weights: Array, block_size: int, bits: int = 4, *, symmetric: bool = True
) -> tuple[Array, Array, Array]:
    """Codes [N, blocks, block_size], scales and zero points [N, blocks]: the nearest that blocks of integers can be.

    Codes that fill the last block are zero points, as are those of 0: all of them 2^(bits - 1) where `symmetric`.
    """
    k, n = weights.shape
    blocks = -(-k // block_size)
    padded = np.pad(weights.T.astype(np.float64), [(0, 0), (0, blocks * block_size - k)])
    columns = padded.reshape(n, blocks, block_size)
    low, high = (np.min(columns, -1, initial=0), np.max(columns, -1, initial=0))
    greatest = (1 << bits) - 1
    middle = 1 << (bits - 1)
    wide = np.maximum(-low / middle, high / (middle - 1)) if symmetric else (high - low) / greatest
    scales = np.where(wide == 0, 1, wide).astype(np.float32)
    zeros = np.full(scales.shape, middle) if symmetric else np.clip(np.rint(-low / scales), 0, greatest)
    codes = np.clip(np.rint(columns / scales[..., None]) + zeros[..., None], 0, greatest)
    return codes, scales, zeros
