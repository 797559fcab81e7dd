"""Attributes of nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import AttributeProto, helper

from diptych.reducer.candidate import Candidate, Key
from diptych.reducer.passes.names import copied
from diptych.reducer.passes.shapes import sliced

__all__ = ["drop_attributes", "simplify_attributes"]


def drop_attributes(candidate: Candidate) -> Iterator[Candidate]:
    """Without all of a node's attributes, then without each: their defaults hold."""
    for number, node in enumerate(candidate.model.graph.node):
        if len(node.attribute) > 1:
            model = copied(candidate)
            model.graph.node[number].ClearField("attribute")
            yield candidate.with_model(model)
        for place in range(len(node.attribute)):
            model = copied(candidate)
            del model.graph.node[number].attribute[place]
            yield candidate.with_model(model)


def simplify_attributes(candidate: Candidate) -> Iterator[Candidate]:
    """Numbers 0 and 1, all or one of a list; a count of groups or heads together with the axes that it divides."""
    for number, node in enumerate(candidate.model.graph.node):
        for place, attribute in enumerate(node.attribute):
            for value in _simpler(attribute):
                yield _with_attribute(candidate, number, place, value)
            if attribute.type == AttributeProto.INT and attribute.i > 1:
                for changes in _divided(candidate, attribute.i):
                    smaller = _with_attribute(candidate, number, place, 1)
                    yield smaller.with_tensors(changes)


def _with_attribute(candidate: Candidate, number: int, place: int, value: Any) -> Candidate:
    """The candidate with another value of an attribute."""
    model = copied(candidate)
    attribute = model.graph.node[number].attribute[place]
    attribute.CopyFrom(helper.make_attribute(attribute.name, value, attr_type=attribute.type))
    return candidate.with_model(model)


def _simpler(attribute: AttributeProto) -> Iterator[Any]:
    """Simpler values of an attribute."""
    match attribute.type:
        case AttributeProto.INT:
            yield from (value for value in (0, 1) if value != attribute.i)
        case AttributeProto.FLOAT:
            yield from (value for value in (0.0, 1.0, float(round(attribute.f, 0))) if value != attribute.f)
        case AttributeProto.INTS:
            yield from _simpler_list(list(attribute.ints), (0, 1))
        case AttributeProto.FLOATS:
            yield from _simpler_list(list(attribute.floats), (0.0, 1.0))
        case AttributeProto.STRINGS:
            yield from (list(attribute.strings[:n]) for n in (1, len(attribute.strings) // 2))
        case _:
            return


def _simpler_list(values: list[Any], simple: tuple[Any, ...]) -> Iterator[list[Any]]:
    """All of a list, then one of it."""
    for value in simple:
        yield [value] * len(values)
    for i, old in enumerate(values):
        yield from ([*values[:i], value, *values[i + 1 :]] for value in simple if value != old)
    if len(values) > 1:
        yield values[:1]
        yield values[:-1]


def _divided(candidate: Candidate, count: int) -> Iterator[dict[Key, Any]]:
    """Tensors of which the axes of one size, or all that `count` divides, are cut to their part of it."""
    tensors = candidate.tensors
    axes = [(k, axis, n) for k, x in tensors.items() for axis, n in enumerate(x.shape) if n and n % count == 0]
    sizes = sorted({n for _, _, n in axes})
    for wanted in [*([n] for n in sizes), sizes]:
        changes: dict[Key, Any] = {}
        for key, axis, size in axes:
            if size in wanted:
                changes[key] = sliced(changes.get(key, tensors[key]), axis, 0, size // count)
        if changes:
            yield changes
