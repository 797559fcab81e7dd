"""Reading: from an ONNX file to plain Python objects whose tensors are NumPy arrays of the exact element type.

Protobuf parsing is left to the `onnx` package. External data is read from inside the model's own folder only.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from diptych_reference.errors import Error, InvalidModelError
from diptych_reference.rules import check_model, check_names, normal, opset_imports

Array = NDArray[Any]


@dataclass(frozen=True)
class AttributeReference:
    """An attribute of a node in a function body that takes the value of the function's own attribute `name`."""

    name: str


@dataclass(frozen=True)
class ValueInfo:
    """A declared input or output: element type (None: not a dense tensor, or unknown) and shape (None: unknown)."""

    name: str
    type_name: str  # as in onnx.defs: "tensor(float)", "seq(tensor(int64))", "map(int64,tensor(float))"; "": undeclared
    shape: tuple[int | str | None, ...] | None


@dataclass
class Node:
    """One application of an operator. Empty names stand for absent optional inputs and outputs."""

    op_type: str
    domain: str
    overload: str
    name: str
    index: int  # place in the file, among the nodes of its graph
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    opsets: dict[str, int] | None = None  # imports of the function it was written in; None: the graph's around

    @property
    def place(self) -> str:
        """Name among the nodes of its graph: its own, or the operator's with a number."""
        return self.name or f"{self.op_type}_{self.index}"

    @property
    def label(self) -> str:
        """Name for messages."""
        return f"node {self.name!r} ({self.op_type})" if self.name else f"node ({self.op_type}) -> {self.outputs}"

    def graphs(self) -> Iterator[Graph]:
        """The graph attributes: bodies of If, Loop and the like."""
        for value in self.attributes.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, Graph):
                    yield item

    def reads(self) -> set[str]:
        """Names this node needs: its inputs and whatever its graphs capture."""
        return {name for name in self.inputs if name}.union(*(graph.captured() for graph in self.graphs()))


@dataclass
class Graph:
    """A list of nodes in an order in which they can run, with named inputs, outputs and constants."""

    name: str
    inputs: list[ValueInfo]
    outputs: list[ValueInfo]
    initializers: dict[str, Any]
    nodes: list[Node]
    last_uses: list[list[str]] = field(default_factory=list)  # names no longer needed after node i

    def captured(self) -> set[str]:
        """Names read here and defined outside."""
        defined = {value.name for value in self.inputs} | self.initializers.keys()
        defined.update(name for node in self.nodes for name in node.outputs)
        used = {value.name for value in self.outputs}.union(*(node.reads() for node in self.nodes))
        return used - defined


@dataclass
class FunctionBody:
    """A function local to the model: an operator defined by a graph, with opset imports of its own."""

    graph: Graph
    attributes: dict[str, Any]  # defaults; required attributes are in `required`
    required: frozenset[str]
    opsets: dict[str, int]


@dataclass
class Model:
    """A model ready to be evaluated."""

    name: str
    ir_version: int
    opsets: dict[str, int]
    graph: Graph
    functions: dict[tuple[str, str, str], FunctionBody]
    header: onnx.ModelProto = field(default_factory=onnx.ModelProto)  # what else the file says: producer, metadata …


def load(source: str | os.PathLike[str] | bytes | onnx.ModelProto) -> Model:
    """Read a model from a path, from serialised bytes or from a `ModelProto`.

    Raises InvalidModelError where the file is malformed, and OSError where it cannot be read.
    """
    folder: Path | None = None
    name = "model"
    if isinstance(source, onnx.ModelProto):
        proto = source
    else:
        if not isinstance(source, bytes):
            folder, name = Path(source).resolve().parent, Path(source).name
            source = content(Path(source))
        proto = onnx.ModelProto()
        try:
            proto.ParseFromString(source)
        except DecodeError as error:
            raise InvalidModelError(f"{name}: not an ONNX model: {error}") from error
    try:
        return Reader(folder).model(proto, name)
    except Error as error:
        error.at(name)
        raise


def content(path: Path) -> bytes:
    """The bytes of a regular file: a FIFO in its place is not waited for, a device not read without end."""
    if path.exists() and not path.is_file():
        raise InvalidModelError(f"{path} is not a regular file")
    return path.read_bytes()


