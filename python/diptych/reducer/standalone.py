"""Functions whose source goes into a repro, so that it needs nothing of Diptych. They import what they use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["run_onnx_reference", "run_onnxruntime", "run_reference", "same", "within"]


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


def run_onnxruntime(model: Path, feeds: dict[str, Any], threads: int) -> list[Any]:
    """Outputs of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def run_onnx_reference(model: Path, feeds: dict[str, Any], threads: int) -> list[Any]:
    """Outputs of ONNX's own ReferenceEvaluator."""
    from onnx.reference import ReferenceEvaluator

    return list(ReferenceEvaluator(str(model)).run(None, feeds))


def run_reference(model: Path, feeds: dict[str, Any], threads: int) -> list[Any]:
    """Outputs of Diptych's reference."""
    from diptych_reference import ReferenceSession

    return ReferenceSession(model).run(None, feeds)
