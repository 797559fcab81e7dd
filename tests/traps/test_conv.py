"""Convolutions: where padding goes, and how the rarer ones lay out their operands."""

from __future__ import annotations

import numpy as np
import pytest
from tests.traps.both import answer, answers, refusals, same


def ramp(*shape: int) -> np.ndarray:
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def test_the_odd_pad_goes_behind_for_upper_and_before_for_lower() -> None:
    x, w = ramp(1, 1, 4), np.ones((1, 1, 2), np.float32)
    same(answer("Conv", [x, w], {"auto_pad": "SAME_UPPER"}, opset=11), [[[3, 5, 7, 4]]])
    same(answer("Conv", [x, w], {"auto_pad": "SAME_LOWER"}, opset=11), [[[1, 3, 5, 7]]])


def test_transposed_sizes() -> None:
    """SAME: input times stride, the odd pad at the end for UPPER. output_shape beats pads; output_padding: the end."""
    x, w = ramp(1, 1, 2), np.array([[[1, 10, 100]]], np.float32)
    full = [1, 10, 102, 20, 200]
    strides = {"strides": [2]}
    same(answer("ConvTranspose", [x, w], strides, opset=11), [[full]])
    same(answer("ConvTranspose", [x, w], {**strides, "auto_pad": "SAME_UPPER"}, opset=11), [[full[:4]]])
    same(answer("ConvTranspose", [x, w], {**strides, "auto_pad": "SAME_LOWER"}, opset=11), [[full[1:]]])
    same(answer("ConvTranspose", [x, w], {**strides, "output_padding": [1]}, opset=11), [[[*full, 0]]])
    shaped = {**strides, "output_shape": [3], "pads": [2, 2]}
    same(answer("ConvTranspose", [x, w], shaped, opset=11), [[full[1:4]]])


def test_an_offset_moves_each_kernel_position_and_outside_is_zero() -> None:
    """Offsets are (y, x) pairs for each kernel position; half a step is the mean of two, beyond the edge lies +0."""
    x, w = ramp(1, 1, 3, 3), np.ones((1, 1, 1, 1), np.float32)
    offset = np.zeros((1, 2, 3, 3), np.float32)
    same(answer("DeformConv", [x, w, offset], opset=22), x)
    offset[:, 0] = 1  # down
    same(answer("DeformConv", [x, w, offset], opset=22), [[[[4, 5, 6], [7, 8, 9], [0, 0, 0]]]])
    offset[:, 0], offset[:, 1] = 0, 0.5  # right
    same(answer("DeformConv", [x, w, offset], opset=22), [[[[1.5, 2.5, 1.5], [4.5, 5.5, 3], [7.5, 8.5, 4.5]]]])
    offset[:] = np.nan
    same(answer("DeformConv", [x, w, offset], opset=22), np.zeros((1, 1, 3, 3)))
    offset[:] = np.inf
    same(answer("DeformConv", [x, w, offset], opset=22), np.zeros((1, 1, 3, 3)))


def test_groups_of_offsets_and_masks() -> None:
    """Offset groups split the channels, [group][kernel position][axis]; the mask scales what is read."""
    x, w = ramp(1, 2, 1, 3), np.ones((1, 2, 1, 2), np.float32)
    offset = np.zeros((1, 2 * 2 * 2, 1, 2), np.float32)
    offset[:, 7] = -1  # second channel, second kernel position, x
    plain = answer("DeformConv", [x, w, offset[:, :4]], opset=19)
    same(plain, [[[[1 + 2 + 4 + 5, 2 + 3 + 5 + 6]]]])
    moved = answer("DeformConv", [x, w, offset], {"offset_group": 2}, opset=19)
    same(moved, [[[[1 + 2 + 4 + 4, 2 + 3 + 5 + 5]]]])
    mask = np.array([1, 10, 100, 1000], np.float32).reshape(1, 4, 1, 1).repeat(2, axis=3)
    masked = answer("DeformConv", [x, w, offset, None, mask], {"offset_group": 2}, opset=19)
    same(masked, [[[[1 + 20 + 400 + 4000, 2 + 30 + 500 + 5000]]]])
    refusals("DeformConv", [x, w, offset, None, mask[:, :3]], {"offset_group": 2}, opset=19)
    refusals("DeformConv", [x, w, offset, None, np.repeat(mask, 2, axis=1)], {"offset_group": 2}, opset=19)


