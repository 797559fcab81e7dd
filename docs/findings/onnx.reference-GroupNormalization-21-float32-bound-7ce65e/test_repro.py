"""onnx.reference: bound: error beyond the bound: 14 of 16 elements; at [0, 1, 2] -1.9806821346282958984,
expected -2.0087900946783381628, 9.5 times the bound 0.00296

    <
       ir_version: 10,
       opset_import: ["" : 21]
    >
    GroupNormalization (float[?,?,?] x0, float[?] x1, float[?] x2) => (float[?,?,?] y0) {
       y0 = GroupNormalization <num_groups: int = 1> (x0, x1, x2)
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
    ("bound", "float32", [1, 2, 8], np.array([[[-0.9388113706239617, -1.5060843405702777, -0.7190126810590874, 1.2247036558157367, 1.1551655748250795, 0.503604021859785, -0.5004567077823135, 0.09388586478740524], [-0.053943342353572094, -0.09570941586233506, -2.0087900946783384, -0.5497871413056002, 0.04136759382942645, 1.5520783510157299, 0.35199263471154585, 1.4497973973907774]]], np.float64), np.array([[[0.0019225044728163696, 0.0024724812765411553, 0.0017094074504758786, 0.002199827351508827, 0.002132401115765101, 0.0015006272409921475, 0.001497515253974648, 0.0011033520695514615], [0.001064616091579973, 0.001105108716523232, 0.0029598595203602237, 0.0015453416014173124, 0.001052428758640164, 0.00251725980090335, 0.0013536202343902046, 0.0024180850811964497]]], np.float64), 3.4028234663852886e+38, False),
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
