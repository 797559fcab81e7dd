"""ONNX Runtime's exception classes, and the way from Diptych's errors to them.

The classes derive from Exception alone, as ONNX Runtime's do; the Diptych error is each one's `__cause__`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import diptych.errors as ours

__all__ = [
    "EPFail",
    "EngineError",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "ModelLoadCanceled",
    "ModelLoaded",
    "NoModel",
    "NoSuchFile",
    "NotImplemented",
    "RuntimeException",
    "translated",
]


class Fail(Exception):
    """FAIL: a run, or a load, did not succeed."""


class InvalidArgument(Exception):
    """INVALID_ARGUMENT: a wrong name, element type, rank or dimension."""


class NoSuchFile(Exception):
    """NO_SUCHFILE: the model's file does not exist."""


class NoModel(Exception):
    """NO_MODEL; never raised here."""


class EngineError(Exception):
    """ENGINE_ERROR; never raised here."""


class RuntimeException(Exception):
    """RUNTIME_EXCEPTION: out of memory, or a fault of the engine."""


class InvalidProtobuf(Exception):
    """INVALID_PROTOBUF; Diptych reports a malformed file as INVALID_GRAPH."""


class ModelLoaded(Exception):
    """MODEL_LOADED; never raised here."""


class NotImplemented(Exception):
    """NOT_IMPLEMENTED: an operator, version or type that the engine lacks."""


class InvalidGraph(Exception):
    """INVALID_GRAPH: the file or its graph breaks ONNX's rules."""


class EPFail(Exception):
    """EP_FAIL; never raised here."""


class ModelLoadCanceled(Exception):
    """MODEL_LOAD_CANCELED; never raised here."""


# In order: the first class of which the error is an instance decides.
_TABLE: tuple[tuple[type[Exception], type[Exception], int, str], ...] = (
    (ours.InvalidInputError, InvalidArgument, 2, "INVALID_ARGUMENT"),
    (ours.InvalidModelError, InvalidGraph, 10, "INVALID_GRAPH"),
    (ours.UnsupportedOperatorError, NotImplemented, 9, "NOT_IMPLEMENTED"),
    (ours.ResourceLimitError, RuntimeException, 6, "RUNTIME_EXCEPTION"),
    (ours.InternalError, RuntimeException, 6, "RUNTIME_EXCEPTION"),
    (ours.Error, Fail, 1, "FAIL"),
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise ONNX Runtime's exception where the block raises Diptych's. A missing input stays a ValueError, as there."""
    try:
        yield
    except ours.MissingInputError:
        raise
    except ours.Error as error:
        raise translate(error) from error


def translate(error: ours.Error) -> Exception:
    """ONNX Runtime's exception for an error, with its prefix in the message."""
    if isinstance(error, ours.ModelFileError) and _is_missing(error):
        return NoSuchFile(f"[ONNXRuntimeError] : 3 : NO_SUCHFILE : {error}")
    _, theirs, code, name = next(row for row in _TABLE if isinstance(error, row[0]))
    return theirs(f"[ONNXRuntimeError] : {code} : {name} : {error}")


def _is_missing(error: ours.ModelFileError) -> bool:
    """Whether the file does not exist, rather than may not be read."""
    return error.errno in (None, errno.ENOENT)
