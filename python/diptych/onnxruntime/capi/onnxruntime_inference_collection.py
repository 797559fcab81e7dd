"""Where ONNX Runtime keeps its session and its values."""

from diptych.onnxruntime.session import InferenceSession
from diptych.onnxruntime.values import IOBinding, OrtDevice, OrtValue

__all__ = ["IOBinding", "InferenceSession", "OrtDevice", "OrtValue", "Session"]

Session = InferenceSession  # ONNX Runtime's base class, named in annotations and isinstance checks
