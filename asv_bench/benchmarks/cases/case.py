"""A case of an operator: its inputs at a size that means something, which of them are weights, its attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "OperatorCase",
    "Value",
    "Weight",
    "fixed",
    "integers",
    "normal",
    "positive",
    "quantized",
    "uniform",
    "weight",
]

# That of most exporters of today; an operator that came later states its own.
OPSET = 21

Value = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Weight:
    """A value that is a constant of the model, as weights are."""

    value: Value


@dataclass(frozen=True)
class OperatorCase:
    """`op_type` of `domain` at `opset` on `inputs` (None: absent); `label` says what it stands for.

    It has `outputs` outputs. Attributes are what `diptych.testing.Case` takes, or functions that return it. `outer`
    are the values that graphs in attributes see. `before` are nodes that come before it. `heavy`: the reference would
    take more than about a second.
    """

    op_type: str
    label: str
    inputs: tuple[Value | Weight | None, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    opset: int = OPSET
    domain: str = ""
    heavy: bool = False
    outer: Mapping[str, Value] = field(default_factory=dict)
    before: Callable[[], tuple[Any, ...]] = tuple

    @property
    def operator(self) -> str:
        """The operator's name with its domain, as `com.microsoft.Gelu`."""
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type

    @property
    def name(self) -> str:
        """What benchmarks call it."""
        return f"{self.operator}: {self.label}"

    @property
    def constants(self) -> set[str]:
        """Names of the inputs that are weights."""
        return {f"x{i}" for i, value in enumerate(self.inputs) if isinstance(value, Weight)}

    def case(self) -> Any:
        """The `diptych.testing.Case`, with the same values every time."""
        from diptych.testing.case import Case  # later than the names of the benchmarks, which asv reads in every commit

        rng = np.random.default_rng(0)
        inputs = [(value.value if isinstance(value, Weight) else value) for value in self.inputs]
        return Case(
            self.op_type,
            self.domain,
            self.opset,
            tuple(None if value is None else value(rng) for value in inputs),
            {name: value() if callable(value) else value for name, value in self.attributes.items()},
            self.outputs,
            {name: value(rng) for name, value in self.outer.items()},
            self.before(),
        )

    def model(self) -> Any:
        """The model of this one node: weights are constants, and the other tensors have their shapes."""
        from onnx import numpy_helper

        case = self.case()
        model, feeds, constants = case.model(), case.feeds(), self.constants
        graph = model.graph
        given = [value for value in graph.input if value.name not in constants]
        graph.initializer.extend(numpy_helper.from_array(feeds[name], name) for name in sorted(constants))
        for value in given:
            if value.type.HasField("tensor_type"):
                for dim, extent in zip(value.type.tensor_type.shape.dim, feeds[value.name].shape, strict=True):
                    dim.dim_value = extent
        del graph.input[:]
        graph.input.extend(given)
        return model

    def feeds(self) -> dict[str, Any]:
        """The inputs of `model()` by name."""
        return {name: value for name, value in self.case().feeds().items() if name not in self.constants}


def weight(*shape: int, scale: float = 1.0) -> Weight:
    """Normal weights of float32."""
    return Weight(normal(*shape, scale=scale))


def normal(*shape: int, scale: float = 1.0, dtype: Any = np.float32) -> Value:
    """Normal numbers of mean 0."""
    return lambda rng: (scale * rng.standard_normal(shape)).astype(dtype)


def positive(*shape: int, least: float = 0.1) -> Value:
    """Absolute values of normals, and `least` more."""
    return lambda rng: (np.abs(rng.standard_normal(shape)) + least).astype(np.float32)


def uniform(low: float, high: float, *shape: int, dtype: Any = np.float32) -> Value:
    """Numbers in [low, high)."""
    return lambda rng: rng.uniform(low, high, shape).astype(dtype)


def integers(low: int, high: int, *shape: int, dtype: Any = np.int64) -> Value:
    """Integers (or booleans) in [low, high)."""
    return lambda rng: rng.integers(low, high, shape).astype(dtype)


def fixed(value: Any, dtype: Any = None) -> Value:
    """The same value always: an array of what is given, or a list or a mapping as it is where there is no dtype."""
    return lambda _: value if dtype is None else np.asarray(value, dtype)


def quantized(*shape: int, zero_point: int = 128) -> tuple[Value, Weight, Weight]:
    """A tensor of uint8 with its scale and zero point, as three inputs."""
    return (
        integers(0, 256, *shape, dtype=np.uint8),
        Weight(fixed(0.05, np.float32)),
        Weight(fixed(zero_point, np.uint8)),
    )
