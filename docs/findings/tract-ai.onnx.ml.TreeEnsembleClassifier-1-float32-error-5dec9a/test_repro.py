"""tract: error: TractError: Evaluating #7 "y0.binary_result_complement" Sub Caused by: Condition failed:
`a.rank() == b.rank()` (2 vs 1)

    <
       ir_version: 10,
       opset_import: ["ai.onnx.ml" : 1]
    >
    TreeEnsembleClassifier (float[?] x0) => (int64[?] y0, float[?,?] y1) {
       y0, y1 = ai.onnx.ml.TreeEnsembleClassifier <nodes_treeids: ints = [0], nodes_nodeids: ints = [0], nodes_...
    }
    x0 = np.array([0.0], np.float32)

Made by `diptych fuzz`. It fails while the failure is there.
"""

from __future__ import annotations

from pathlib import Path

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


def test_repro():
    """The engine runs the model."""
    run()


if __name__ == "__main__":
    test_repro()
