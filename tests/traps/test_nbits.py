"""Traps of weights of a few bits: which bits belong to which weight, what is absent, and where others differ."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.traps.both import answer, refusals, same

import diptych
import diptych_reference
from diptych.testing.blocks import pack
from diptych.testing.values import Array

U8, F32 = np.uint8, np.float32
MICROSOFT = "com.microsoft"


def multiply(*inputs: Any, **attributes: int) -> Array:
    """MatMulNBits with K from A, N from B and blocks of 16."""
    given = {"K": inputs[0].shape[-1], "N": len(inputs[1]), "block_size": 16, **attributes}
    return np.asarray(answer("MatMulNBits", inputs, given, opset=1, domain=MICROSOFT))


def refused(*inputs: Any, **attributes: int) -> tuple[Exception, Exception]:
    given = {"K": 20, "N": 2, "block_size": 16, **attributes}
    return refusals("MatMulNBits", inputs, given, opset=1, domain=MICROSOFT)


CODES = (np.arange(40).reshape(2, 20) % 16).astype(U8)  # [N, K]
PADDED = np.pad(CODES, [(0, 0), (0, 12)], constant_values=9)
B = pack(PADDED.reshape(2, 2, 16), 4)
SCALES = np.array([[1, 2], [4, 0.5]], F32)
EYE = np.eye(20, dtype=F32)
SPREAD = np.repeat(SCALES, 16, axis=1)[:, :20]


def test_the_low_bits_come_first_and_half_the_range_is_zero() -> None:
    same(multiply(EYE, B, SCALES), ((CODES.astype(F32) - 8) * SPREAD).T)
    codes = (np.arange(32) % 4).astype(U8).reshape(1, 2, 16)
    same(multiply(np.eye(32, dtype=F32), pack(codes, 2), SCALES[:1], bits=2)[:4, 0], [-2, -1, 0, 1], F32)
    same(multiply(np.eye(16, dtype=F32), codes[:, :1], SCALES[:1, :1], bits=8)[:3, 0], [-128, -127, -126], F32)


def test_zero_points_of_a_column_start_a_byte() -> None:
    """Of an odd number of blocks the last half byte is not read; floats stand for themselves, unpacked."""
    codes = (np.arange(2 * 48) % 16).astype(U8).reshape(2, 3, 16)
    zeros = np.array([[1, 2, 3], [4, 5, 6]], U8)
    scales = np.ones((2, 3), F32)
    dense = (codes.astype(F32) - zeros[..., None]).reshape(2, 48).T
    a = np.eye(48, dtype=F32)
    packed = pack(zeros, 4)
    packed[:, -1] |= 0xF0
    same(multiply(a, pack(codes, 4), scales, packed), dense)
    same(multiply(a, pack(codes, 4), scales.ravel(), packed.ravel()), dense)  # as old models have them
    same(multiply(a, pack(codes, 4), scales, zeros.astype(F32) + F32(0.5)), dense - F32(0.5))


def test_what_fills_the_last_block_does_not_count() -> None:
    """The codes beyond K are 9: without them sums are as if there were none."""
    for level in (0, 4):
        ones = np.ones((1, 20), F32)
        wanted = [[float(np.sum((CODES[n] - F32(8)) * SPREAD[n])) for n in range(2)]]
        same(multiply(ones, B, SCALES, accuracy_level=level), wanted, F32)


def test_g_idx_names_the_block_of_each_k() -> None:
    """Of its scale and zero point; ONNX Runtime 1.32 forgets packed zero points then."""
    groups = np.array([1, 0] * 10, np.int32)
    zeros = np.array([[1, 2], [3, 4]], U8)
    dense = ((CODES.astype(F32) - zeros[:, groups]) * SCALES[:, groups]).T
    for level in (0, 4):
        same(multiply(EYE, B, SCALES, pack(zeros, 4), groups, accuracy_level=level), dense)
        long = np.pad(groups, (0, 12))
        same(multiply(EYE, B, SCALES, pack(zeros, 4), long, accuracy_level=level), dense)
    for wrong in (2, -1):
        for error in refused(EYE, B, SCALES, None, np.full(20, wrong, np.int32)):
            assert "g_idx" in str(error)


def test_level_4_quantizes_each_block_by_itself() -> None:
    """127 levels either way: a small element beside a great one vanishes, one of another block does not."""
    a = np.zeros((1, 20), F32)
    a[0, [0, 1, 16]] = 127, 0.4, 0.4
    exact, coarse = (multiply(a, B, np.ones((2, 2), F32), accuracy_level=level) for level in (0, 4))
    weights = CODES.astype(F32) - 8
    same(coarse, [[float(F32(weights[n, 0] * 127) + F32(0.4) * weights[n, 16]) for n in range(2)]], F32)
    assert (exact != coarse).any()
    for level in (1, 2, 3):  # permissions that are not used
        same(multiply(a, B, np.ones((2, 2), F32), accuracy_level=level), exact)


def test_level_4_needs_integers() -> None:
    """With zero points of A's type, A is not quantized; nor with g_idx."""
    a = np.random.default_rng(1).normal(size=(3, 20)).astype(F32)
    zeros, groups = np.full((2, 2), 7.5, F32), (np.arange(20) // 16).astype(np.int32)
    same(multiply(a, B, SCALES, zeros, accuracy_level=4), multiply(a, B, SCALES, zeros))
    same(multiply(a, B, SCALES, None, groups, accuracy_level=4), multiply(a, B, SCALES))


def test_what_is_not_finite_spoils_its_row() -> None:
    """At level 4: as nothing can be quantized beside it."""
    a = np.zeros((3, 20), F32)
    a[0, 3], a[1, 5], a[2, 7] = np.nan, np.inf, 1
    found = multiply(a, B, SCALES, accuracy_level=4)
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2]).all()


