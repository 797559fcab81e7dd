"""A model whose every value is known, and the parts that can be cut out of it without running anything again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from diptych.errors import InvalidModelError
from diptych.reducer.candidate import Candidate, attribute_graphs, is_open, read_names, typed
from diptych.reducer.recording import MEMORY, Recording, record

__all__ = ["CHAINED_NODES", "Source", "needed_functions"]

CHAINED_NODES = 64  # of a candidate that an engine runs one at a time, to judge its run of all


class Source:
    """A model, its inputs, and the values of a run of the reference.

    `order` lists the nodes as they can run, by their place in the file. `open_shapes` leaves the dimensions of what is
    cut out undeclared, as they are in a model with symbolic ones.
    """

    def __init__(
        self,
        whole: Candidate,
        folder: Path | None = None,
        *,
        memory: int = MEMORY,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self.whole, self.folder = whole, folder
        self.graph: GraphProto = whole.model.graph
        start = time.monotonic()
        self.recording: Recording = record(whole.path or whole.model, whole.feeds, memory=memory, progress=progress)
        self.seconds = time.monotonic() - start
        self.chained: Recording | None = None  # the engine's values, its nodes run one at a time
        self.initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.sparse = {tensor.values.name: tensor for tensor in self.graph.sparse_initializer}
        self.inputs = {value.name: value for value in self.graph.input}
        self.declared = {value.name: value for value in (*self.graph.value_info, *self.graph.output)}
        self.outputs = {value.name for value in self.graph.output}
        self.producer = {name: i for i, node in enumerate(self.graph.node) for name in node.output if name}
        self.reads = [read_names(node) for node in self.graph.node]
        self.order = self._sorted()
        self.open_shapes = any(is_open(value) for value in self.graph.input if value.name not in self.initializers)

    @cached_property
    def readers(self) -> dict[str, set[int]]:
        """The nodes that read a value."""
        found: dict[str, set[int]] = {}
        for index, names in enumerate(self.reads):
            for name in names:
                found.setdefault(name, set()).add(index)
        return found

    def _sorted(self) -> list[int]:
        """The nodes, each after those whose values it reads; nodes of a file are in order nearly always."""
        order: list[int] = []
        state = [0] * len(self.reads)  # 1: waits for others, 2: done
        for start in range(len(self.reads)):
            stack = [start]
            while stack:
                index = stack[-1]
                before = [self.producer[n] for n in self.reads[index] if n in self.producer] if not state[index] else []
                waiting = [i for i in before if not state[i]]
                state[index] = state[index] or 1
                if waiting:
                    stack += reversed(waiting)
                    continue
                stack.pop()
                if state[index] == 1:
                    state[index] = 2
                    order.append(index)
        return order

    def known(self, index: int) -> bool:
        """Whether all that a node reads is recorded or constant."""
        return all(self._is_known(name, self.recording) for name in self.reads[index])

    def _is_known(self, name: str, values: Recording) -> bool:
        return name in values or name in self.initializers or name in self.sparse

    def ancestors(self, index: int) -> list[int]:
        """The node and all that it depends on, nearest in the order of running first."""
        wanted, stack = {index}, [index]
        while stack:
            for name in self.reads[stack.pop()]:
                before = self.producer.get(name)
                if before is not None and before not in wanted:
                    wanted.add(before)
                    stack.append(before)
        return [i for i in reversed(self.order) if i in wanted]

    def cut(self, nodes: Sequence[int], values: Recording | None = None) -> Candidate | None:
        """Some nodes as a model: what they read of others is fed as recorded, what others read of them is an output.

        `values` are fed instead of the reference's. None where a value that has to be fed is not known.
        """
        given = self.recording if values is None else values
        kept = set(nodes)
        ordered = [i for i in self.order if i in kept]
        produced = [name for i in ordered for name in self.graph.node[i].output if name]
        inner = set(produced)
        read = list(dict.fromkeys(name for i in ordered for name in self.reads[i] if name not in inner))
        if not ordered or not all(self._is_known(name, given) for name in read):
            return None
        outputs = [n for n in produced if n in self.outputs or self.readers.get(n, set()) - kept] or [
            n for n in produced if n not in self.readers
        ]
        fed = {name: given[name] for name in read if name in given and not self._constant(name)}
        graph = helper.make_graph(
            [self.graph.node[i] for i in ordered],
            "reduced",
            [self._declaration(name, value) for name, value in fed.items()],
            [self._output(name) for name in outputs],
        )
        graph.initializer.extend(
            self._tensor(name) for name in read if self._constant(name) and name not in self.sparse
        )
        graph.sparse_initializer.extend(self.sparse[name] for name in read if name in self.sparse)
        model = ModelProto(ir_version=self.whole.model.ir_version, graph=graph)
        model.opset_import.extend(self.whole.model.opset_import)
        model.functions.extend(needed_functions(self.whole.model, graph.node))
        if values is not None:
            return Candidate(model, fed)
        # Few nodes are chained anew, from the reference's values: errors from far off would only widen their tolerance.
        chained = self._values(self.chained, outputs) if len(ordered) > CHAINED_NODES else None
        return Candidate(model, fed, self._values(self.recording, outputs), chained)

    def _constant(self, name: str) -> bool:
        """Whether a name is an initializer that no input replaces."""
        return (name in self.initializers or name in self.sparse) and name not in self.whole.feeds

    def _tensor(self, name: str) -> TensorProto:
        """An initializer with its content."""
        tensor: TensorProto = self.initializers[name]
        if not uses_external_data(tensor):
            return tensor
        loaded = TensorProto()
        loaded.CopyFrom(tensor)
        try:
            load_external_data_for_tensor(loaded, str(self.folder or ""))
        except (onnx.checker.ValidationError, ValueError) as error:
            raise InvalidModelError(f"initializer {name!r}: its data cannot be read: {error}") from error
        loaded.ClearField("external_data")
        loaded.data_location = TensorProto.DEFAULT
        return loaded

    def _declaration(self, name: str, value: Any) -> onnx.ValueInfoProto:
        """How an input is declared: as the model does where the value does not tell."""
        if name in self.inputs and (self.open_shapes or not hasattr(value, "dtype")):
            return self._copy(self.inputs[name])
        if name in self.declared and not hasattr(value, "dtype"):
            return self._copy(self.declared[name])
        return typed(name, value, fixed=not self.open_shapes)

    def _output(self, name: str) -> onnx.ValueInfoProto:
        """How an output is declared."""
        if name in self.recording and self.recording[name] is not None:
            return typed(name, self.recording[name], fixed=not self.open_shapes)
        return self._copy(self.declared.get(name) or helper.make_empty_tensor_value_info(name))

    @staticmethod
    def _copy(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
        """A declaration of one's own."""
        copied = onnx.ValueInfoProto()
        copied.CopyFrom(value)
        return copied

    @staticmethod
    def _values(recording: Recording | None, names: Sequence[str]) -> tuple[Any, ...] | None:
        """Recorded values, if all are."""
        if recording is None or not all(name in recording for name in names):
            return None
        return tuple(recording[name] for name in names)

    def close(self) -> None:
        """Give up what is recorded."""
        self.recording.close()
        if self.chained is not None:
            self.chained.close()


def needed_functions(model: ModelProto, nodes: Sequence[NodeProto]) -> list[FunctionProto]:
    """The model's functions that some nodes call, by themselves or through others, in the model's order."""
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    found: set[tuple[str, str, str]] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        stack += [inner for graph in attribute_graphs(node) for inner in graph.node]
        key = (node.domain, node.op_type, node.overload)
        if key in functions and key not in found:
            found.add(key)
            stack += functions[key].node
    return [function for key, function in functions.items() if key in found]
