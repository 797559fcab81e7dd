"""tract: error: TractError: Evaluating #1 "y0" Reduce<Max> Caused by: Bool is not a number

    <
       ir_version: 10,
       opset_import: ["" : 20]
    >
    ReduceMax (bool[?] x0) => (bool[?] y0) {
       y0 = ReduceMax (x0)
    }

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
