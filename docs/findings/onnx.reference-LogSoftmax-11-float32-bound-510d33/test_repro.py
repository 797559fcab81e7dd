"""onnx.reference: bound: error beyond the bound: 24 of 24 elements; at [1, 1, 1] -0.43504062294960021973,
expected -3.3969641125320884725, 5.21e+05 times the bound 5.68e-06

    <
       ir_version: 10,
       opset_import: ["" : 11]
    >
    LogSoftmax (float[?,?,?] x0) => (float[?,?,?] y0) {
       y0 = LogSoftmax <axis: int = 1> (x0)
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
    ("bound", "float32", [2, 3, 4], np.array([[[-1.221791585871034, -1.708322724291139, -2.6660460736239484, -4.231745084711366], [-3.027880626694315, -2.366951545664125, -4.311787923761659, -2.6283044423544935], [-2.593562802263551, -2.327383777090364, -4.207544406839662, -3.685129066892915]], [[-3.57482681633229, -4.308193514358947, -1.3990237212299796, -3.6343022978424524], [-2.8094219362854456, -3.3969641125320886, -1.5549187159656974, -1.8180305457233878], [-2.5050389266132806, -5.341901371490905, -3.0863625912487005, -2.4547053671001886]]], np.float64), np.array([[[5.105420420606753e-06, 5.163419451962146e-06, 5.277588972022305e-06, 5.46423483878418e-06], [5.320723012028748e-06, 5.241934125835688e-06, 5.473776688760993e-06, 5.273089818972186e-06], [5.268948292739116e-06, 5.237217280254901e-06, 5.461349893168447e-06, 5.399073131643182e-06]], [[5.70149096774568e-06, 5.788915090924492e-06, 5.442115026481166e-06, 5.708580997642197e-06], [5.610247595776595e-06, 5.680288081188077e-06, 5.460699158048134e-06, 5.4920645323459545e-06], [5.573962313442247e-06, 5.912142670176253e-06, 5.643261494502492e-06, 5.5679620855721296e-06]]], np.float64), 3.4028234663852886e+38, False),
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
