"""onnx.reference: bound: error beyond the bound: 24 of 24 elements; at [0, 1, 1] 0.40800717473030090332,
expected 0.09789591203005261132, 6.47e+05 times the bound 4.8e-07

    <
       ir_version: 10,
       opset_import: ["" : 1]
    >
    Softmax (float[?,?,?] x0) => (float[?,?,?] y0) {
       y0 = Softmax (x0)
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
    ("bound", "float32", [2, 3, 4], np.array([[[0.1938684470665985, 0.08629071135463318, 0.03734542385814048, 0.03124890295797682], [0.0496989516658423, 0.09789591203005261, 0.028619591461744427, 0.06372226883699417], [0.06698606721364028, 0.13490289664407476, 0.09735545714201926, 0.1120653697682832]], [[0.01608708630362765, 0.027173217573535063, 0.06774976289826098, 0.13772742757048512], [0.008782665675606177, 0.1405789485486267, 0.1188332037274942, 0.06756951169567643], [0.040297969964082254, 0.022599384143844763, 0.1329357814287203, 0.21966504047004032]]], np.float64), np.array([[[9.418179420471786e-07, 4.234074526154377e-07, 1.8512778748575263e-07, 1.552415487372186e-07], [2.455113732383412e-07, 4.796076928033816e-07, 1.423308138852147e-07, 3.138326817538777e-07], [3.2970548377998984e-07, 6.583067334145173e-07, 4.769923638564392e-07, 5.481141634033698e-07]], [[8.065971332843732e-08, 1.3538739428908524e-07, 3.3382916064338636e-07, 6.727537513067052e-07], [4.435577631738725e-08, 6.865090766867966e-07, 5.815171945535695e-07, 3.329518303848901e-07], [1.998239472127257e-07, 1.1284955388177475e-07, 6.496314994795615e-07, 1.066819059952215e-06]]], np.float64), 3.4028234663852886e+38, False),
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
