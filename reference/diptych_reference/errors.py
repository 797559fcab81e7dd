"""Every error the reference raises on purpose. Each is also the built-in exception a Python programmer would catch."""

from __future__ import annotations


class Error(Exception):
    """Base of all errors of the reference. The message says what, where, what was got and what was expected."""

    def at(self, where: str) -> None:
        """Put `where` (a node, a model) in front of the message."""
        message = self.args[0] if self.args else ""
        self.args = (f"{where}: {message}", *self.args[1:])


class InvalidModelError(Error, ValueError):
    """The model breaks the ONNX specification: malformed file, cycle, undefined value, bad attribute, wrong arity."""


class UnsupportedOperatorError(Error, NotImplementedError):
    """No function is registered for this (domain, operator, since_version), or not for this type."""


class InvalidInputError(Error, ValueError):
    """A value given to the model or to an operator is not acceptable: unknown or missing name, value out of range."""


class InvalidTypeError(InvalidInputError, TypeError):
    """A value has an element type that the operator's type constraints, or the model's signature, do not allow."""


class ShapeError(InvalidInputError):
    """A value's shape does not fit the operator, its other inputs or the model's signature."""


class ResourceLimitError(Error, MemoryError):
    """An operator would need more memory than there is."""
