"""Drop-in for `onnxruntime`: its Python surface, served by Diptych's engine on the CPU.

    import diptych.onnxruntime as ort                # in your own code
    python -m diptych.onnxruntime app.py --flag      # an application as it is
    diptych.onnxruntime.install()                    # from here on, `import onnxruntime` comes from Diptych

Nothing is ever published under the name onnxruntime. Logging, telemetry and arena settings are accepted and have no
effect. What concerns other devices, training, custom operator libraries or model compilation is not here.
"""

from diptych.onnxruntime import capi
from diptych.onnxruntime.errors import (
    EngineError,
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    ModelLoadCanceled,
    ModelLoaded,
    NoModel,
    NoSuchFile,
    NotImplemented,
    RuntimeException,
)
from diptych.onnxruntime.install import API_VERSION, install, uninstall
from diptych.onnxruntime.session import InferenceSession
from diptych.onnxruntime.settings import (
    disable_telemetry_events,
    enable_telemetry_events,
    get_all_providers,
    get_available_providers,
    get_build_info,
    get_device,
    get_version_string,
    set_default_logger_severity,
    set_default_logger_verbosity,
    set_seed,
)
from diptych.onnxruntime.values import IOBinding, OrtDevice, OrtValue
from diptych.options import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, RunOptions, SessionOptions
from diptych.session import ModelMetadata
from diptych.values import NodeArg

__version__ = API_VERSION
__all__ = [
    "EPFail",
    "EngineError",
    "ExecutionMode",
    "ExecutionOrder",
    "Fail",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "ModelLoadCanceled",
    "ModelLoaded",
    "ModelMetadata",
    "NoModel",
    "NoSuchFile",
    "NodeArg",
    "NotImplemented",
    "OrtDevice",
    "OrtValue",
    "RunOptions",
    "RuntimeException",
    "SessionOptions",
    "capi",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "install",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_seed",
    "uninstall",
]
