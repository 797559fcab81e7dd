"""The registry: which plain Python function defines which version of which ONNX operator.

A function's signature *is* the ONNX signature. Inputs are positional in ONNX's order (optional ones default to None, a
variadic tail is `*inputs`), attributes keyword-only with ONNX's names and defaults. It returns one value or a tuple.
What is no attribute, a function gets by keyword-only parameters of these names: `n_outputs`, how many outputs the node
asks for; `place`, where the node stands in its session's runs, a text that no other evaluation has (session.py);
`enclosing`, the graph around the node (Gradient looks at it), None where an operator is called directly.

Values are NumPy arrays (strings: dtype object), lists for sequences, Map for maps, None for an absent input, NOTHING
for an optional that holds nothing (`values`). Attributes arrive as int, float (the binary32 value), str, list, array
(tensor attributes) or callable (graph attributes).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from diptych_reference.errors import (
    Error,
    InvalidInputError,
    InvalidModelError,
    ResourceLimitError,
    ShapeError,
    UnsupportedOperatorError,
)
from diptych_reference.private import refusal
from diptych_reference.schemas import find_schema

Array = NDArray[Any]
CONTEXT = ("n_outputs", "place", "enclosing")  # keyword-only parameters that are no attributes
Function = TypeVar("Function", bound=Callable[..., Any])
REQUIRED: Any = object()  # the default of an input that a node must have although optional ones come before it


@dataclass(frozen=True)
class Operator:
    """One row of the registry: a function and what its signature says about inputs and attributes."""

    domain: str
    op_type: str
    since: int
    function: Callable[..., Any]
    min_inputs: int
    max_inputs: int | None  # None: variadic
    present: int  # this many inputs, the first ones, may not be absent
    present_too: tuple[int, ...]  # nor may these, which come after optional ones
    named: int  # this many inputs have a name of their own; those of a variadic tail may not be absent
    defaults: Mapping[str, Any]  # optional attributes
    required: frozenset[str]  # attributes without a default
    context: frozenset[str]  # those of CONTEXT that the function declares

    @property
    def name(self) -> str:
        """Name for messages: `Conv-11` or `com.example.Conv-1`."""
        return f"{self.domain + '.' if self.domain else ''}{self.op_type}-{self.since}"

    def __call__(
        self,
        inputs: Sequence[Any],
        attributes: Mapping[str, Any],
        n_outputs: int = 1,
        place: str = "",
        enclosing: Any = None,
    ) -> tuple[Any, ...]:
        """Evaluate on `inputs` (None: absent) and return all outputs the function computes, at least `n_outputs`."""
        arguments = self._trim(inputs)
        keywords = self._bind(attributes)
        given = {"n_outputs": n_outputs, "place": place, "enclosing": enclosing}
        keywords.update((name, given[name]) for name in self.context)
        try:
            with np.errstate(all="ignore"):
                result = self.function(*arguments, **keywords)
        except Error as error:
            error.at(self.name)
            raise
        except ValueError as error:  # NumPy's own word for shapes that do not fit together
            raise ShapeError(f"{self.name}: {error}") from error
        except (IndexError, OverflowError) as error:
            raise InvalidInputError(f"{self.name}: {error}") from error
        except MemoryError as error:
            raise ResourceLimitError(f"{self.name}: not enough memory: {error}") from error
        outputs = result if isinstance(result, tuple) else (result,)
        if len(outputs) < n_outputs:
            raise InvalidModelError(f"{self.name}: {n_outputs} outputs asked for, the operator has {len(outputs)}")
        return tuple(map(as_value, outputs))

    def _trim(self, inputs: Sequence[Any]) -> list[Any]:
        """Inputs without absent ones at the end; wrong arity is an error."""
        arguments = list(inputs)
        while self.max_inputs is not None and len(arguments) > self.min_inputs and arguments[-1] is None:
            arguments.pop()
        if len(arguments) < self.min_inputs or (self.max_inputs is not None and len(arguments) > self.max_inputs):
            expected = f"{self.min_inputs} to {'any number' if self.max_inputs is None else self.max_inputs}"
            raise InvalidModelError(f"{self.name}: got {len(arguments)} inputs, expected {expected}")
        needed = (*arguments[: self.present], *(arguments[i] for i in self.present_too), *arguments[self.named :])
        if any(argument is None for argument in needed):
            raise InvalidModelError(f"{self.name}: an input that it needs is absent")
        return arguments

    def _bind(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes completed by their defaults; unknown or missing ones are an error."""
        known = self.required | self.defaults.keys()
        unknown = sorted(attributes.keys() - known)
        missing = sorted(self.required - attributes.keys())
        if unknown:
            raise InvalidModelError(f"{self.name}: unknown attributes {unknown}, expected some of {sorted(known)}")
        if missing:
            raise InvalidModelError(f"{self.name}: missing attributes {missing}")
        return {**self.defaults, **{name: as_attribute(value) for name, value in attributes.items()}}


