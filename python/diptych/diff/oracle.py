"""What a node is fed and what it should give: by the reference, in the model's types or in binary64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
from onnx.defs import OpSchema

import diptych_reference
from diptych.diff.single import captured, single_model
from diptych.errors import InvalidInputError
from diptych_reference import ReferenceSession
from diptych_reference.errors import InvalidTypeError
from diptych_reference.inline import inline
from diptych_reference.model import Graph, Model, Node
from diptych_reference.schemas import find_schema
from diptych_reference.session import Evaluation, Observed

__all__ = ["ORACLES", "Evaluated", "Oracle", "make_oracle"]

NARROW = {np.dtype(t) for t in (np.float32, np.float16, ml_dtypes.bfloat16)}
# Attributes that say which float type comes out, with the number of binary64.
TYPED = ("to", "dtype", "output_datatype", "stash_type")
FLOATS, DOUBLE = (1, 10, 16), 11


@dataclass(frozen=True)
class Evaluated:
    """A node as the oracle saw it. `inputs` are what engines are fed, `expected` what the reference makes of them.

    `truth` are the oracle's own outputs: the same, or those of the run in binary64. `note` says what is to be known.
    """

    step: Observed
    inputs: list[Any]
    expected: list[Any]
    truth: list[Any]
    note: str = ""


class Oracle:
    """The reference, in the model's own types."""

    name = "reference"

    def __init__(self, model: Model, memory_limit: int | None, quantized: str) -> None:
        self.session = ReferenceSession(model, memory_limit=memory_limit, quantized=quantized)
        self.session.model = inline(self.session.model)

    def run(self, feeds: Mapping[str, Any], watch: Callable[[Observed], None]) -> list[Any]:
        """Evaluate the model; `watch` sees every evaluation of a node."""
        return self.session.observe(feeds, watch)

    def evaluated(self, step: Observed) -> Evaluated:
        """What engines are fed and what is expected of them."""
        return Evaluated(step, step.inputs, step.outputs, step.outputs)


@dataclass
class Seen:
    """What the run in binary64 learns: the types that values have in the model, and the nodes that it cannot widen."""

    types: dict[str, np.dtype[Any]]
    kept: dict[int, str]  # by id of the node


class InDouble(Evaluation):
    """Evaluates every node in binary64 that allows it."""

    seen: Seen

    def node(
        self, node: Node, inputs: list[Any], values: Mapping[str, Any], outer: dict[str, Any], graph: Graph
    ) -> list[Any]:
        """Outputs of one node, floats in binary64."""
        for name, value in zip(node.inputs, inputs, strict=True):
            note_type(self.seen.types, name, value)
        if node.op_type in ("Cast", "CastLike") and self._to_float(node, inputs):
            return [widened(inputs[0])]
        opsets = self.opsets if node.opsets is None else node.opsets
        schema = find_schema(node.domain, node.op_type, opsets.get(node.domain, 0))
        if id(node) not in self.seen.kept:
            fed = [
                widened(value) if allows_double(schema, i) else narrowed(value, self.seen.types.get(name))
                for i, (name, value) in enumerate(zip(node.inputs, inputs, strict=True))
            ]
            typed = {n: DOUBLE for n in TYPED if node.attributes.get(n) in FLOATS}
            try:
                wide = replace(node, attributes={**node.attributes, **typed})
                outputs = super().node(wide, fed, values, outer, graph)
                if node.inputs and any(map(is_narrow, outputs)):
                    self.seen.kept[id(node)] = "the operator has no version in binary64"
                return [widened(value) for value in outputs]
            except (InvalidTypeError, diptych_reference.UnsupportedOperatorError) as error:
                self.seen.kept[id(node)] = str(error)
        narrow = [narrowed(value, self.seen.types.get(name)) for name, value in zip(node.inputs, inputs, strict=True)]
        return [widened(value) for value in super().node(node, narrow, values, outer, graph)]

    @staticmethod
    def _to_float(node: Node, inputs: list[Any]) -> bool:
        """Whether a cast goes from one float that binary64 stands for to another."""
        if not (is_narrow(inputs[0]) or is_wide(inputs[0])):
            return False
        if node.op_type == "CastLike":
            return isinstance(inputs[1], np.ndarray) and inputs[1].dtype in {*NARROW, np.dtype(np.float64)}
        return node.attributes.get("to") in (*FLOATS, DOUBLE)


