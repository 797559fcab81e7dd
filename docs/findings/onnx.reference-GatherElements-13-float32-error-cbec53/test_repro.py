"""onnx.reference: error: ValueError: Except for dimension -1, all dimensions of index and self should be the
same size.

    <
       ir_version: 10,
       opset_import: ["" : 13]
    >
    GatherElements (float[?] x0, int64[?] x1) => (float[?] y0) {
       y0 = GatherElements <axis: int = -1> (x0, x1)
    }
    x0 = np.array([5.0, 6.0], np.float32)
    x1 = np.array([0, 1, 1], np.int64)

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
