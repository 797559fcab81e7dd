"""A hostile input: how its model is made, what is fed, and whether an engine has to refuse it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

OPSET = 21
REFUSE, ACCEPT, EITHER = "refuse", "accept", "either"


@dataclass(frozen=True)
class Hostile:
    """One input. `make` writes what it needs into an empty folder and gives the model: bytes, or the path of a file.

    `expected`: REFUSE with a typed error, ACCEPT what is odd but valid, or EITHER (a flipped bit may hit anything);
    crashing, hanging and untyped errors are wrong in any case. `why` says what is the matter.
    """

    name: str
    why: str
    make: Callable[[Path], bytes | Path]
    feeds: Mapping[str, Any] = field(default_factory=dict)
    expected: str = REFUSE


CASES: dict[str, Hostile] = {}


def add(
    name: str,
    why: str,
    model: bytes | ModelProto | Callable[[Path], bytes | Path],
    feeds: Mapping[str, Any] | None = None,
    expected: str = REFUSE,
) -> None:
    """Put a case into the catalogue."""
    if name in CASES:
        raise ValueError(f"two hostile inputs are named {name}")
    content = model.SerializeToString() if isinstance(model, ModelProto) else model
    make = (lambda _: content) if isinstance(content, bytes) else content
    CASES[name] = Hostile(name, why, make, feeds or {}, expected)


def model(
    nodes: Sequence[NodeProto],
    *,
    constants: Mapping[str, Any] | None = None,
    inputs: Mapping[str, tuple[int, Sequence[Any] | None]] | None = None,
    outputs: Sequence[str] = ("y",),
    functions: Sequence[onnx.FunctionProto] = (),
    opset: int = OPSET,
    domains: Sequence[str] = (),
) -> ModelProto:
    """A model of `nodes`; `constants` become initializers (arrays or TensorProtos), outputs carry no type."""
    graph = helper.make_graph(
        list(nodes),
        "hostile",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in (inputs or {}).items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [tensor(name, value) for name, value in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=10)


def tensor(name: str, value: Any) -> TensorProto:
    """An initializer."""
    if isinstance(value, TensorProto):
        value.name = name
        return value
    return numpy_helper.from_array(np.asarray(value), name)


def node(op_type: str, inputs: str | Sequence[str], outputs: str | Sequence[str] = "y", **attributes: Any) -> NodeProto:
    """A node; names are separated by spaces, `_` is an absent one."""
    split = [names.split() if isinstance(names, str) else list(names) for names in (inputs, outputs)]
    given, results = ([("" if name == "_" else name) for name in names] for names in split)
    return helper.make_node(op_type, given, results, **attributes)


def subgraph(nodes: Sequence[NodeProto], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> GraphProto:
    """A body; inputs and outputs map names to element types."""
    return helper.make_graph(
        list(nodes),
        "body",
        [helper.make_tensor_value_info(name, kind, None) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
    )


X = np.arange(6, dtype=np.float32).reshape(2, 3)
SMALL = model([node("Relu", "x")], constants={"x": X})