class Float64Oracle(Oracle):
    """The reference with every float tensor in binary64; nodes that have no such version compute in the model's types.

    Engines are fed what that run computed, rounded to the types of the model, and judged by the same node on those.
    """

    name = "float64"

    def __init__(self, model: Model, memory_limit: int | None, quantized: str) -> None:
        super().__init__(model, memory_limit, quantized)
        declared = {value.name: float_type(value.type_name) for value in self.session.model.graph.inputs}
        self.seen = Seen({name: dtype for name, dtype in declared.items() if dtype}, {})
        self._declare(self.session.model.graph)
        self.session.evaluation = type("InDouble", (InDouble,), {"seen": self.seen})

    def run(self, feeds: Mapping[str, Any], watch: Callable[[Observed], None]) -> list[Any]:
        """Evaluate the model in binary64."""
        return [widened(value) for value in super().run(feeds, watch)]

    def evaluated(self, step: Observed) -> Evaluated:
        """The node on rounded inputs, in the model's types."""
        types = self.seen.types
        inputs = [narrowed(value, types.get(name)) for name, value in zip(step.node.inputs, step.inputs, strict=True)]
        scope = {name: narrowed(value, types.get(name)) for name, value in captured(step).items()}
        step = replace(step, inputs=inputs, scope=scope)
        expected = self._original(step)
        for name, value in zip(step.node.outputs, expected, strict=True):
            note_type(types, name, value)
        kept = self.seen.kept.get(id(step.node))
        note = f"evaluated in the model's types: {kept}" if kept else ""
        return Evaluated(step, inputs, expected, step.outputs, note)

    def _declare(self, graph: Graph) -> None:
        """Types that graphs inside declare for their inputs."""
        for node in graph.nodes:
            for inner in node.graphs():
                found = {value.name: float_type(value.type_name) or np.dtype(np.float32) for value in inner.inputs}
                self.seen.types.update(found)
                self._declare(inner)

    def _original(self, step: Observed) -> list[Any]:
        """What the reference makes of the node in the model's types."""
        node = step.node
        if any(node.graphs()):
            given = {name for name, value in zip(node.inputs, step.inputs, strict=True) if name}
            model, feeds = single_model(step, step.inputs, [None] * len(node.outputs), given - given)
            found = iter(ReferenceSession(model, quantized="float").run(None, feeds))
            return [next(found) if name else None for name in node.outputs]
        version, count = step.opsets.get(node.domain, 0), len(node.outputs)
        return list(
            diptych_reference.run_operator(
                node.op_type, step.inputs, node.attributes, opset=version, domain=node.domain, n_outputs=count
            )
        )


ORACLES: dict[str, type[Oracle]] = {"reference": Oracle, "float64": Float64Oracle}


def make_oracle(name: str, model: Model, memory_limit: int | None, quantized: str) -> Oracle:
    """Return the oracle of a name; InvalidInputError where there is none."""
    if name not in ORACLES:
        raise InvalidInputError(f"no oracle {name!r}; there are {', '.join(ORACLES)}")
    return ORACLES[name](model, memory_limit, quantized)


def widened(value: Any) -> Any:
    """A value with its narrow floats in binary64."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype in NARROW else value
    if isinstance(value, list):
        items = [widened(item) for item in value]
        dtype = getattr(value, "dtype", None)
        return diptych_reference.Sequence(items, np.dtype(np.float64) if dtype in NARROW else dtype)
    return value


def narrowed(value: Any, dtype: np.dtype[Any] | None) -> Any:
    """A value with binary64 rounded to the type that it has in the model."""
    if dtype is None or dtype not in NARROW:
        return value
    if isinstance(value, np.ndarray):
        with np.errstate(over="ignore"):
            return value.astype(dtype) if is_wide(value) else value
    if isinstance(value, list):
        return diptych_reference.Sequence([narrowed(item, dtype) for item in value], dtype)
    return value


def is_wide(value: Any) -> bool:
    """Whether a value is a tensor of binary64."""
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def is_narrow(value: Any) -> bool:
    """Whether a value is a tensor of floats narrower than binary64, or a sequence of such."""
    item = value[0] if isinstance(value, list) and value else value
    return isinstance(item, np.ndarray) and item.dtype in NARROW


def allows_double(schema: OpSchema | None, index: int) -> bool:
    """Whether an operator takes binary64 as input `index`; one without a schema may."""
    if schema is None:
        return True
    parameters = schema.inputs
    parameter = parameters[min(index, len(parameters) - 1)]
    return any("tensor(double)" in kind for kind in parameter.types)


def note_type(types: dict[str, np.dtype[Any]], name: str, value: Any) -> None:
    """Remember the narrow float type of a value."""
    item = value[0] if isinstance(value, list) and value else value
    dtype = getattr(item, "dtype", None)
    if name and isinstance(item, np.ndarray | diptych_reference.Sequence) and dtype in NARROW:
        assert dtype is not None
        types[name] = dtype


def float_type(name: str) -> np.dtype[Any] | None:
    """The narrow float of a declared type such as seq(tensor(float)); None for others."""
    element = name.rpartition("tensor(")[2].partition(")")[0]
    found = {"float": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}.get(element)
    return None if found is None else np.dtype(found)
