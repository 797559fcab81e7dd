"""A candidate: a model with its inputs, small enough to be tried again and again."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper
from onnx.external_data_helper import uses_external_data

from diptych.errors import ResourceLimitError
from diptych.testing.case import declared
from diptych.testing.values import onnx_number
from diptych_reference import NOTHING

__all__ = ["Candidate", "Key", "attribute_graphs", "is_open", "names_of", "read_names", "typed"]

Key = tuple[str, int | None]  # a tensor: the name of an input or an initializer; its place in a sequence, or None


@dataclass(frozen=True)
class Candidate:
    """A model and what to feed it; neither is changed once it is here.

    `expected` are the outputs of the reference where they are known, `chained` those of the engine when it runs the
    nodes one at a time. `path` is the file where the model is too large for one protobuf message, or came from a file
    as it is.
    """

    model: ModelProto
    feeds: Mapping[str, Any]
    expected: tuple[Any, ...] | None = None
    chained: tuple[Any, ...] | None = None
    path: Path | None = None

    @cached_property
    def content(self) -> bytes:
        """The model as the bytes of a file."""
        try:
            return bytes(self.model.SerializeToString(deterministic=True))
        except ValueError as error:  # protobuf ends at 2 GiB
            raise ResourceLimitError(f"a part of the model does not fit into one protobuf message: {error}") from None

    @cached_property
    def key(self) -> bytes:
        """A digest that tells candidates apart."""
        digest = hashlib.sha256(str(self.path).encode() if self.path else self.content)
        for name in sorted(self.feeds):
            digest.update(name.encode())
            digest.update(_digestible(self.feeds[name]))
        return digest.digest()

    @property
    def source(self) -> Path | bytes:
        """What an engine loads."""
        return self.path or self.content

    @cached_property
    def constants(self) -> dict[str, np.ndarray[Any, Any]]:
        """Initializers as arrays, those in other files left out."""
        here = (tensor for tensor in self.model.graph.initializer if not uses_external_data(tensor))
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in here}

    @cached_property
    def tensors(self) -> dict[Key, np.ndarray[Any, Any]]:
        """All arrays that can be made smaller: inputs, items of sequences, initializers."""
        found: dict[Key, np.ndarray[Any, Any]] = {}
        for name, value in self.feeds.items():
            if isinstance(value, np.ndarray):
                found[name, None] = value
            elif isinstance(value, list):
                found.update(((name, i), item) for i, item in enumerate(value) if isinstance(item, np.ndarray))
        found.update(((name, None), array) for name, array in self.constants.items() if name not in self.feeds)
        return found

    def with_tensors(self, changes: Mapping[Key, np.ndarray[Any, Any]]) -> Candidate:
        """Another candidate with some arrays in the place of others; declared types follow."""
        feeds, model = dict(self.feeds), ModelProto()
        model.CopyFrom(self.model)
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for (name, item), array in changes.items():
            if item is not None:
                feeds[name] = [array if i == item else other for i, other in enumerate(feeds[name])]
            elif name in feeds:
                feeds[name] = array
            else:
                constants[name].CopyFrom(numpy_helper.from_array(array, name))
        return Candidate(model, feeds).redeclared()

    def with_model(self, model: ModelProto) -> Candidate:
        """Another candidate with the same inputs, as far as the model still has them."""
        names = {value.name for value in model.graph.input}
        return Candidate(model, {name: value for name, value in self.feeds.items() if name in names})

    def redeclared(self) -> Candidate:
        """The candidate with inputs declared as what is fed: fixed dimensions where they were fixed."""
        for value in self.model.graph.input:
            fed = self.feeds.get(value.name)
            if isinstance(fed, np.ndarray):
                value.CopyFrom(typed(value.name, fed, fixed=not is_open(value)))
        return self

    def completed(self, expected: Iterable[Any]) -> Candidate:
        """The candidate with the reference's outputs, declared accordingly."""
        outputs = tuple(expected)
        model = ModelProto()
        model.CopyFrom(self.model)
        fixed = not any(is_open(value) for value in model.graph.input)
        for declaration, value in zip(model.graph.output, outputs, strict=True):
            if value is not None:
                declaration.CopyFrom(typed(declaration.name, value, fixed=fixed))
        return replace(self, model=model, expected=outputs)


def typed(name: str, value: Any, *, fixed: bool = True) -> ValueInfoProto:
    """The declaration of a value: of its very shape, or with all dimensions left open."""
    if fixed and isinstance(value, np.ndarray):
        return helper.make_tensor_value_info(name, onnx_number(value.dtype), value.shape)
    return declared(name, NOTHING if value is None else value)


def is_open(value: ValueInfoProto) -> bool:
    """Whether a declared tensor has a dimension without a number, or no shape."""
    tensor = value.type.tensor_type
    return value.type.HasField("tensor_type") and (
        not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in tensor.shape.dim)
    )


def attribute_graphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def read_names(node: NodeProto) -> list[str]:
    """The names that a node reads, its own inputs first, then what its graphs see of the scope around."""
    names = [name for name in node.input if name]
    for graph in attribute_graphs(node):
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        own.update(tensor.values.name for tensor in graph.sparse_initializer)
        inner = [name for child in graph.node for name in read_names(child)] + [v.name for v in graph.output]
        own.update(name for child in graph.node for name in child.output)
        names += [name for name in inner if name not in own]
    return list(dict.fromkeys(names))


def names_of(graph: GraphProto) -> set[str]:
    """All names of values and nodes in a graph and the graphs in it."""
    names = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        names.update((node.name, *node.input, *node.output))
        for inner in attribute_graphs(node):
            names |= names_of(inner)
    return names - {""}


def _digestible(value: Any) -> bytes:
    """Bytes that tell values apart."""
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return f"{value.dtype.name}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    if isinstance(value, list):
        return b"[" + b",".join(map(_digestible, value)) + b"]"
    if isinstance(value, np.ndarray):
        return f"{value.shape}{value.tolist()!r}".encode()
    return pickle.dumps(value)
