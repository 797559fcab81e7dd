"""Other engines as the suite sees them: the same cases, data and tolerances as for the panels."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

from .suite import Panel
from .test_engine import EnginePanel
from .test_reference import ReferencePanel


class OnnxReferencePanel:
    """`onnx.reference.ReferenceEvaluator`."""

    name = "onnx.reference"
    unsupported: tuple[type[Exception], ...] = (NotImplementedError,)

    def prepare(self, model: bytes) -> Callable[[dict[str, Any]], Sequence[Any]]:
        """Load the model."""
        from onnx.reference import ReferenceEvaluator

        session = ReferenceEvaluator(onnx.load_from_string(model))
        return lambda feeds: [array(value) for value in session.run(None, feeds)]


class OnnxRuntimePanel:
    """ONNX Runtime on the CPU. Types that NumPy lacks travel as OrtValues."""

    name = "onnxruntime"

    def __init__(self) -> None:
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented  # noqa: A004

        self.unsupported: tuple[type[Exception], ...] = (NotImplemented, InvalidGraph, Fail)

    def prepare(self, model: bytes) -> Callable[[dict[str, Any]], Sequence[Any]]:
        """Load the model."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda feeds: [array(value) for value in session.run(None, feeds)]


class OpenVinoPanel:
    """OpenVINO on the CPU, computing in the types of the model."""

    name = "openvino"
    unsupported: tuple[type[Exception], ...] = (NotImplementedError,)

    def prepare(self, model: bytes) -> Callable[[dict[str, Any]], Sequence[Any]]:
        """Load the model."""
        import openvino

        core = openvino.Core()
        hints = {"INFERENCE_PRECISION_HINT": "f32"}
        try:
            compiled = core.compile_model(core.read_model(io.BytesIO(model)), "CPU", hints)
        except RuntimeError as error:
            raise NotImplementedError(str(error)) from error

        def run(feeds: dict[str, Any]) -> Sequence[Any]:
            results = compiled(feeds)
            return [array(results[output]) for output in compiled.outputs]

        return run


def array(value: Any) -> Any:
    """A result as the suite compares it: strings are object arrays, NumPy's scalars arrays of rank 0."""
    if isinstance(value, list):
        return [array(item) for item in value]
    if value is None or isinstance(value, dict):
        return value
    result = np.asarray(value)
    return result.astype(object) if result.dtype.kind in "US" else result


PANELS: dict[str, Callable[[], Panel]] = {
    "engine": EnginePanel,
    "reference": ReferencePanel,
    "onnx.reference": OnnxReferencePanel,
    "onnxruntime": OnnxRuntimePanel,
    "openvino": OpenVinoPanel,
}
