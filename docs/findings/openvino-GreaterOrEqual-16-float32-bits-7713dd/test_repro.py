"""openvino: bits: 1 of 1 elements differ; at [0] True, expected False

    <
       ir_version: 10,
       opset_import: ["" : 16]
    >
    GreaterOrEqual (float[?] x0, float[?] x1) => (bool[?] y0) {
       y0 = GreaterOrEqual (x0, x1)
    }
    x0 = np.array([0.0], np.float32)
    x1 = np.array([np.nan], np.float32)

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
    return list(make_engine('openvino', 1).prepare(MODEL)(read_inputs()))


# One item an output: "bits" and the value; "type", dtype and shape; or "bound", dtype, shape, exact values, how far
# from them, the greatest number of the type, whether the sign of zero is certain.
EXPECTED = [
    ("bits", np.array([False], np.bool_)),
]


def same(expected: Any, got: Any) -> bool:
    """Equal to the bit, but for the payload of NaN; dtype and shape too."""
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(same, expected, got))
    if isinstance(expected, dict):
        return expected.keys() == got.keys() and all(np.asarray(got[k] == v) for k, v in expected.items())
    if expected is None or got is None:
        return expected is got
    got = np.asarray(got)
    got = got.astype(object) if got.dtype.kind in "US" else got
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return False
    if expected.dtype.kind in "OV" and "float" not in expected.dtype.name:
        return bool((expected == got).all())
    both = (np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (expected, got))
    bits = [octets.reshape(expected.size, expected.dtype.itemsize) for octets in both]
    equal = (bits[0] == bits[1]).all(axis=1).reshape(expected.shape)
    return bool((equal | ((expected != expected) & (got != got))).all())


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
