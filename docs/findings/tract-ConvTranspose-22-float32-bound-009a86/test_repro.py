"""tract: bound: error beyond the bound: 1 of 1 elements; at [0, 0, 0] 0.0, expected 1.0, inf times the bound 0

    <
       ir_version: 10,
       opset_import: ["" : 22]
    >
    ConvTranspose (float[?,?,?] x0, float[?,?,?] x1) => (float[?,?,?] y0) {
       y0 = ConvTranspose <output_shape: ints = [1]> (x0, x1)
    }
    x0 = np.array([[[0.0, 1.0]]], np.float32)
    x1 = np.array([[[1.0]]], np.float32)

Made by `diptych fuzz`. It fails while the failure is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
MODEL = HERE / "model.onnx"


def read_inputs():
    """Inputs by name."""
    with np.load(HERE / "inputs.npz", allow_pickle=False) as arrays:
        return dict(arrays)


from diptych.engines import make_engine


def run():
    """Outputs of the engine."""
    return list(make_engine('tract', 1).prepare(MODEL)(read_inputs()))


# One item an output: "bits" and the value; "type", dtype and shape; or "bound", dtype, shape, exact values, how far
# from them, the greatest number of the type, whether the sign of zero is certain.
EXPECTED = [
    ("bound", "float32", [1, 1, 1], np.array([[[1.0]]], np.float64), np.array([[[1.788139663006007e-07]]], np.float64), 3.4028234663852886e+38, False),
]


def within(exact: Any, bound: Any, top: float, signed_zeros: bool, got: Any) -> Any:
    """Where a float output is as near as its error bound asks; `top` is the greatest number of its type."""
    wide = got.astype(np.float32) if got.dtype.kind == "V" else got
    e, b, g = (np.asarray(a).astype(np.longdouble) for a in (exact, bound, wide))
    with np.errstate(all="ignore"):
        overflows = np.abs(e) + b > top
        meaningful = np.isfinite(b) & ~((np.isnan(e) ^ np.isnan(g)) & overflows)
        inside = meaningful & ~np.isnan(e) & ~overflows
        wrong = meaningful & (np.isnan(e) != np.isnan(g))
        wrong |= meaningful & np.isinf(e) & (g != e)
        wrong |= inside & (np.abs(g - e) > b)
        wrong |= inside & signed_zeros & (e == 0) & (g == 0) & (np.signbit(e) != np.signbit(g))
    return ~wrong


def test_repro():
    outputs = run()
    assert len(outputs) == len(EXPECTED), f"{len(outputs)} outputs, expected {len(EXPECTED)}"
    for number, (got, (kind, *right)) in enumerate(zip(outputs, EXPECTED)):
        if kind == "bits":
            assert same(right[0], got), f"output {number} is {got}, expected the bits of {right[0]}"
            continue
        dtype, shape = right[:2]
        if dtype is not None:
            got = np.asarray(got)
            found = got.dtype.name, list(got.shape)
            assert found == (dtype, shape), f"output {number} is {found}, expected {(dtype, shape)}"
        if kind == "bound":
            fine = within(*right[2:], got)
            at = tuple(np.unravel_index(np.argmin(fine), fine.shape)) if fine.size else ()
            away = f"{right[2][at]} up to {right[3][at]}, {np.sum(~fine)} of {fine.size} elements"
            assert fine.all(), f"output {number} at {[*map(int, at)]}: {got[at]}, expected {away}"


if __name__ == "__main__":
    test_repro()
