"""openvino: bound: error beyond the bound: 11 of 16 elements; at [0, 1, 0, 0] -1.3383426666259765625, expected
-1.3381993069527728946, 40.8 times the bound 3.51e-06

    <
       ir_version: 10,
       opset_import: ["" : 13]
    >
    LRN (float[?,?,?,?] x0) => (float[?,?,?,?] y0) {
       y0 = LRN <size: int = 2> (x0)
    }

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


from diptych.engines import make_engine


def run():
    """Outputs of the engine."""
    return list(make_engine('openvino', 1).prepare(MODEL)(read_inputs()))


# One item an output: "bits" and the value; "type", dtype and shape; or "bound", dtype, shape, exact values, how far
# from them, the greatest number of the type, whether the sign of zero is certain.
EXPECTED = [
    ("bound", "float32", [1, 4, 2, 2], np.array([[[[1.143100843219298, -1.8880872282851426], [-0.2135308721012369, 0.6650498995029249]], [[-1.338199306952773, 0.3612447871707638], [1.2927384043726726, 0.45366626093158313]], [[-1.6899788766230055, -0.7281752164648285], [1.2322091882531652, 0.29832864332628495]], [[-0.009858938829428256, 0.44119736358057376], [0.7210348934051024, -0.7084518840260179]]]], np.float64), np.array([[[[2.9979026964748003e-06, 4.951708177324627e-06], [5.600072653718509e-07, 1.7441636044772318e-06]], [[3.5095690239962465e-06, 9.474026092862292e-07], [3.390343005416621e-06, 1.189787685838306e-06]], [[4.432148100761049e-06, 1.909716415584985e-06], [3.231598743011007e-06, 7.823983768043455e-07]], [[2.5856108387996737e-08, 1.1570866855720371e-06], [1.8909901641674248e-06, 1.8579898930654565e-06]]]], np.float64), 3.4028234663852886e+38, False),
]


def within(exact: Any, bound: Any, top: float, signed_zeros: bool, got: Any) -> Any:
    """Where a float output is as near as its error bound asks; `top` is the greatest number of its type."""
    wide = got.astype(np.float32) if got.dtype.kind == "V" else got
    e, b, g = (np.asarray(a).astype(np.longdouble) for a in (exact, bound, wide))
    with np.errstate(all="ignore"):
        overflows = np.abs(e) + b > top
        meaningful = np.isfinite(b) & ~((np.isnan(e) ^ np.isnan(g)) & overflows)
        inside = meaningful & ~np.isnan(e) & ~overflows
        wrong = meaningful & (np.isnan(e) != np.isnan(g))
        wrong |= meaningful & np.isinf(e) & (g != e)
        wrong |= inside & (np.abs(g - e) > b)
        wrong |= inside & signed_zeros & (e == 0) & (g == 0) & (np.signbit(e) != np.signbit(g))
    return ~wrong


def test_repro():
    outputs = run()
    assert len(outputs) == len(EXPECTED), f"{len(outputs)} outputs, expected {len(EXPECTED)}"
    for number, (got, (kind, *right)) in enumerate(zip(outputs, EXPECTED)):
        if kind == "bits":
            assert same(right[0], got), f"output {number} is {got}, expected the bits of {right[0]}"
            continue
        dtype, shape = right[:2]
        if dtype is not None:
            got = np.asarray(got)
            found = got.dtype.name, list(got.shape)
            assert found == (dtype, shape), f"output {number} is {found}, expected {(dtype, shape)}"
        if kind == "bound":
            fine = within(*right[2:], got)
            where = np.argwhere(~fine)[:8].tolist()
            assert fine.all(), f"output {number} at {where}: {got}, expected {right[2]} up to {right[3]}"


if __name__ == "__main__":
    test_repro()
