"""OpenVINO."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import openvino

from diptych.engines import Engine, Run, choose

__all__ = ["OpenVinoEngine"]

# Types that NumPy lacks travel as tensors over their bytes.
_NARROW = {
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f8e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "f8e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "f4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
    "i4": np.dtype(ml_dtypes.int4),
    "u4": np.dtype(ml_dtypes.uint4),
    "u2": np.dtype(ml_dtypes.uint2),
}


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU, computing in the types of the model, for latency."""

    name = "openvino"
    takes: Mapping[str, str] = {"precision": "f32 (default), f16, bf16, or dynamic: as the plugin likes"}

    def __init__(self, threads: int = 1, options: Mapping[str, str] | None = None) -> None:
        super().__init__(threads, options)
        self.precision = choose(self, "precision", {name: name for name in ("f32", "f16", "bf16", "dynamic")}, "f32")

    @property
    def version(self) -> str:
        """Version of OpenVINO."""
        return str(openvino.__version__).split("-", maxsplit=1)[0]

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model. Inputs that OpenVINO's reader drops are not fed."""
        config = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(self.threads),
        }
        core = openvino.Core()
        try:
            read = core.read_model(io.BytesIO(model) if isinstance(model, bytes) else model)
            compiled = core.compile_model(read, "CPU", config)
        except RuntimeError as error:
            raise NotImplementedError(str(error)) from error
        request = compiled.create_infer_request()
        fed: list[tuple[Any, str]] = []

        def run(feeds: Mapping[str, Any]) -> list[Any]:
            if not fed:
                fed.extend((port, _name(port, feeds)) for port in compiled.inputs)
            for port, name in fed:
                request.set_tensor(port, _to_tensor(feeds[name]))
            request.infer()
            return [_from_tensor(request.get_tensor(port)) for port in compiled.outputs]

        return run


def _name(port: Any, feeds: Mapping[str, Any]) -> str:
    """Return under which name an input is fed: once compiled, it also has those of nodes that were fused into it."""
    names = port.get_names() & feeds.keys()
    if not names:
        raise NotImplementedError(f"OpenVINO made the input {port} of its own")
    return str(names.pop())


def _to_tensor(value: Any) -> Any:
    """Return a tensor of OpenVINO with the content of an array."""
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"OpenVINO takes no {type(value).__name__}")
    if value.dtype.kind == "O":
        return openvino.Tensor(value.astype(str))
    for name, dtype in _NARROW.items():
        if value.dtype == dtype:
            tensor = openvino.Tensor(getattr(openvino.Type, name), openvino.Shape(value.shape))
            if value.size:
                content = onnx.numpy_helper.from_array(value).raw_data
                tensor.data.reshape(-1).view(np.uint8)[:] = np.frombuffer(content, np.uint8)
            return tensor
    return openvino.Tensor(np.array(value, order="C"))


def _from_tensor(tensor: Any) -> Any:
    """Return the array that a tensor of OpenVINO holds."""
    name = tensor.element_type.to_string()
    if name == "string":
        return tensor.str_data.astype(object)
    dtype = _NARROW.get(name)
    if dtype is None:
        return tensor.data.copy()
    kind = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    content = onnx.TensorProto(data_type=kind, dims=list(tensor.shape), raw_data=tensor.data.tobytes())
    return onnx.numpy_helper.to_array(content)
