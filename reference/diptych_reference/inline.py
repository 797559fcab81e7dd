"""Functions of the model put in the place of their calls, so that a pattern may reach into a function.

Names inside become those of the call, a slash and their own; so random operators draw what they drew before. A node
keeps the opset imports of its function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import onnx

from diptych_reference.errors import Error, InvalidModelError
from diptych_reference.model import AttributeReference, FunctionBody, Graph, Model, Node, ValueInfo, finish


def inline(model: Model) -> Model:
    """The model without functions."""
    if not model.functions:
        return model
    graph = Call(model, {}, {}, "", None).graph(model.graph)
    return replace(model, graph=graph, functions={})


@dataclass
class Call:
    """What is known while a function (or the main graph) is copied: new names, attributes, the prefix of its names."""

    model: Model
    names: dict[str, str]  # inputs, outputs and own values; others keep their names
    attributes: dict[str, Any]
    prefix: str
    opsets: dict[str, int] | None

    def name(self, name: str) -> str:
        """The new name of a value."""
        return self.names.get(name, name)

    def graph(self, graph: Graph) -> Graph:
        """A graph with its values renamed and its calls expanded."""
        own = {value.name for value in graph.inputs} | graph.initializers.keys()
        own.update(name for node in graph.nodes for name in node.outputs if name)
        inner = replace(self, names={**self.names, **{name: self.prefix + name for name in own}})
        nodes = [copy for node in graph.nodes for copy in inner.node(node)]
        copied = Graph(
            name=graph.name,
            inputs=[inner.value(value) for value in graph.inputs],
            outputs=[inner.value(value) for value in graph.outputs],
            initializers={inner.name(name): value for name, value in graph.initializers.items()},
            nodes=nodes,
        )
        return finish(copied, {value.name for value in copied.outputs})

    def value(self, value: ValueInfo) -> ValueInfo:
        """A declared value under its new name."""
        return replace(value, name=self.name(value.name))

    def node(self, node: Node) -> list[Node]:
        """A node, or the nodes of the function that it calls."""
        attributes = {}
        for name, value in node.attributes.items():
            if isinstance(value, AttributeReference):
                if value.name in self.attributes:
                    attributes[name] = self.attributes[value.name]
            elif isinstance(value, Graph):
                attributes[name] = self.graph(value)
            elif isinstance(value, list) and value and isinstance(value[0], Graph):
                attributes[name] = [self.graph(item) for item in value]
            else:
                attributes[name] = value
        copy = replace(
            node,
            name=self.prefix + node.place if self.prefix else node.name,
            inputs=[self.name(name) for name in node.inputs],
            outputs=[self.name(name) for name in node.outputs],
            attributes=attributes,
            opsets=self.opsets,
        )
        body = self.model.functions.get((node.domain, node.op_type, node.overload))
        if body is None:
            return [copy]
        try:
            return self.expand(copy, body)
        except Error as error:
            error.at(node.label)
            raise

    def expand(self, call: Node, body: FunctionBody) -> list[Node]:
        """The nodes of a function with the inputs, outputs and attributes of its call."""
        formal, given = [value.name for value in body.graph.inputs], [value.name for value in body.graph.outputs]
        missing = sorted(body.required - call.attributes.keys())
        if missing or len(call.inputs) > len(formal) or len(call.outputs) > len(given):
            raise InvalidModelError(f"function {call.op_type!r}: missing attributes {missing}, or too many values")
        made = {name for node in body.graph.nodes for name in node.outputs if name}
        prefix = f"{call.place}/"
        names = {name: prefix + name for name in made}
        names |= dict(zip(formal, [*call.inputs, *[""] * (len(formal) - len(call.inputs))], strict=True))
        copies = []
        renamed: set[str] = set()
        for inner, outer in zip(given, call.outputs, strict=False):
            if outer and inner in made and inner not in renamed:
                names[inner] = outer
                renamed.add(inner)
            elif outer:  # an input too, or given for the second time
                copies.append((inner, outer))
        opsets = {**(self.opsets or self.model.opsets), **body.opsets}
        inside = Call(self.model, names, {**body.attributes, **call.attributes}, prefix, opsets)
        nodes = [copy for node in body.graph.nodes for copy in inside.node(node)]
        latest = {"": onnx.defs.onnx_opset_version()}
        for inner, outer in copies:
            nodes.append(Node("Identity", "", "", prefix + inner, 0, [names[inner]], [outer], {}, latest))
        return nodes
