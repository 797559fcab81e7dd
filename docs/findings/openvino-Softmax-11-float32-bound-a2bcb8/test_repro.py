"""openvino: bound: error beyond the bound: 24 of 24 elements; at [1, 2, 0] 0.5646354556083679199, expected
0.062541834437952858176, 1.62e+06 times the bound 3.1e-07

    <
       ir_version: 10,
       opset_import: ["" : 11]
    >
    Softmax (float[?,?,?] x0) => (float[?,?,?] y0) {
       y0 = Softmax <axis: int = 1> (x0)
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
    ("bound", "float32", [2, 3, 4], np.array([[[0.07242887479015397, 0.05596743298300011, 0.12118247514644703, 0.07093577858133429], [0.037382603160345, 0.09169518693887874, 0.23530318851119955, 0.16467202957499152], [0.031599446167519585, 0.018019478590288535, 0.03424704833225663, 0.06656645722358502]], [[0.0069541565106503505, 0.05714424469559307, 0.020459745906686217, 0.03419580459273834], [0.04126898840494364, 0.05183523808233348, 0.10733994825300346, 0.20172062873858426], [0.06254183443795286, 0.27889455361568205, 0.03656807724341713, 0.10107677951841515]]], np.float64), np.array([[[3.574688621496721e-07, 2.7709300907213593e-07, 5.943348460220941e-07, 3.5018871768238816e-07], [1.8598830351587853e-07, 4.512547210537614e-07, 1.14463570097335e-06, 8.045876962221119e-07], [1.5753528632063976e-07, 9.044327951947574e-08, 1.7056870682034912e-07, 3.288734488714016e-07]], [[3.539111188352046e-08, 2.835729209233166e-07, 1.0279465152118938e-07, 1.707504996250065e-07], [2.056020580345102e-07, 2.575317535960913e-07, 5.285906123817617e-07, 9.857026445597297e-07], [3.1001812739920626e-07, 1.3573720297627733e-06, 1.824483540834538e-07, 4.981137540519087e-07]]], np.float64), 3.4028234663852886e+38, False),
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
