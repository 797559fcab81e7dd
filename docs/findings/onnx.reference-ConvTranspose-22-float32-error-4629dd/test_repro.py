"""onnx.reference: error: ValueError: Given n_input_plane=1, X.shape=(1, 2), output_shape=[1], kernel_shape=(1,),
dilations=[1], pads=[[0 0]], strides=[1], expected size of input's dimension 2 to match the calculated number
of sliding blocks [np.int64(1)] = 1, but got input.size(2)=2.

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