def test_a_deformed_convolution_of_volumes() -> None:
    """Without offsets it is Conv, also along three axes; of whole numbers no order of additions shows."""
    random = np.random.default_rng(1)
    x, w = random.integers(-4, 5, (1, 4, 5, 4, 6)), random.integers(-4, 5, (6, 2, 2, 3, 2))
    x, w = x.astype(np.float32), w.astype(np.float32)
    attributes = {"group": 2, "strides": [2, 1, 1], "pads": [1, 0, 1, 0, 1, 1], "dilations": [1, 1, 2]}
    expected = answer("Conv", [x, w], attributes, opset=22)
    offset = np.zeros((1, 12 * 3, *expected.shape[2:]), np.float32)
    same(answer("DeformConv", [x, w, offset], attributes, opset=22), expected)


def test_a_sequence_in_pieces_is_the_sequence() -> None:
    """The state of one call is the past of the next, also where a piece is shorter than what the kernel remembers."""
    random = np.random.default_rng(2)
    x, w = random.normal(size=(2, 3, 11)).astype(np.float32), random.normal(size=(3, 1, 4)).astype(np.float32)
    b = np.array([1, -1, 0.5], np.float32)
    for activation in ("none", "silu", "swish"):
        attributes = {"activation": activation}
        whole, last = answers("CausalConvWithState", [x, w, b], attributes, opset=27, n_outputs=2)
        pieces, state = [], None
        for start, end in ((0, 5), (5, 6), (6, 8), (8, 8), (8, 11)):
            y, state = answers(
                "CausalConvWithState", [x[:, :, start:end], w, b, state], attributes, opset=27, n_outputs=2
            )
            pieces.append(y)
        same(np.concatenate(pieces, axis=2), whole)
        same(state, last)
        same(last, x[:, :, -3:])
    refusals("CausalConvWithState", [x, w, b, x], opset=27)
    refusals("CausalConvWithState", [x, w], {"activation": "relu"}, opset=27)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint64", "complex64"])
def test_blocks_that_overlap_add_up(dtype: str) -> None:
    """Rows are kernel positions, columns blocks: blocks [a b], [c d] of an image of three."""
    columns = np.array([[[1, 2], [10, 20]]]).astype(dtype)
    image, block = np.array([1, 3]), np.array([1, 2])
    same(answer("Col2Im", [columns, image, block], opset=18), np.array([[[[1, 12, 20]]]]).astype(dtype))


def test_blocks_of_bools_and_strings() -> None:
    image, block = np.array([1, 3]), np.array([1, 2])
    bools = np.array([[[True, False], [True, True]]])
    same(answer("Col2Im", [bools, image, block], opset=18), np.array([[[[True, True, True]]]]))
    strings = np.array([[["a", "b"], ["c", "d"]]], object)
    refusals("Col2Im", [strings, image, block], opset=18)
    apart = answer("Col2Im", [strings, np.array([1, 5]), block], {"strides": [1, 3]}, opset=18)
    assert apart.tolist() == [[[["a", "c", "", "b", "d"]]]]


def test_columns_must_be_those_of_the_image() -> None:
    columns = np.zeros((1, 4, 3), np.float32)
    refusals("Col2Im", [columns, np.array([1, 3]), np.array([1, 2])], opset=18)
    refusals("Col2Im", [columns, np.array([1, 4]), np.array([1, 3])], opset=18)
    same(answer("Col2Im", [columns, np.array([1, 4]), np.array([1, 2])], opset=18), np.zeros((1, 2, 1, 4)))
