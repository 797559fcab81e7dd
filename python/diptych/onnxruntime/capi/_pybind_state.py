"""The same names as `onnxruntime_pybind11_state`, as in ONNX Runtime."""

from diptych.onnxruntime.capi.onnxruntime_pybind11_state import *  # noqa: F403