def as_value(value: Any) -> Any:
    """Scalars become arrays of rank 0 (NumPy takes a string out of its array); everything else is left alone."""
    if isinstance(value, str):
        return np.array(value, dtype=object)
    return np.asarray(value) if isinstance(value, np.generic) else value


def as_attribute(value: Any) -> Any:
    """An attribute as the functions see it: bytes as str, floats rounded to binary32 (ONNX has no others)."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, float):
        return float(np.float32(value))
    if isinstance(value, (list, tuple)):
        return [as_attribute(item) for item in value]
    return value


registry: dict[tuple[str, str], dict[int, Operator]] = {}


def operator(op_type: str, *, since: Iterable[int] | int, domain: str = "") -> Callable[[Function], Function]:
    """Register the decorated function as the definition of `op_type` for the since_versions in `since`."""

    def register(function: Function) -> Function:
        versions = registry.setdefault((domain, op_type), {})
        for version in (since,) if isinstance(since, int) else since:
            if version in versions:
                raise ValueError(f"{op_type}-{version} is defined twice: {versions[version].function} and {function}")
            versions[version] = describe(domain, op_type, version, function)
        return function

    return register


def describe(domain: str, op_type: str, since: int, function: Callable[..., Any]) -> Operator:
    """Read arity and attributes from the function's signature.

    A function may serve several versions, so ONNX's schema of this one says which of the attributes it has and how many
    inputs it demands.
    """
    parameters = inspect.signature(function).parameters.values()
    inputs = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    attributes = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in CONTEXT]
    present = sum(p.default is p.empty for p in inputs)
    min_inputs = present
    schema = find_schema(domain, op_type, since)
    if schema is not None and schema.since_version == since:
        attributes = [p for p in attributes if p.name in schema.attributes]
        min_inputs = schema.min_input
    return Operator(
        domain=domain,
        op_type=op_type,
        since=since,
        function=function,
        min_inputs=min_inputs,
        present=present,
        present_too=tuple(i for i, p in enumerate(inputs) if p.default is REQUIRED),
        named=len(inputs),
        max_inputs=None if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(inputs),
        defaults={p.name: as_attribute(p.default) for p in attributes if p.default is not p.empty},
        required=frozenset(p.name for p in attributes if p.default is p.empty),
        context=frozenset(p.name for p in parameters) & frozenset(CONTEXT),
    )


def lookup(domain: str, op_type: str, opset: int) -> Operator:
    """The row for `op_type` in a model that imports version `opset` of `domain`.

    ONNX's schema list decides which since_version that is: a version without a row is an error, never an older meaning.
    Operators unknown to ONNX (registered by users) take their greatest since_version not above `opset`.
    """
    domain = "" if domain == "ai.onnx" else domain
    versions = registry.get((domain, op_type), {})
    schema = find_schema(domain, op_type, opset)
    since = schema.since_version if schema else max((v for v in versions if v <= opset), default=None)
    private = refusal(domain, op_type)
    if private and not versions:
        raise UnsupportedOperatorError(private)
    if since not in versions:
        name = f"{domain or 'ai.onnx'}.{op_type}"
        known = f"registered since_versions: {sorted(versions)}" if versions else "no version is registered"
        raise UnsupportedOperatorError(f"{name} at opset {opset} (since_version {since}) has no definition; {known}")
    return versions[since]