class Reader:
    """Translates protobuf messages; knows the folder in which external data may lie (None: nowhere)."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.in_function = False

    def model(self, proto: onnx.ModelProto, name: str) -> Model:
        """The whole model."""
        check_model(proto)
        return Model(
            name=proto.graph.name or name,
            ir_version=proto.ir_version,
            opsets=opset_imports(proto.opset_import),
            graph=self.graph(proto.graph, outer=frozenset()),
            functions={(normal(f.domain), f.name, f.overload): self.function(f) for f in proto.functions},
            header=header(proto),
        )

    def graph(self, proto: onnx.GraphProto, outer: frozenset[str]) -> Graph:
        """A graph whose nodes may also read the names in `outer`."""
        check_names(proto)
        initializers: dict[str, Any] = {t.name: self.tensor(t) for t in proto.initializer}
        initializers.update((s.values.name, self.sparse_tensor(s)) for s in proto.sparse_initializer)
        known = outer | initializers.keys() | {value.name for value in proto.input}
        nodes = sort(proto.node, known)
        visible = frozenset(known.union(*(node.output for _, node in nodes)))
        graph = Graph(
            name=proto.name,
            inputs=[value_info(v) for v in proto.input],
            outputs=[value_info(v) for v in proto.output],
            initializers=initializers,
            nodes=[self.node(node, index, visible) for index, node in nodes],
        )
        return finish(graph, visible)

    def function(self, proto: onnx.FunctionProto) -> FunctionBody:
        """A function local to the model."""
        self.in_function = True
        try:
            nodes = sort(proto.node, frozenset(proto.input))
            visible = frozenset(proto.input).union(*(node.output for _, node in nodes))
            graph = Graph(
                name=proto.name,
                inputs=[ValueInfo(name, "", None) for name in proto.input],
                outputs=[ValueInfo(name, "", None) for name in proto.output],
                initializers={},
                nodes=[self.node(node, index, visible) for index, node in nodes],
            )
            return FunctionBody(
                graph=finish(graph, visible),
                attributes={a.name: self.attribute(a, frozenset()) for a in proto.attribute_proto},
                required=frozenset(proto.attribute),
                opsets=opset_imports(proto.opset_import),
            )
        except InvalidModelError as error:
            error.at(f"function {proto.name!r}")
            raise
        finally:
            self.in_function = False

    def node(self, proto: onnx.NodeProto, index: int, visible: frozenset[str]) -> Node:
        """A node with its attributes as Python values."""
        node = Node(
            op_type=proto.op_type,
            domain=normal(proto.domain),
            overload=proto.overload,
            name=proto.name,
            index=index,
            inputs=list(proto.input),
            outputs=list(proto.output),
            attributes={},
        )
        for attribute in proto.attribute:
            if attribute.name in node.attributes:
                raise InvalidModelError(f"{node.label}: attribute {attribute.name!r} appears twice")
            try:
                node.attributes[attribute.name] = self.attribute(attribute, visible)
            except InvalidModelError as error:
                error.at(f"{node.label}, attribute {attribute.name!r}")
                raise
        return node

    def attribute(self, proto: AttributeProto, visible: frozenset[str]) -> Any:
        """int, float, str, array, Graph, type name, or a list of these. Strings that are not UTF-8 stay bytes."""
        if proto.ref_attr_name:
            if not self.in_function:
                raise InvalidModelError(
                    f"it refers to attribute {proto.ref_attr_name!r} of a function, outside any function"
                )
            return AttributeReference(proto.ref_attr_name)
        kinds = AttributeProto
        match proto.type:
            case kinds.INT:
                return proto.i
            case kinds.FLOAT:
                return proto.f
            case kinds.STRING:
                return text(proto.s)
            case kinds.TENSOR:
                return self.tensor(proto.t)
            case kinds.SPARSE_TENSOR:
                return self.sparse_tensor(proto.sparse_tensor)
            case kinds.GRAPH:
                return self.graph(proto.g, visible)
            case kinds.INTS:
                return list(proto.ints)
            case kinds.FLOATS:
                return list(proto.floats)
            case kinds.STRINGS:
                return [text(s) for s in proto.strings]
            case kinds.TENSORS:
                return [self.tensor(t) for t in proto.tensors]
            case kinds.GRAPHS:
                return [self.graph(g, visible) for g in proto.graphs]
            case kinds.TYPE_PROTO:
                return type_name(proto.tp)
            case kinds.TYPE_PROTOS:
                return [type_name(t) for t in proto.type_protos]
        raise InvalidModelError(f"attribute type {proto.type} is not supported")

    def tensor(self, proto: TensorProto) -> Array:
        """The array of a TensorProto, its element type exact (bfloat16, float8, int4 … through ml_dtypes)."""
        try:
            if any(d < 0 for d in proto.dims):
                raise InvalidModelError(f"negative dimension in {list(proto.dims)}")
            if proto.data_type == TensorProto.STRING:
                check_size(proto.dims, len(proto.string_data))
                strings = np.empty(len(proto.string_data), dtype=object)
                strings[:] = [s.decode("utf-8") for s in proto.string_data]
                return strings.reshape(tuple(proto.dims))
            if proto.data_location == TensorProto.EXTERNAL:
                proto = self.with_external_data(proto)
            check_data(proto)
            return numpy_helper.to_array(proto)
        except InvalidModelError as error:
            error.at(f"tensor {proto.name!r}")
            raise
        except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise InvalidModelError(f"tensor {proto.name!r}, shape {list(proto.dims)}: {error}") from error

    def with_external_data(self, proto: TensorProto) -> TensorProto:
        """A copy of `proto` that holds its bytes. Their file must lie inside the model's folder, links resolved."""
        entries = {entry.key: entry.value for entry in proto.external_data}
        location = entries.get("location", "")
        if self.folder is None:
            raise InvalidModelError("external data, but the model was not loaded from a path")
        try:
            path = (self.folder / location).resolve()
        except (OSError, RuntimeError) as error:  # a link that leads to itself
            raise InvalidModelError(f"external data {location!r}: {error}") from error
        if not location or not path.is_relative_to(self.folder) or not path.is_file():
            raise InvalidModelError(f"external data {location!r} is no file inside the model's folder")
        offset = int(entries.get("offset", 0))
        available = path.stat().st_size - offset
        length = int(entries.get("length", max(available, 0)))
        if offset < 0 or not 0 <= length <= available:
            raise InvalidModelError(f"external data {location!r} has no bytes {offset}..{offset + length}")
        with path.open("rb") as file:
            file.seek(offset)
            copy = TensorProto(name=proto.name, data_type=proto.data_type, dims=proto.dims)
            copy.raw_data = file.read(length)
        return copy

    def sparse_tensor(self, proto: onnx.SparseTensorProto) -> Array:
        """The dense array of a sparse tensor; indices are flat positions [NNZ] or coordinates [NNZ, rank]."""
        values, indices, shape = self.tensor(proto.values), self.tensor(proto.indices), tuple(proto.dims)
        check_indices(indices, len(values), shape)
        try:
            dense = np.zeros(shape, dtype=values.dtype)
            if indices.ndim == 2:
                dense[tuple(indices.T)] = values
            else:
                dense.reshape(-1)[indices] = values
        except (ValueError, IndexError, MemoryError) as error:
            raise InvalidModelError(f"sparse tensor {proto.values.name!r}, shape {list(shape)}: {error}") from error
        return dense


