"""onnx.reference: error: TypeError: Issues with types [<class 'numpy.ndarray'>, <class 'numpy.ndarray'>, <class
'numpy.ndarray'>] and attributes ['center_point_box'] and linked attributes=[] (operator 'NonMaxSuppression').

    <
       ir_version: 10,
       opset_import: ["" : 11]
    >
    NonMaxSuppression (float[?,?,?] x0, float[?,?,?] x1, int64[?] x2) => (int64[?,?] y0) {
       y0 = NonMaxSuppression (x0, x1, x2)
    }
    x0 = np.array([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9]]], np.float32)
    x1 = np.array([[[0.9, 0.8]]], np.float32)
    x2 = np.array([3], np.int64)

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


def test_repro():
    """The engine runs the model."""
    run()


if __name__ == "__main__":
    test_repro()
