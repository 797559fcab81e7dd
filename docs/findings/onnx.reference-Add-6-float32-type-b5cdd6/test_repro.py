"""onnx.reference: type: shape [2, 2], expected [2, 1]

    <
       ir_version: 10,
       opset_import: ["" : 6]
    >
    Add (float[?,?] x0, float[?] x1) => (float[?,?] y0) {
       y0 = Add <broadcast: int = 1, axis: int = 0> (x0, x1)
    }
    x0 = np.array([[0.0], [1.0]], np.float32)
    x1 = np.array([0.0, 1.0], np.float32)

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


def run_onnx_reference(model: Path, feeds: dict[str, Any], threads: int) -> list[Any]:
    """Outputs of ONNX's own ReferenceEvaluator."""
    from onnx.reference import ReferenceEvaluator

    return list(ReferenceEvaluator(str(model)).run(None, feeds))


def run():
    """Outputs of the engine."""
    return run_onnx_reference(MODEL, read_inputs(), threads=1)


# One item an output: "bits" and the value; "type", dtype and shape; or "bound", dtype, shape, exact values, how far
# from them, the greatest number of the type, whether the sign of zero is certain.
EXPECTED = [
    ("type", "float32", [2, 1]),
]


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
