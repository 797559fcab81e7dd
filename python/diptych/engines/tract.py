"""Sonos' tract."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tract

from diptych.engines import Engine, Run

__all__ = ["TractEngine"]

# A refusal with a stack of Rust's frames takes seconds, and says no more.
os.environ.setdefault("RUST_LIB_BACKTRACE", "0")

# NumPy's names of the element types that tract's Python package passes, with tract's own.
_TYPES = {
    "bool": "bool",
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
    **{f"{kind}{bits}": f"{kind[0]}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}


class TractEngine(Engine):
    """tract on the CPU, one thread. It is told the shapes of the inputs that it gets, and loads anew for others."""

    name = "tract"

    @property
    def version(self) -> str:
        """Version of tract."""
        return str(tract.version())

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model; its types and shapes are only known once it is fed, so that it is made to run then."""
        self._read(model)
        made: dict[tuple[Any, ...], tuple[list[str], Any]] = {}

        def run(feeds: Mapping[str, Any]) -> list[Any]:
            facts = {name: _fact(value) for name, value in feeds.items()}
            key = tuple(sorted(facts.items()))
            if key not in made:
                made.clear()
                made[key] = self._make(model, facts)
            names, runnable = made[key]
            outputs = runnable.run([tract.Tensor.from_numpy(feeds[name]) for name in names])
            return [_array(output) for output in outputs]

        return run

    @staticmethod
    def _read(model: bytes | Path) -> Any:
        """Tract's own graph of a file."""
        try:
            if isinstance(model, Path):
                return tract.onnx().load(model)
            with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
                file.write(model)
                file.flush()
                return tract.onnx().load(file.name)
        except tract.TractError as error:
            raise NotImplementedError(str(error)) from error

    def _make(self, model: bytes | Path, facts: Mapping[str, str]) -> tuple[list[str], Any]:
        """The names of the inputs in order, and what runs."""
        read = self._read(model)
        try:
            names = [read.input_name(i) for i in range(read.input_count())]
            for i, name in enumerate(names):
                read.set_input_fact(i, facts[name])
            for i in range(read.output_count()):
                read.set_output_fact(i, None)
            return names, read.into_model().into_runnable()
        except tract.TractError as error:
            raise NotImplementedError(str(error)) from error


def _array(tensor: Any) -> Any:
    """The array of a tensor; dimensions, which tract keeps as expressions, are int64."""
    try:
        return tensor.to_numpy()
    except tract.TractError:
        return tensor.convert_to(tract.DatumType.I64).to_numpy()


def _fact(value: Any) -> str:
    """The type and shape of an array in tract's words."""
    if not isinstance(value, np.ndarray) or value.dtype.name not in _TYPES:
        kind = value.dtype.name if isinstance(value, np.ndarray) else type(value).__name__
        raise NotImplementedError(f"tract takes no {kind}")
    return ",".join([*map(str, value.shape), _TYPES[value.dtype.name]])
