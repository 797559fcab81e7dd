"""What `math="fast"` may differ by: the error bounds of docs/numerics.md, section 5.

Fast mode convolves 3x3 kernels by Winograd's algorithm where that is faster. Its rounding errors are greater than those
of the exact program, and bounded by the inputs: `conv_bound` evaluates the bound for given ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["MATH", "conv_bound", "has_fast_program"]

MATH = ("exact", "fast")

_Array = np.ndarray[Any, np.dtype[np.float64]]

# A tile of F(4x4, 3x3), interpolated at 0, +-5/8, +-3/2 and infinity: B^T of 6 inputs, G of 3 weights, A^T of 6 sums.
TILE = 4
_POINTS = (5 / 8, -5 / 8, 3 / 2, -3 / 2)


def _transforms() -> tuple[_Array, _Array, _Array]:
    """B^T, G and A^T in binary64; those of B^T and A^T are exact."""
    a, b = _POINTS[0] ** 2, _POINTS[2] ** 2
    inputs = np.zeros((6, 6))
    inputs[0, [0, 2, 4]] = inputs[5, [1, 3, 5]] = a * b, -(a + b), 1
    weights = np.zeros((6, 3))
    weights[0, 0], weights[5, 2] = 1 / (a * b), 1
    outputs = np.zeros((4, 6))
    outputs[0, 0] = outputs[3, 5] = 1
    for row, p in enumerate(_POINTS, start=1):
        other = a + b - p * p
        inputs[row, 1:5] = -p * other, -other, p, 1
        weights[row] = np.array([1, p, p * p]) / (2 * p * p * (p * p - other))
        outputs[:, row] = 1, p, p * p, p**3
    return inputs, weights, outputs


INPUTS, WEIGHTS, OUTPUTS = _transforms()


def has_fast_program(op_type: str, domain: str, attributes: Mapping[str, Any], inputs: list[Any]) -> bool:
    """Whether fast mode may take another program than exact mode for a node with these inputs."""
    if op_type != "Conv" or domain not in ("", "ai.onnx") or len(inputs) < 2:
        return False
    x, w = inputs[:2]
    once = all(value == 1 for name in ("strides", "dilations") for value in attributes.get(name, ()))
    return bool(x.dtype == np.float32 and w.shape[2:] == (3, 3) and attributes.get("group", 1) == 1 and once)


def conv_bound(
    x: np.ndarray[Any, Any], w: np.ndarray[Any, Any], b: np.ndarray[Any, Any] | None, attributes: Mapping[str, Any]
) -> tuple[_Array, _Array]:
    """Return Conv in binary64 and how far fast mode's binary32 may lie from it, both of Y's shape.

    X is [N, C, H, W], W [M, C, 3, 3], B [M] or None, all float32; strides, dilations and group are 1. The bound is
    NaN or infinite where an input that a tile reads is, or where a sum may overflow: nothing is promised there.
    """
    auto_pad = attributes.get("auto_pad", "NOTSET")
    top, left, bottom, right = (
        attributes.get("pads", (0,) * 4) if auto_pad == "NOTSET" else (int(auto_pad != "VALID"),) * 4
    )
    channels = x.shape[1]
    height, width = x.shape[2] + top + bottom - 2, x.shape[3] + left + right - 2
    rows, columns = -(-height // TILE), -(-width // TILE)
    whole = ((0, 0), (0, 0), (top, rows * TILE + 2 - top - x.shape[2]), (left, columns * TILE + 2 - left - x.shape[3]))
    with np.errstate(invalid="ignore", over="ignore"):
        padded, kernels = np.pad(x.astype(np.float64), whole), w.astype(np.float64)
        exact = _direct(padded, kernels, height, width)
        tiles = np.lib.stride_tricks.sliding_window_view(np.abs(padded), (6, 6), axis=(2, 3))[:, :, ::TILE, ::TILE]
        forward = np.abs(INPUTS) @ tiles @ np.abs(INPUTS).T
        transformed = np.abs(WEIGHTS) @ np.abs(kernels) @ np.abs(WEIGHTS).T
        products = np.einsum("nctuij,ocij->notuij", forward, transformed)
        # What gradual underflow costs, in units of the least number: weights, transformed inputs, chains, the way back.
        lost = np.sum(forward, axis=1)[:, None] + 12 * np.sum(transformed, axis=1)[None, :, None, None] + channels + 1
        sums = np.abs(OUTPUTS) @ products @ np.abs(OUTPUTS).T
        least = np.abs(OUTPUTS) @ lost @ np.abs(OUTPUTS).T
        unit = (channels + 12) * 2.0**-24
        slack = unit / (1 - unit) * sums + 2.0**-149 * least
        slack = slack.transpose(0, 1, 2, 4, 3, 5).reshape(*slack.shape[:2], rows * TILE, columns * TILE)
        slack = slack[:, :, :height, :width]
        # Sums of magnitudes near binary32's greatest number may overflow on the way.
        slack[slack * (1 - unit) / unit > float(np.finfo(np.float32).max) / 4] = np.inf
        if b is not None:
            exact = exact + b.astype(np.float64)[:, None, None]
            slack = slack + 2.0**-24 * (np.abs(exact) + slack)
    return exact, slack


def _direct(padded: _Array, kernels: _Array, height: int, width: int) -> _Array:
    """The definition, one kernel position after the other."""
    y = np.zeros((padded.shape[0], kernels.shape[0], height, width))
    for i in range(3):
        for j in range(3):
            y += np.einsum(
                "nchw,oc->nohw", padded[:, :, i : i + height, j : j + width], kernels[:, :, i, j], optimize=True
            )
    return y
