"""Where ONNX Runtime keeps its exceptions, options and settings."""

from diptych.onnxruntime.errors import *  # noqa: F403
from diptych.onnxruntime.session import InferenceSession  # noqa: F401
from diptych.onnxruntime.settings import *  # noqa: F403
from diptych.onnxruntime.values import OrtDevice, OrtValue  # noqa: F401
from diptych.options import *  # noqa: F403
from diptych.session import ModelMetadata  # noqa: F401
from diptych.values import NodeArg  # noqa: F401
