"""openvino: crash: SIGFPE: the process died: SIGFPE

    <
       ir_version: 10,
       opset_import: ["" : 22]
    >
    RNN (float[?,?,?] x0, float[?,?,?] x1, float[?,?,?] x2) => (float[?,?,?,?] y0) {
       y0 = RNN <hidden_size: int = 1> (x0, x1, x2)
    }
    x0 = np.empty([1, 0, 1], np.float32)
    x1 = np.array([[[1.0]]], np.float32)
    x2 = np.array([[[1.0]]], np.float32)

Made by `diptych fuzz`. It fails while the failure is there.
"""

from __future__ import annotations

import subprocess
import sys
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
    return list(make_engine('openvino', 1).prepare(MODEL)(read_inputs()))


def test_repro():
    """The engine ends the run, and not the process with it."""
    try:
        done = subprocess.run([sys.executable, __file__, "run"], timeout=30.0)
    except subprocess.TimeoutExpired:
        raise AssertionError("the engine hangs: no answer within 30 s") from None
    assert done.returncode == 0, f"the engine's process died: exit status {done.returncode}"


if __name__ == "__main__":
    run() if sys.argv[1:] == ["run"] else test_repro()
