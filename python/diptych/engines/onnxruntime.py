"""ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented  # noqa: A004

from diptych.engines import Engine, Run, choose
from diptych.engines.answers import as_values

__all__ = ["OnnxRuntimeEngine"]


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime on the CPU with its defaults, one pool of the given size."""

    name = "onnxruntime"
    unsupported = (NotImplemented, InvalidGraph, Fail, NotImplementedError)
    takes: Mapping[str, str] = {"optimization": "off, basic, extended or all (default)"}

    def __init__(self, threads: int = 1, options: Mapping[str, str] | None = None) -> None:
        super().__init__(threads, options)
        levels = onnxruntime.GraphOptimizationLevel
        named = {
            "off": levels.ORT_DISABLE_ALL,
            "basic": levels.ORT_ENABLE_BASIC,
            "extended": levels.ORT_ENABLE_EXTENDED,
            "all": levels.ORT_ENABLE_ALL,
        }
        self.level = choose(self, "optimization", named, "all")

    @property
    def version(self) -> str:
        """Version of ONNX Runtime."""
        return str(onnxruntime.__version__)

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.graph_optimization_level = self.level
        content = model if isinstance(model, bytes) else str(model)
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        kinds = [_NARROW.get(output.type) for output in session.get_outputs()]

        def run(feeds: Mapping[str, Any]) -> list[Any]:
            try:
                outputs = as_values(session.run(None, dict(feeds)))
            except RuntimeError as error:
                if any(words in str(error) for words in _NO_TYPE):
                    raise NotImplementedError(str(error)) from error
                raise
            return [o if kind is None else o.view(kind) for o, kind in zip(outputs, kinds, strict=True)]

        return run


# What its Python package, not its kernels, says of types that it cannot return or take.
_NO_TYPE = ("No corresponding Numpy type", "can't be converted to MLDataType")

# Types that its Python package returns as bytes.
_NARROW = {
    "tensor(float8e4m3fn)": ml_dtypes.float8_e4m3fn,
    "tensor(float8e4m3fnuz)": ml_dtypes.float8_e4m3fnuz,
    "tensor(float8e5m2)": ml_dtypes.float8_e5m2,
    "tensor(float8e5m2fnuz)": ml_dtypes.float8_e5m2fnuz,
}
