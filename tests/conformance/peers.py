"""Other engines as the suite sees them: the same cases, data and tolerances as for the panels."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
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
    """OpenVINO on the CPU, computing in the types of the model.

    Inputs that its reader drops are not fed. Types that NumPy lacks travel as tensors over their bytes.
    """

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
            request = compiled.create_infer_request()
            for port in compiled.inputs:
                names = port.get_names() & feeds.keys()
                if not names:
                    raise NotImplementedError(f"OpenVINO made the input {port} of its own")
                request.set_tensor(port, to_openvino(feeds[names.pop()]))
            request.infer()
            return [from_openvino(request.get_tensor(port)) for port in compiled.outputs]

        return run


NARROW = {
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f8e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "f8e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "f4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
    "i4": np.dtype(ml_dtypes.int4),
    "u4": np.dtype(ml_dtypes.uint4),
    "u2": np.dtype(ml_dtypes.uint2),
}


def to_openvino(value: Any) -> Any:
    """A tensor of OpenVINO with the content of an array."""
    import openvino

    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"OpenVINO takes no {type(value).__name__}")
    if value.dtype.kind == "O":
        return openvino.Tensor(value.astype(str))
    for name, dtype in NARROW.items():
        if value.dtype == dtype:
            tensor = openvino.Tensor(getattr(openvino.Type, name), openvino.Shape(value.shape))
            if value.size:
                content = onnx.numpy_helper.from_array(value).raw_data
                tensor.data.reshape(-1).view(np.uint8)[:] = np.frombuffer(content, np.uint8)
            return tensor
    return openvino.Tensor(np.array(value, order="C"))


def from_openvino(tensor: Any) -> Any:
    """The array that a tensor of OpenVINO holds."""
    name = tensor.element_type.to_string()
    if name == "string":
        return tensor.str_data.astype(object)
    dtype = next((dtype for known, dtype in NARROW.items() if known == name), None)
    if dtype is None:
        return tensor.data.copy()
    kind = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    content = onnx.TensorProto(data_type=kind, dims=list(tensor.shape), raw_data=tensor.data.tobytes())
    return onnx.numpy_helper.to_array(content)


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
