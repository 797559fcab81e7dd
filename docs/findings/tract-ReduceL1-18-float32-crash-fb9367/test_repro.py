"""tract: crash: SIGABRT: the process died: SIGABRT: at
/tmp/python-build.20260509073455.222/Python-3.11.7/Modules/main.c:710:12 30: 0x7f1abf6ba217 - Py_BytesMain at
/tmp/python-build.20260509073455.222/Python-3.11.7/Modules/main.c:734:12 31: 0x7f1abf24524a -
__libc_start_call_main at ./csu/../sysdeps/nptl/libc_start_call_ma

    <
       ir_version: 10,
       opset_import: ["" : 18]
    >
    ReduceL1 (float[?] x0) => (float[?] y0) {
       y0 = ReduceL1 (x0)
    }
    x0 = np.empty([0], np.float32)

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
    return list(make_engine('tract', 1).prepare(MODEL)(read_inputs()))


def test_repro():
    """The engine ends the run, and not the process with it."""
    try:
        done = subprocess.run([sys.executable, __file__, "run"], timeout=30.0)
    except subprocess.TimeoutExpired:
        raise AssertionError("the engine hangs: no answer within 30 s") from None
    assert done.returncode == 0, f"the engine's process died: exit status {done.returncode}"


if __name__ == "__main__":
    run() if sys.argv[1:] == ["run"] else test_repro()
