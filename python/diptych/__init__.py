"""Diptych: an ONNX inference engine on two hinged panels.

    import diptych
    session = diptych.InferenceSession("model.onnx")
    outputs = session.run(None, {"input": array})

This package is the right panel, the fast engine. The left panel, `diptych_reference`, defines the same operators
readably in NumPy; both give the same bits.
"""

from diptych._core import __version__, available_isas, numerics_version, usable_cpus
from diptych.custom import register_operator
from diptych.errors import (
    CancelledError,
    CustomOperatorError,
    DeadlineExceededError,
    Error,
    InternalError,
    InvalidInputError,
    InvalidModelError,
    InvalidTypeError,
    MissingInputError,
    ModelFileError,
    ResourceLimitError,
    ShapeError,
    UnsupportedOperatorError,
)
from diptych.operator import operators, run_operator
from diptych.options import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, RunOptions, SessionOptions
from diptych.session import InferenceSession, ModelMetadata
from diptych.values import NodeArg

__all__ = [
    "CancelledError",
    "CustomOperatorError",
    "DeadlineExceededError",
    "Error",
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "InferenceSession",
    "InternalError",
    "InvalidInputError",
    "InvalidModelError",
    "InvalidTypeError",
    "MissingInputError",
    "ModelFileError",
    "ModelMetadata",
    "NodeArg",
    "ResourceLimitError",
    "RunOptions",
    "SessionOptions",
    "ShapeError",
    "UnsupportedOperatorError",
    "__version__",
    "available_isas",
    "numerics_version",
    "operators",
    "register_operator",
    "run_operator",
    "usable_cpus",
]
