"""onnxruntime: crash: SIGABRT: the process died: SIGABRT: terminate called without an active exception

    <
       ir_version: 10,
       opset_import: ["" : 22]
    >
    GRU (float[?,?,?] x0, float[?,?,?] x1, float[?,?,?] x2) => (float[?,?,?,?] y0) {
       y0 = GRU <hidden_size: int = 1> (x0, x1, x2)
    }
    x0 = np.empty([1, 0, 1], np.float32)
    x1 = np.array([[[1.0], [1.0], [1.0]]], np.float32)
    x2 = np.array([[[1.0], [1.0], [1.0]]], np.float32)

Made by `diptych fuzz`. It fails while the failure is there.
"""

from __future__ import annotations

import subprocess
import sys
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
    """The engine ends the run, and not the process with it."""
    try:
        done = subprocess.run([sys.executable, __file__, "run"], timeout=30.0)
    except subprocess.TimeoutExpired:
        raise AssertionError("the engine hangs: no answer within 30 s") from None
    assert done.returncode == 0, f"the engine's process died: exit status {done.returncode}"


if __name__ == "__main__":
    run() if sys.argv[1:] == ["run"] else test_repro()