def header(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A model's own fields, without its graph and its functions."""
    kept = onnx.ModelProto()
    for field_, value in proto.ListFields():
        if field_.name in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
            setattr(kept, field_.name, value)
    kept.metadata_props.extend(proto.metadata_props)
    return kept


def check_size(dims: Sequence[int], count: int) -> None:
    """A tensor has as many elements as its dimensions say."""
    if math.prod(dims) != count:
        raise InvalidModelError(f"{count} elements for shape {list(dims)}")


def check_data(proto: TensorProto) -> None:
    """One field holds the elements of a tensor that is not of strings, and raw bytes are as many as the shape says."""
    if proto.HasField("segment"):
        raise InvalidModelError("a tensor in segments, which ONNX does not define")
    filled = [field.name for field, value in proto.ListFields() if field.name.endswith("_data") and len(value)]
    if len(filled) > 1:
        raise InvalidModelError(f"elements in more than one field: {filled}")
    if proto.HasField("raw_data"):
        dtype = helper.tensor_dtype_to_np_dtype(proto.data_type)
        name = ELEMENT_NAMES[proto.data_type]
        bits = (
            int(name[-1]) if name in ("int4", "uint4", "int2", "uint2") else SMALL_FLOATS.get(name, 8 * dtype.itemsize)
        )
        expected = -(-math.prod(proto.dims) * bits // 8)
        if len(proto.raw_data) != expected:
            raise InvalidModelError(f"{len(proto.raw_data)} bytes for a {name} tensor of {expected}")


def check_indices(indices: Array, count: int, shape: tuple[int, ...]) -> None:
    """The indices of a sparse tensor: one for each value, inside the shape, ascending."""
    bounds = np.array(shape if indices.ndim == 2 else [math.prod(shape)], dtype=object)
    rows = indices if indices.ndim == 2 else indices[:, None]
    if indices.ndim not in (1, 2) or rows.shape != (count, len(bounds)):
        raise InvalidModelError(
            f"sparse indices of shape {list(indices.shape)} for {count} values of rank {len(shape)}"
        )
    inside = bool(((rows >= 0) & (rows < bounds)).all())
    order = [tuple(row) for row in rows.tolist()]
    if not inside or any(a >= b for a, b in itertools.pairwise(order)):
        raise InvalidModelError(f"sparse indices that are not ascending inside shape {list(shape)}")


def text(value: bytes) -> str | bytes:
    """UTF-8 as str; other bytes as they are."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def value_info(proto: onnx.ValueInfoProto) -> ValueInfo:
    """Declared type and shape."""
    kind = proto.type.WhichOneof("value") or ""
    shape: tuple[int | str | None, ...] | None = None
    if kind == "tensor_type" and proto.type.tensor_type.HasField("shape"):
        dims = proto.type.tensor_type.shape.dim
        # Exporters write -1 for a free dimension, which the standard leaves to dim_param or to nothing.
        known = (d.HasField("dim_value") and d.dim_value >= 0 for d in dims)
        shape = tuple(d.dim_value if fixed else d.dim_param or None for d, fixed in zip(dims, known, strict=True))
    return ValueInfo(proto.name, type_name(proto.type), shape)


def type_name(proto: onnx.TypeProto) -> str:
    """A type as onnx.defs writes it, "" where it is not declared."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type" and proto.tensor_type.elem_type in ELEMENT_NAMES:
        return f"tensor({ELEMENT_NAMES[proto.tensor_type.elem_type]})"
    if kind == "sequence_type":
        return f"seq({type_name(proto.sequence_type.elem_type)})"
    if kind == "optional_type":
        return f"optional({type_name(proto.optional_type.elem_type)})"
    if kind == "map_type":
        return f"map({ELEMENT_NAMES.get(proto.map_type.key_type, '')},{type_name(proto.map_type.value_type)})"
    return ""


# Bits of floats that are packed or padded: numpy has a byte for each.
SMALL_FLOATS = {"float4e2m1": 4}
ELEMENT_NAMES = {number: name.lower() for name, number in TensorProto.DataType.items() if name != "UNDEFINED"}


def reads(proto: onnx.NodeProto) -> set[str]:
    """Names a node needs before it can run, with those its graphs capture."""
    names = {name for name in proto.input if name}
    for attribute in proto.attribute:
        for graph in [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs:
            inside = {v.name for v in graph.output}.union(*(reads(node) for node in graph.node))
            defined = {v.name for v in graph.input} | {t.name for t in graph.initializer}
            defined.update(s.values.name for s in graph.sparse_initializer)
            defined.update(name for node in graph.node for name in node.output)
            names |= inside - defined
    return names


def sort(protos: Iterable[onnx.NodeProto], known: frozenset[str] | set[str]) -> list[tuple[int, onnx.NodeProto]]:
    """The nodes in an order in which each finds its inputs ready (Kahn's algorithm), with their places in the file."""
    nodes = list(protos)
    produced = {name for node in nodes for name in node.output if name}
    readers: dict[str, list[int]] = {}
    missing = []
    for index, node in enumerate(nodes):
        needs = reads(node)
        undefined = sorted(needs - produced - known)
        if undefined:
            raise InvalidModelError(f"node {node.name!r} ({node.op_type}) reads undefined values {undefined}")
        waits = needs & produced
        missing.append(len(waits))
        for name in waits:
            readers.setdefault(name, []).append(index)
    ready = [index for index in reversed(range(len(nodes))) if missing[index] == 0]
    order = []
    while ready:
        order.append(ready.pop())
        for name in nodes[order[-1]].output:
            for reader in reversed(readers.get(name, ())):
                missing[reader] -= 1
                if missing[reader] == 0:
                    ready.append(reader)
    if len(order) < len(nodes):
        stuck = [nodes[i].name or nodes[i].op_type for i in range(len(nodes)) if missing[i]]
        raise InvalidModelError(f"the graph has a cycle through nodes {stuck[:5]}")
    return [(i, nodes[i]) for i in order]


def finish(graph: Graph, visible: frozenset[str] | set[str]) -> Graph:
    """Check single assignment and outputs, and find after which node each value is dead."""
    defined = {value.name for value in graph.inputs} | graph.initializers.keys()
    for node in graph.nodes:
        for name in filter(None, node.outputs):
            if name in defined:
                raise InvalidModelError(f"{node.label}: value {name!r} is defined twice")
            defined.add(name)
    undefined = [value.name for value in graph.outputs if value.name not in visible]
    if undefined:
        raise InvalidModelError(f"graph {graph.name!r}: undefined outputs {undefined}")
    alive = {value.name for value in graph.outputs}
    if any(node.op_type == "Gradient" for node in graph.nodes):  # it evaluates parts of the graph once more
        alive |= defined
    last_uses = []
    for node in reversed(graph.nodes):
        touched = (node.reads() | set(filter(None, node.outputs))) & defined
        last_uses.append(sorted(touched - alive))
        alive |= touched
    graph.last_uses = last_uses[::-1]
    return graph
