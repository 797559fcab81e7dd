"""onnx.reference: bits: 1 of 1 elements differ; at [0] 0, expected 1

    <
       ir_version: 10,
       opset_import: ["ai.onnx.ml" : 1]
    >
    LinearClassifier (float[?,?] x0) => (int64[?] y0, float[?,?] y1) {
       y0, y1 = ai.onnx.ml.LinearClassifier <classlabels_ints: ints = [0, 1], coefficients: floats = [0, 1]> (x0)
    }
    x0 = np.array([[1.0]], np.float32)

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
    ("bits", np.array([1], np.int64)),
    ("bound", "float32", [1, 2], np.array([[0.0, 1.0]], np.float64), np.array([[2.980232834815979e-08, 2.384186229969203e-07]], np.float64), 3.4028234663852886e+38, False),
]


def same(expected: Any, got: Any) -> bool:
    """Equal to the bit, but for the payload of NaN; dtype and shape too."""
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(same, expected, got))
    if isinstance(expected, dict):
        return expected.keys() == got.keys() and all(np.asarray(got[k] == v) for k, v in expected.items())
    if expected is None or got is None:
        return expected is got
    got = np.asarray(got)
    got = got.astype(object) if got.dtype.kind in "US" else got
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return False
    if expected.dtype.kind in "OV" and "float" not in expected.dtype.name:
        return bool((expected == got).all())
    both = (np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (expected, got))
    bits = [octets.reshape(expected.size, expected.dtype.itemsize) for octets in both]
    equal = (bits[0] == bits[1]).all(axis=1).reshape(expected.shape)
    return bool((equal | ((expected != expected) & (got != got))).all())


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
            at = tuple(np.unravel_index(np.argmin(fine), fine.shape)) if fine.size else ()
            away = f"{right[2][at]} up to {right[3][at]}, {np.sum(~fine)} of {fine.size} elements"
            assert fine.all(), f"output {number} at {[*map(int, at)]}: {got[at]}, expected {away}"


if __name__ == "__main__":
    test_repro()
