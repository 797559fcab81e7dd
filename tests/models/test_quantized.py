"""The digits quantized by ONNX Runtime's own tool, in every format and granularity: panels, accuracy, ONNX Runtime."""

from __future__ import annotations

import logging
import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.ops.composition import has_vnni

import diptych
from diptych.compare import compare
from diptych_reference import ReferenceSession, lowered_model

onnxruntime = pytest.importorskip("onnxruntime")
quantization = pytest.importorskip("onnxruntime.quantization")

FOLDER = Path(__file__).parents[2] / "examples" / "digits"
MODEL = FOLDER / "digits.onnx"
U8, S8 = quantization.QuantType.QUInt8, quantization.QuantType.QInt8
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def split() -> Split:
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    result: Split = runpy.run_path(str(FOLDER / "train.py"))["split"]()
    return result


class Images(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Some images to calibrate with."""

    def __init__(self, images: np.ndarray) -> None:
        self.batches: Iterator[dict[str, np.ndarray]] = iter([{"image": images[:100]}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


@pytest.fixture(scope="module")
def quantized(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """The digits, statically quantized; or dynamically, where no activation type is given."""
    folder = tmp_path_factory.mktemp("quantized")
    logging.getLogger().setLevel(logging.ERROR)

    def make(activations: Any, weights: Any, per_channel: bool, layout: str = "QDQ") -> bytes:
        path = folder / f"{layout}.onnx"
        if activations is None:
            quantization.quantize_dynamic(MODEL, path, weight_type=weights, per_channel=per_channel)
        else:
            quantization.quantize_static(
                MODEL,
                path,
                Images(split[0]),
                quant_format=quantization.QuantFormat[layout],
                activation_type=activations,
                weight_type=weights,
                per_channel=per_channel,
                # QGemm, com.microsoft's, is what its Gemm would become.
                op_types_to_quantize=["Conv"] if layout == "QOperator" else None,
            )
        return path.read_bytes()

    return make


def accuracy(outputs: list[np.ndarray], labels: np.ndarray) -> float:
    """Fraction of images whose most probable digit is the right one."""
    return float((outputs[0].argmax(axis=1) == labels).mean())


CASES = [
    (U8, S8, True, "QDQ"),
    (U8, S8, False, "QDQ"),
    (S8, S8, True, "QDQ"),
    (S8, S8, False, "QDQ"),
    (U8, U8, False, "QDQ"),
    (U8, S8, True, "QOperator"),
    (U8, U8, False, "QOperator"),
    (None, U8, False, "dynamic"),
    (None, S8, False, "dynamic"),
]


@pytest.mark.parametrize(("activations", "weights", "per_channel", "layout"), CASES)
def test_digits(quantized: Any, split: Split, activations: Any, weights: Any, per_channel: bool, layout: str) -> None:
    content = quantized(activations, weights, per_channel, layout)
    _, _, images, labels = split
    for setting in ("integer", "float"):
        session = diptych.InferenceSession(content, diptych.SessionOptions(quantized=setting))
        reference = ReferenceSession(content, quantized=setting)
        assert [entry.node for entry in reference.lowering] == [entry["node"] for entry in session.lowering()]
        assert all(entry["meaning"] == setting for entry in session.lowering())
        for batch in (images[:1], images[:33]):
            expected, actual = reference.run(None, {"image": batch}), session.run(None, {"image": batch})
            assert not compare(expected[0], actual[0]).problem
        assert accuracy(session.run(None, {"image": images}), labels) >= 0.97
    if layout == "QDQ":
        found = diptych.InferenceSession(content).lowering()
        kinds = Counter((entry["op_type"], entry["nodes_out"][-1][1]) for entry in found)
        assert kinds == {("Conv", "QLinearConv"): 2, ("Gemm", "Mul"): 1}


@pytest.mark.parametrize(("activations", "weights", "per_channel", "layout"), CASES)
def test_onnx_runtime_reads_the_same_digits(
    quantized: Any, split: Split, activations: Any, weights: Any, per_channel: bool, layout: str
) -> None:
    """Probabilities differ by a quantum where it quantizes them (1/255), else by what its Softmax differs.

    Its products of bytes saturate without VNNI: there, digits alone are compared.
    """
    content = quantized(activations, weights, per_channel, layout)
    images = split[2]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    theirs = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"]).run(None, {"image": images})[0]
    ours = diptych.InferenceSession(content).run(None, {"image": images})[0]
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.99
    lowered = lowered_model(content).SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(lowered), full_check=True)
    again = onnxruntime.InferenceSession(lowered, options, ["CPUExecutionProvider"]).run(None, {"image": images})[0]
    assert (ours.argmax(axis=1) == again.argmax(axis=1)).mean() >= 0.99
    if has_vnni():
        quantum = 1 / 255 if layout == "QDQ" else 0.0
        assert max(np.abs(ours - theirs).max(), np.abs(ours - again).max()) <= quantum + 1e-6