def test_no_weights_are_weights_of_0() -> None:
    """A dimension of 0 where B has others: Y is the bias. So ONNX Runtime 1.32 has it."""
    bias = np.array([1, -2], F32)
    for shape in ((0, 2, 8), (2, 0, 8), (2, 2, 0), (0, 0, 0)):
        empty = np.zeros(shape, U8)
        same(multiply(EYE, empty, SCALES, N=2), np.zeros((20, 2), F32))
        same(multiply(EYE, empty, np.zeros(0, F32), None, None, bias, N=2), np.tile(bias, (20, 1)))
    same(multiply(np.ones((3, 0), F32), np.zeros((2, 0, 8), U8), np.zeros((2, 0), F32), None, None, bias), [bias] * 3)
    refused(EYE, np.zeros((0, 0, 5), U8), SCALES)
    refused(EYE, np.zeros(0, U8), SCALES)


def test_a_row_gives_a_row() -> None:
    a = np.ones((2, 3, 20), F32)
    assert multiply(a, B, SCALES).shape == (2, 3, 2)
    same(multiply(a[0, 0], B, SCALES), multiply(a, B, SCALES)[0, 0])
    assert multiply(a[:, :0], B, SCALES).shape == (2, 0, 2)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"bits": 3}, "bits is 3"),
        ({"block_size": 24}, "block_size is 24"),
        ({"block_size": 8}, "block_size is 8"),
        ({"weight_prepacked": 1}, "weight_prepacked=0"),
        ({"K": -1}, "K is -1"),
        ({"K": 21}, "A has shape"),
        ({"N": 3}, "B has shape"),
        ({"bits": 8}, "B has shape"),
    ],
)
def test_attributes_that_do_not_fit(attributes: dict[str, int], message: str) -> None:
    """weight_prepacked is a layout of GPUs, which ONNX Runtime's CPU kernel takes for the plain one."""
    for error in refused(EYE, B, SCALES, **attributes):
        assert message in str(error)


def test_zero_points_of_another_type() -> None:
    for error in refused(EYE, B, SCALES, np.zeros((2, 2), np.float16)):
        assert isinstance(error, (diptych.InvalidInputError, diptych_reference.InvalidInputError))
        assert "zero_points is" in str(error)


