"""Operators of your own: a Python function, or a graph of other operators, in a domain of yours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

from diptych import _core
from diptych.errors import InvalidInputError, InvalidModelError
from diptych.values import as_array

__all__ = ["register_operator"]

Function = TypeVar("Function", bound=Callable[..., Any])


def register_operator(
    domain: str,
    op_type: str,
    definition: Any = None,
    *,
    since: int = 1,
    deterministic: bool = False,
    infer: Callable[..., Sequence[tuple[Any, Sequence[int]]]] | None = None,
) -> Any:
    """Add an operator to both panels: models that are loaded from now on may contain it.

        @diptych.register_operator("com.example", "Clamp")
        def clamp(x, low=None, *, high=1.0):
            return np.minimum(x if low is None else np.maximum(x, low), np.float32(high))

    Args:
        domain: a domain of yours, which models import; ONNX's own operators cannot be replaced.
        op_type: name of the operator.
        definition: what it does, one of
            a function with the ONNX signature: inputs are positional (None: an absent optional; `*inputs`: any number),
            attributes keyword-only with their defaults; a keyword `n_outputs` is told how many outputs the
            node names. It takes NumPy arrays that it must not write, and returns an array or a tuple of them;
            an `onnx.FunctionProto`: the operator is that graph, evaluated by the panel itself.
            Without a definition the result is a decorator.
        since: the version of the domain from which on this meaning holds.
        deterministic: equal inputs give equal outputs and nothing else happens, so that a node of constants may be
            evaluated once, when the model is loaded.
        infer: types and shapes of the outputs from those of the inputs: `infer(*[(dtype, shape), …], **attributes)`
            gives a list of `(dtype, shape)`. Outputs are held to it; without it they are what the function returns.

    Returns the definition. A version that is registered again is replaced, for sessions made after that.

    Raises InvalidInputError for a definition of another kind or an operator of ONNX. What the function raises in a run
    arrives as CustomOperatorError with the node's name, and the exception as its cause.

    """
    if definition is None:
        return lambda function: register_operator(
            domain, op_type, function, since=since, deterministic=deterministic, infer=infer
        )
    engine = Definition(op_type, _callable(op_type, definition, _engine_session), infer)
    _core.register_operator(domain, op_type, since, engine, deterministic=deterministic)
    if find_spec("diptych_reference") is not None:
        reference = import_module("diptych_reference")
        function = _callable(op_type, definition, reference.ReferenceSession)
        versions = reference.registry.setdefault((domain, op_type), {})
        versions.pop(since, None)
        reference.operator(op_type, since=since, domain=domain)(checked(function, infer))
    return definition


class Definition:
    """A function with its signature, as the engine binds it to nodes."""

    def __init__(self, op_type: str, function: Callable[..., Any], infer: Callable[..., Any] | None) -> None:
        self.op_type = op_type
        self.function = checked(function, infer)
        parameters = inspect.signature(function).parameters.values()
        inputs = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.least = sum(p.default is p.empty for p in inputs)
        self.most = None if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(inputs)
        named = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
        self.wants_n_outputs = named.pop("n_outputs", None) is not None
        self.known = set(named)
        self.required = {name for name, p in named.items() if p.default is p.empty}

    def bind(self, attributes: Mapping[str, Any], n_inputs: int, n_outputs: int) -> Callable[[list[Any]], list[Any]]:
        """The function of a node with these attributes; InvalidModelError where they or the arity do not fit."""
        unknown, missing = sorted(attributes.keys() - self.known), sorted(self.required - attributes.keys())
        if unknown or missing:
            raise InvalidModelError(f"{self.op_type}: unknown attributes {unknown}, missing attributes {missing}")
        if n_inputs < self.least or (self.most is not None and n_inputs > self.most):
            most = "any number" if self.most is None else self.most
            raise InvalidModelError(f"{self.op_type}: {n_inputs} inputs, expected {self.least} to {most}")
        keywords = {**attributes, **({"n_outputs": n_outputs} if self.wants_n_outputs else {})}

        def run(inputs: list[Any]) -> list[Any]:
            results = self.function(*inputs, **keywords)
            outputs = results if isinstance(results, tuple) else (results,)
            return [_as_value(output) for output in outputs[:n_outputs]]

        return run


def checked(function: Callable[..., Any], infer: Callable[..., Any] | None) -> Callable[..., Any]:
    """The function, its outputs held to what `infer` says of them."""
    if infer is None:
        return function

    def run(*inputs: Any, **attributes: Any) -> Any:
        results = function(*inputs, **attributes)
        outputs = results if isinstance(results, tuple) else (results,)
        given = [None if value is None else (value.dtype, value.shape) for value in inputs]
        keywords = {name: value for name, value in attributes.items() if name != "n_outputs"}
        for index, (output, (dtype, shape)) in enumerate(zip(outputs, infer(*given, **keywords), strict=False)):
            if (output.dtype, output.shape) != (dtype, tuple(shape)):
                raise InvalidInputError(
                    f"output {index} is {output.dtype}{list(output.shape)}, infer says {dtype}{list(shape)}"
                )
        return results

    run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return run


def _as_value(value: Any) -> Any:
    """An output as the engine takes it: an array, a list for a sequence, None for an absent optional."""
    return value if value is None or isinstance(value, list) else as_array(value)


def _callable(op_type: str, definition: Any, session: Callable[..., Any]) -> Callable[..., Any]:
    """A Python function, or one that evaluates a FunctionProto with sessions of a panel."""
    if callable(definition):
        return definition  # type: ignore[no-any-return]
    if type(definition).__name__ == "FunctionProto":
        return GraphFunction(definition, session)
    raise InvalidInputError(
        f"{op_type} is defined by a {type(definition).__name__}; expected a function or FunctionProto"
    )


def _engine_session(model: bytes) -> Any:
    """A session of the right panel."""
    from diptych.session import InferenceSession

    return InferenceSession(model)


class GraphFunction:
    """An ONNX function as a Python function: a model of one call, one session for each set of input types."""

    def __init__(self, proto: Any, session: Callable[[bytes], Any]) -> None:
        self.proto, self.session = proto, session
        self.sessions: dict[Any, Any] = {}
        kind = inspect.Parameter
        inputs = [kind(name, kind.POSITIONAL_OR_KEYWORD) for name in proto.input]
        attributes = [kind(name, kind.KEYWORD_ONLY) for name in proto.attribute]
        attributes += [kind(a.name, kind.KEYWORD_ONLY, default=None) for a in proto.attribute_proto]
        self.__signature__ = inspect.Signature([*inputs, *attributes])
        self.__name__ = proto.name
        self.__doc__ = proto.doc_string

    def __call__(self, *inputs: Any, **attributes: Any) -> Any:
        """Evaluate the graph."""
        given = {name: value for name, value in attributes.items() if value is not None}
        key = (tuple(value.dtype for value in inputs), repr(sorted(given.items())))
        if key not in self.sessions:
            self.sessions[key] = self.session(self._model(inputs, given))
        return tuple(self.sessions[key].run(None, dict(zip(self.proto.input, inputs, strict=True))))

    def _model(self, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> bytes:
        from onnx import helper

        node = helper.make_node(
            self.proto.name, list(self.proto.input), list(self.proto.output), domain=self.proto.domain, **attributes
        )
        types = [helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs]
        graph = helper.make_graph(
            [node],
            self.proto.name,
            [helper.make_tensor_value_info(n, t, None) for n, t in zip(self.proto.input, types, strict=True)],
            [helper.make_empty_tensor_value_info(name) for name in self.proto.output],
        )
        domains = {entry.domain for entry in self.proto.opset_import}
        imports = [*self.proto.opset_import]
        if self.proto.domain not in domains:
            imports.append(helper.make_opsetid(self.proto.domain, 1))
        model = helper.make_model(graph, functions=[self.proto], opset_imports=imports, ir_version=10)
        return bytes(model.SerializeToString())
