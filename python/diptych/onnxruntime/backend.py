"""Where ONNX Runtime keeps its ONNX Backend; needs the onnx package."""

from diptych.backend import is_compatible, prepare, run, run_model, supports_device

__all__ = ["is_compatible", "prepare", "run", "run_model", "supports_device"]