def gather(*inputs: Any, **attributes: int) -> Array:
    given = {"block_size": 16, **attributes}
    return np.asarray(answer("GatherBlockQuantized", inputs, given, opset=1, domain=MICROSOFT))


def test_indices_out_of_range_give_zeros() -> None:
    """As in ONNX Runtime 1.32; Gather refuses them. -1 is the last."""
    data, scales = np.full((3, 8), 0x99, U8), np.array([[1], [2], [4]], F32)
    for kind in (np.int32, np.int64):
        found = gather(data, np.array([-1, 3, -3, -4, 0], kind), scales)
        same(found[:, 0], [4, 0, 1, 0, 1], F32)
    least = np.iinfo(np.int64)
    same(gather(data, np.array([least.min, least.max]), scales), np.zeros((2, 16)), F32)
    assert gather(np.zeros((0, 8), U8), np.array([0]), np.zeros((0, 1), F32)).shape == (1, 16)


def test_default_zero_points_differ_by_type() -> None:
    """Half the range for bytes, nothing for int4 and uint4."""
    index, scale = np.array(0), np.ones((1, 1), F32)
    for bits, wanted in ((2, 1), (4, 1), (8, 1)):
        code = (1 << (bits - 1)) + 1
        same(gather(pack(np.full((1, 16), code, U8), bits), index, scale, bits=bits), np.full(16, wanted), F32)
    for kind in (ml_dtypes.int4, ml_dtypes.uint4):
        same(gather(np.full((1, 16), 7, np.int8).astype(kind), index, scale), np.full(16, 7), F32)


def test_both_axes_may_be_any() -> None:
    data = (np.arange(3 * 4 * 17) % 8).reshape(3, 4, 17).astype(np.int8).astype(ml_dtypes.int4)
    index = np.array([[1, -1], [0, 2]])
    for gathered in range(-3, 3):
        for blocked in range(3):
            shape = [-(-n // 16) if axis == blocked else n for axis, n in enumerate(data.shape)]
            scales = np.arange(1, np.prod(shape) + 1, dtype=F32).reshape(shape)
            dense = data.astype(F32) * np.take(scales, np.arange(data.shape[blocked]) // 16, axis=blocked)
            found = gather(data, index, scales, gather_axis=gathered, quantize_axis=blocked)
            same(found, np.take(dense, index, axis=gathered))


def test_scales_of_small_floats_may_serve_an_axis() -> None:
    """Integers have one a block; block_size 0 is one block."""
    data = np.arange(32, dtype=F32).reshape(2, 16).astype(ml_dtypes.float8_e5m2)
    scales = np.array([[0.5]], F32)
    wide = data.astype(F32)
    same(gather(data, np.array([1]), scales), wide[1:] * F32(0.5))
    same(gather(data, np.array([1]), scales, block_size=0), wide[1:] * F32(0.5))
    for attributes in ({}, {"block_size": 0}):
        whole = {"block_size": 16, **attributes}
        inputs = [wide.astype(ml_dtypes.int4), np.array([1]), scales]
        refusals("GatherBlockQuantized", inputs, whole, opset=1, domain=MICROSOFT)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"gather_axis": 1, "quantize_axis": 0}, "gather_axis"),
        ({"bits": 3}, "bits is 3"),
        ({"block_size": 8}, "block_size is 8"),
        ({"block_size": 0}, "block_size is 0"),
        ({"block_size": 32}, "shape"),
        ({"gather_axis": 2}, "axis 2"),
    ],
)
def test_packed_data_has_its_axes(attributes: dict[str, int], message: str) -> None:
    inputs = [np.zeros((3, 16), U8), np.array([0]), np.ones((3, 2), F32)]
    if attributes == {"block_size": 32}:
        inputs[2] = np.ones((3, 3), F32)
    whole = {"block_size": 16, **attributes}
    for error in refusals("GatherBlockQuantized", inputs, whole, opset=1, domain=MICROSOFT):
        assert message in str(error)
