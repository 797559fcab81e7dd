"""Traps of Einsum and Det."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from .both import answer, refusals, same

IOTA = np.arange(6, dtype=np.float32).reshape(2, 3)


def einsum(equation: str, *inputs: np.ndarray, opset: int = 12) -> np.ndarray:
    return answer("Einsum", list(inputs), {"equation": equation}, opset=opset)


def test_implicit_output_is_in_ascii_order() -> None:
    """Upper case before lower case, whatever comes first in the equation; a letter that comes twice is summed."""
    same(einsum("aB", IOTA), IOTA.T)
    same(einsum("Ba", IOTA), IOTA)
    same(einsum("ba", IOTA), IOTA.T)
    same(einsum("ij,kj", IOTA, np.ones((4, 3), np.float32)), np.repeat(IOTA.sum(1)[:, None], 4, 1))
    same(einsum("ji,jk", IOTA, IOTA), IOTA.T @ IOTA)


def test_a_repeated_letter_is_the_diagonal() -> None:
    x = np.arange(9, dtype=np.float32).reshape(3, 3)
    same(einsum("ii->i", x), [0, 4, 8])
    same(einsum("ii", x), np.float32(12))
    cube = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    same(einsum("iji->j", cube), cube[0, :, 0] + cube[1, :, 1])
    same(einsum("iji,i->ij", cube, np.float32([1, 10])), np.stack([cube[0, :, 0], 10 * cube[1, :, 1]]))


def test_an_ellipsis_leads_the_implicit_output_and_broadcasts() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    same(einsum("i...", IOTA), IOTA.T)
    same(einsum("b...a->...ab", x), x.transpose(1, 2, 0))
    same(einsum("...i,...i->...", x, np.ones((1, 3, 4), np.float32)), x.sum(-1))
    same(einsum("...", x), x)
    same(einsum("i->...i", IOTA[0]), IOTA[0])  # an ellipsis for no axes


def test_an_ellipsis_that_the_output_lacks_is_summed() -> None:
    same(einsum("...i->i", IOTA), IOTA.sum(0))
    same(einsum("...i,i->", IOTA, np.float32([1, 2, 3])), np.float32((IOTA * [1, 2, 3]).sum()))


def test_spaces_do_not_count() -> None:
    same(einsum(" i j , j k -> i k ", IOTA, IOTA.T), IOTA @ IOTA.T)


def test_a_length_of_one_broadcasts_for_letters_too() -> None:
    same(einsum("i,i->", np.float32([2]), np.float32([1, 2, 3])), np.float32(12))
    same(einsum("ij,ij->ij", IOTA[:1], IOTA), IOTA[:1] * IOTA)


def test_scalars_and_empty_operands() -> None:
    same(einsum(",ij->ij", np.float32(2), IOTA), 2 * IOTA)
    same(einsum("ij,jk->ik", np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)), np.zeros((2, 3), np.float32))
    assert einsum("ij->j", np.zeros((0, 3), np.float32)).tolist() == [0, 0, 0]
    assert einsum("ij,jk->ik", np.zeros((0, 2), np.float32), np.zeros((2, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integers_wrap(dtype: str) -> None:
    greatest = np.iinfo(dtype).max
    x = np.array([[greatest, 2], [3, greatest]], dtype)
    expected = [[int(a) * int(b) for a, b in zip(row, (2, 3), strict=True)] for row in x]
    wrapped = (
        np.array([sum(row) % 2 ** (8 * x.itemsize) for row in expected], np.uint64).astype(f"u{x.itemsize}").view(dtype)
    )
    same(einsum("ij,j->i", x, np.array([2, 3], dtype)), wrapped)


def test_narrow_floats_are_rounded_once() -> None:
    """300 * 300 is no float16, but the sum is; bfloat16 came with opset 28."""
    x, y = np.float16([300, 300]), np.float16([300, -300])
    same(einsum("i,i,i->", x, y, np.float16([1, 1])), np.float16(0))
    brain = np.array([1, 2**-8, 2**-8], ml_dtypes.bfloat16)
    ones = np.ones(3, ml_dtypes.bfloat16)
    assert float(einsum("i,i->", brain, ones, opset=28)) == 1 + 2**-7
    refusals("Einsum", [brain, ones], {"equation": "i,i->"}, opset=12)


def test_what_does_not_fit_is_refused() -> None:
    for equation, inputs in {
        "ij,jk->ik": [IOTA],
        "ij": [IOTA, IOTA],
        "ijk->i": [IOTA],
        "i->i": [IOTA],
        "ij,jk": [IOTA, IOTA],
        "ii->i": [IOTA],
        "ij->ik": [IOTA],
        "ij->ii": [IOTA],
        "i1->i": [IOTA],
        "...ij->......": [IOTA],
        "..ij": [IOTA],
        "ij->i->j": [IOTA],
        "...,...": [IOTA, IOTA[0]],
        "...ijk": [IOTA],
    }.items():
        refusals("Einsum", inputs, {"equation": equation}, opset=12)
    refusals("Einsum", [IOTA], opset=12)


def test_determinants() -> None:
    for opset in (11, 22):
        same(answer("Det", [np.float32([[1, 2], [3, 4]])], opset=opset), np.float32(-2))
    same(answer("Det", [np.zeros((2, 0, 0), np.float32)], opset=11), np.float32([1, 1]))  # the empty product
    assert answer("Det", [np.zeros((0, 3, 3), np.float32)], opset=11).shape == (0,)
    same(answer("Det", [np.float32([[1, 2], [2, 4]])], opset=11), np.float32(0.0))  # +0, not -0
    assert np.isnan(answer("Det", [np.float32([[0, 1], [np.nan, 2]])], opset=11))
    same(answer("Det", [np.float32([[1e30, 0, 0], [0, 1e30, 0], [0, 0, 1e-30]])], opset=11), np.float32(1e30))
    same(answer("Det", [np.float32([[0, 1], [1, 0]])], opset=11), np.float32(-1))
    refusals("Det", [IOTA], opset=11)
    refusals("Det", [IOTA[0]], opset=11)
