"""openvino: crash: SIGSEGV: the process died: SIGSEGV

    <
       ir_version: 10,
       opset_import: ["com.microsoft" : 1]
    >
    Attention (float[?,?,?] x0, float[?,?] x1) => (float[?,?,?] y0) {
       y0 = com.microsoft.Attention <num_heads: int = 1> (x0, x1)
    }
    x0 = np.array([[[0.0]]], np.float32)
    x1 = np.array([[0.0, 1.0, 2.0]], np.float32)

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
