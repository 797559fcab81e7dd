"""The left panel of Diptych: ONNX operators and models, defined readably in Python on NumPy.

`ReferenceSession(model).run(None, feeds)` evaluates a model,
`run_operator("Conv", [x, w], {"pads": [1, 1, 1, 1]})` one operator.
"""

from diptych_reference.errors import (
    Error,
    InvalidInputError,
    InvalidModelError,
    InvalidTypeError,
    ResourceLimitError,
    ShapeError,
    UnsupportedOperatorError,
)
from diptych_reference.lowering import Lowered, lower, lowered_model
from diptych_reference.model import Model, load
from diptych_reference.operator import lookup, operator, registry
from diptych_reference.session import ReferenceSession, run_operator
from diptych_reference.values import NOTHING, Sequence
from diptych_reference.write import to_proto

__all__ = [
    "NOTHING",
    "Error",
    "InvalidInputError",
    "InvalidModelError",
    "InvalidTypeError",
    "Lowered",
    "Model",
    "ReferenceSession",
    "ResourceLimitError",
    "Sequence",
    "ShapeError",
    "UnsupportedOperatorError",
    "load",
    "lookup",
    "lower",
    "lowered_model",
    "operator",
    "registry",
    "run_operator",
    "to_proto",
]
