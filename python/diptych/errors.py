"""Every error that Diptych raises on purpose. Each is also the built-in exception that a Python programmer would catch.

Error
├── InvalidModelError         (ValueError)           the file or its graph breaks ONNX's rules
├── ModelFileError            (OSError)              a file that the model needs cannot be read
├── UnsupportedOperatorError  (NotImplementedError)  an operator, version or type that the engine lacks
├── InvalidInputError         (ValueError)           a wrong name, type or declared shape, or a wrong option
│   ├── InvalidTypeError      (TypeError)            a value of a type that its operator does not take
│   └── MissingInputError                            an input that has no default was not fed
├── ShapeError                (ValueError)           shapes or values met at run time do not fit an operator
├── ResourceLimitError        (MemoryError)          a memory or work budget would be passed
├── CancelledError                                   the run was cancelled by its owner
├── CustomOperatorError       (RuntimeError)         an operator of register_operator raised, see __cause__
├── DeadlineExceededError     (TimeoutError)         the run passed its deadline
├── MissingSourceError        (LookupError)          source code that was to be shown is not there
└── InternalError             (RuntimeError)         a fault of the engine: please report it
"""

from diptych._core import (
    CancelledError,
    CustomOperatorError,
    DeadlineExceededError,
    Error,
    InternalError,
    InvalidInputError,
    InvalidModelError,
    InvalidTypeError,
    ModelFileError,
    ResourceLimitError,
    ShapeError,
    UnsupportedOperatorError,
)

__all__ = [
    "CancelledError",
    "CustomOperatorError",
    "DeadlineExceededError",
    "Error",
    "InternalError",
    "InvalidInputError",
    "InvalidModelError",
    "InvalidTypeError",
    "MissingInputError",
    "MissingSourceError",
    "ModelFileError",
    "ResourceLimitError",
    "ShapeError",
    "UnsupportedOperatorError",
]


class MissingInputError(InvalidInputError):
    """A required input of the model was not fed."""


class MissingSourceError(Error, LookupError):
    """Source code that was to be shown is not there: `diptych.sources`."""
