"""onnx.reference: error: AxisError: axis 2 is out of bounds for array of dimension 2

    <
       ir_version: 10,
       opset_import: ["" : 11]
    >
    Squeeze (float[?,?,?] x0) => (float[?] y0) {
       y0 = Squeeze <axes: ints = [2, 0]> (x0)
    }
    x0 = np.array([[[0.0]]], np.float32)

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
