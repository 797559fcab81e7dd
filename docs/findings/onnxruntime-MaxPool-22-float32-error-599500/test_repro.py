"""onnxruntime: error: RuntimeException: [ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code
returned while running MaxPool node. Name:'' Status Message: padding values must be non-negative

    <
       ir_version: 10,
       opset_import: ["" : 22]
    >
    MaxPool (float[?,?,?] x0) => (float[?,?,?] y0) {
       y0 = MaxPool <strides: ints = [2], auto_pad: string = "SAME_UPPER", kernel_shape: ints = [1]> (x0)
    }
    x0 = np.array([[[0.0, 1.0]]], np.float32)

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


def test_repro():
    """The engine runs the model."""
    run()


if __name__ == "__main__":
    test_repro()
