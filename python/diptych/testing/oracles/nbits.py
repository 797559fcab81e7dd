"""Oracles of weights of a few bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, chained, gamma, oracle, spacing, tiny, wide
from diptych.testing.values import Array


def taken(case: Case, position: int) -> Any:
    """An input, None where it is absent."""
    return case.inputs[position] if position < len(case.inputs) else None


def integers(packed: Array, bits: int, count: int) -> Array:
    """The first `count` integers of `bits` bits in each row of bytes."""
    flags = np.unpackbits(packed, axis=-1, bitorder="little")[..., : count * bits]
    places = flags.reshape(*packed.shape[:-1], count, bits).astype(np.int64) << np.arange(bits)
    return np.asarray(np.sum(places, -1))


def weights_of(case: Case) -> tuple[Array, Array, Array, Array]:
    """Codes [N, K], and zero point, scale and block of each of them."""
    b, scales, zeros, places = (taken(case, position) for position in (1, 2, 3, 4))
    k, n, bits = case.attributes["K"], case.attributes["N"], case.attributes.get("bits", 4)
    blocks = -(-k // case.attributes["block_size"])
    group = np.arange(k) // case.attributes["block_size"] if places is None else places[:k]
    if zeros is None:
        zero = np.full((n, blocks), WIDE(2 ** (bits - 1)))
    elif zeros.dtype == np.uint8:
        zero = integers(zeros.reshape(n, -1), bits, blocks).astype(WIDE)
    else:
        zero = wide(zeros).reshape(n, blocks)
    scale = wide(scales).reshape(n, blocks)
    return integers(b.reshape(n, -1), bits, k).astype(WIDE), zero[:, group], scale[:, group], group


@oracle("MatMulNBits")
def matmul_nbits(case: Case) -> list[Expected | None] | None:
    """The product in long double, of weights that are not rounded; and of A itself, however it is quantized.

    A level is at most half a step from its element, and the step a 127th of the block's greatest; the step and the
    quotient are rounded too, which moves a level by less than 2e-5 of one.
    """
    a, bias, zeros = wide(case.inputs[0]), taken(case, 5), taken(case, 3)
    addend = WIDE(0) if bias is None else wide(bias)
    if case.inputs[1].size == 0:
        exact = np.zeros((*a.shape[:-1], case.attributes["N"]), WIDE) + addend
        return [Expected(exact, 0.0)]
    codes, zero, scale, group = weights_of(case)
    exact_weights = ((codes - zero) * scale).T
    if np.nanmax(np.abs(exact_weights), initial=0) > 1e38:
        return None  # a weight is infinite in binary32
    magnitude = np.matmul(np.abs(a), np.abs(exact_weights))
    expected = chained(np.matmul(a, exact_weights) + addend, magnitude + np.abs(addend), len(codes[0]) + 4, np.float32)
    # Weights may be subnormal, where their roundings are absolute.
    slack = expected.slack + np.matmul(np.abs(a), np.ones_like(exact_weights) * tiny(np.float32, 2))
    plain = taken(case, 4) is None and (zeros is None or zeros.dtype == np.uint8)
    if case.attributes.get("accuracy_level", 0) == 4 and plain and case.attributes["block_size"] <= 1 << 16:
        greatest = np.zeros((*a.shape[:-1], group.max(initial=-1) + 1), WIDE)
        for block in range(greatest.shape[-1]):
            greatest[..., block] = np.max(np.abs(a[..., group == block]), -1, initial=0)
        if np.nanmax(scale, initial=0) * np.max(greatest, initial=0) > 1e38:
            return None  # the product of two scales may be infinite
        if np.isinf(greatest).any() or np.isnan(a).any():
            return [Expected(np.full_like(expected.exact, np.nan), np.inf)]  # a row of such a block is NaN
        moved = greatest[..., group] * WIDE(0.50002 / 127) + tiny(np.float32, 127)
        slack = slack + np.matmul(moved, np.abs(exact_weights)) * (1 + gamma(8, np.float32))
        # The product of two scales may be subnormal; it is multiplied by levels up to 127 and codes.
        slack = slack + tiny(np.float32, 127) * np.sum(np.abs(codes - zero), axis=-1)
    return [Expected(expected.exact, slack)]


@oracle("GatherBlockQuantized")
def gather_block_quantized(case: Case) -> list[Expected | None]:
    """Element by element, in long double: two roundings, of which the difference of integers needs none."""
    data, indices, scales, zeros = (taken(case, position) for position in range(4))
    packed, attributes = data.dtype == np.uint8, case.attributes
    bits = attributes.get("bits", 4)
    gathered, blocked = attributes.get("gather_axis", 0) % data.ndim, attributes["quantize_axis"] % data.ndim
    if packed:
        numbers = integers(data, bits, data.shape[-1] * 8 // bits)
        points = None if zeros is None else integers(zeros, bits, scales.shape[-1])
    else:
        numbers, points = data.astype(np.float32), None if zeros is None else zeros.astype(np.float32)
    size = attributes["block_size"] or numbers.shape[blocked]
    exact = np.zeros(numbers.shape, WIDE)
    for place in np.ndindex(numbers.shape):
        block = tuple(at // size if axis == blocked else at for axis, at in enumerate(place))
        of_scale = tuple(min(at, n - 1) for at, n in zip(block, scales.shape, strict=True))
        point = (2 ** (bits - 1) if packed else 0) if points is None else points[block]
        exact[place] = (WIDE(float(numbers[place])) - WIDE(float(point))) * WIDE(float(scales[of_scale]))
    shape = (*numbers.shape[:gathered], *indices.shape, *numbers.shape[gathered + 1 :])
    found = np.zeros(shape, WIDE)
    length = numbers.shape[gathered]
    for where in np.ndindex(indices.shape):
        index = int(indices[where])
        if -length <= index < length:
            lead = (slice(None),) * gathered
            found[(*lead, *where)] = exact[(*lead, index)]
    return [Expected(found, spacing(np.abs(found), np.float32) * WIDE(0.5000001))]
