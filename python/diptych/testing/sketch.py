"""How a family says what its valid cases are: a shape rule fills a sketch.

A shape rule is a function `rule(sketch) -> inputs`, registered for the operators it serves. It draws attributes and
shapes in an order that makes everything fit (output sizes before input sizes, say), never by trial. What differs
between versions it asks the schema: `sketch.attribute` draws nothing for an attribute that this version does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from onnx import NodeProto

from diptych.testing import shapes, values
from diptych.testing.draws import Draw
from diptych.testing.schema import Row
from diptych.testing.values import Array

__all__ = ["RULES", "Sketch", "shape_rule"]


class Sketch:
    """A case in the making: the row, its leading dtype, what was drawn so far."""

    def __init__(self, draw: Draw, row: Row, dtype: np.dtype[Any]) -> None:
        self.draw, self.row, self.dtype = draw, row, dtype
        self.since = row.since
        self.attributes: dict[str, Any] = {}
        self.outer: dict[str, Any] = {}
        self.before: list[NodeProto] = []
        self.n_outputs = 1
        self.bound = {row.leading: dtype}

    # What to draw

    def choose(self, *choices: Any) -> Any:
        """One of `choices`, the first being the simplest."""
        return shapes.choose(self.draw, choices)

    def integer(self, least: int, greatest: int) -> int:
        """An integer in least .. greatest."""
        return shapes.integer(self.draw, least, greatest)

    def coin(self) -> bool:
        """False or true."""
        return bool(self.choose(False, True))

    def shape(self, ranks: tuple[int, int] = (0, 4), limit: int = 1024, least: int = 0) -> tuple[int, ...]:
        """A shape of a rank in `ranks`."""
        return shapes.shape(self.draw, ranks, limit, least)

    def tensor(self, shape: Sequence[int], dtype: Any = None, *, specials: bool = True) -> Array:
        """A tensor, by default of the leading dtype."""
        return values.tensor(self.draw, self.dtype if dtype is None else dtype, tuple(shape), specials=specials)

    def axis(self, rank: int) -> int:
        """An axis, counted from either end."""
        return shapes.axis(self.draw, rank)

    # What the schema says

    def has(self, name: str) -> bool:
        """Whether this version has an attribute or input of that name."""
        return name in self.row.attributes or name in self.row.inputs

    def input_dtype(self, name: str) -> np.dtype[Any]:
        """The dtype of an input: that of its type variable, drawn when first asked for."""
        variable = self.row.inputs[name]
        if variable not in self.bound:
            self.bound[variable] = self.choose(*self.row.types(variable))
        return self.bound[variable]

    def attribute(self, name: str, *choices: Any) -> Any:
        """Set an attribute to one of `choices`, or leave it out if it is optional; its value, or its default."""
        if name not in self.row.attributes:
            return None
        required = self.row.attributes[name].required
        if not required and not self.coin():
            return self.row.default(name)
        return self.set(name, self.choose(*choices))

    def set(self, name: str, value: Any) -> Any:
        """Set an attribute and return its value."""
        self.attributes[name] = value
        return value


Rule = Callable[[Sketch], list[Any]]
Registered = TypeVar("Registered", bound=Rule)
RULES: dict[tuple[str, str], Rule] = {}


def shape_rule(*op_types: str, domain: str = "") -> Callable[[Registered], Registered]:
    """Register the decorated function as the shape rule of `op_types`."""

    def register(rule: Registered) -> Registered:
        for op_type in op_types:
            if (domain, op_type) in RULES:
                raise ValueError(f"{op_type} has two shape rules: {RULES[domain, op_type]} and {rule}")
            RULES[domain, op_type] = rule
        return rule

    return register
