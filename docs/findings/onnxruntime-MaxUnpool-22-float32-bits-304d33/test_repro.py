"""onnxruntime: bits: 8 of 25 elements differ; at [0, 0, 1, 0] 1.0 (0x3f800000), expected 0.0 (0x00000000)

    <
       ir_version: 10,
       opset_import: ["" : 22]
    >
    MaxUnpool (float[?,?,?,?] x0, int64[?,?,?,?] x1, int64[?] x2) => (float[?,?,?,?] y0) {
       y0 = MaxUnpool <kernel_shape: ints = [2, 2], strides: ints = [2, 2]> (x0, x1, x2)
    }
    x0 = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    x1 = np.array([[[[5, 7], [13, 15]]]], np.int64)
    x2 = np.array([1, 1, 5, 5], np.int64)

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


def run_onnxruntime(model: Path, feeds: dict[str, Any], threads: int) -> list[Any]:
    """Outputs of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def run():
    """Outputs of the engine."""
    return run_onnxruntime(MODEL, read_inputs(), threads=1)


# One item an output: "bits" and the value; "type", dtype and shape; or "bound", dtype, shape, exact values, how far
# from them, the greatest number of the type, whether the sign of zero is certain.
EXPECTED = [
    ("bits", np.array([[[[0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]]], np.float32)),
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
