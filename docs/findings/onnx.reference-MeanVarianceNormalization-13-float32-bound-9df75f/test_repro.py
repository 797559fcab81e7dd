"""onnx.reference: bound: error beyond the bound: 18 of 18 elements; at [0, 0, 0, 2] -2.5723986625671386719,
expected -2.472290130750517281, 69.4 times the bound 0.00144

    <
       ir_version: 10,
       opset_import: ["" : 13]
    >
    MeanVarianceNormalization (float[?,?,?,?] x0) => (float[?,?,?,?] y0) {
       y0 = MeanVarianceNormalization (x0)
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


def run_onnx_reference(model: Path, feeds: dict[str, Any], threads: int) -> list[Any]:
    """Outputs of ONNX's own ReferenceEvaluator."""
    from onnx.reference import ReferenceEvaluator

    return list(ReferenceEvaluator(str(model)).run(None, feeds))


def run():
    """Outputs of the engine."""
    return run_onnx_reference(MODEL, read_inputs(), threads=1)


# One item an output: "bits" and the value; "type", dtype and shape; or "bound", dtype, shape, exact values, how far
# from them, the greatest number of the type, whether the sign of zero is certain.
EXPECTED = [
    ("bound", "float32", [1, 2, 3, 3], np.array([[[[-0.05166300868899181, 0.04568802463323605, -2.472290130750517], [0.5400711293531733, 0.5979338863884195, 1.4379763743589684], [-0.1159315480034496, 0.285188423927704, -0.26697315121854254]], [[-1.342725709923802, -0.6921217438802075, -0.17493103181181519], [2.21373210603854, 0.31276471922349913, -0.800841542106786], [0.5090262477255797, 0.6153452933099309, -0.6402483385749395]]]], np.float64), np.array([[[[0.0005135411096659997, 0.0005112529903407872, 0.0014427264327295925], [0.0007010865175660149, 0.000723304694437587, 0.0010458647232654253], [0.0005382113213320024, 0.0006032165002905698, 0.0005961903630441135]], [[0.002319977778558427, 0.0016826048117282054, 0.0011759319419443232], [0.003173534861698747, 0.0013109998607993127, 0.0017891136311721494], [0.0015032935154408907, 0.001607463079335836, 0.0016317863292648013]]]], np.float64), 3.4028234663852886e+38, False),
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
