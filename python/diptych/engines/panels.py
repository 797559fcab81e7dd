"""Both panels of Diptych as engines."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import diptych
import diptych_reference
from diptych.engines import Engine, Run, choose
from diptych.errors import InvalidInputError
from diptych.fast import MATH

__all__ = ["DiptychEngine", "ReferenceEngine"]


_QUANTIZED = {"integer": "integer", "float": "float"}


class DiptychEngine(Engine):
    """The right panel."""

    name = "diptych"
    unsupported = (diptych.UnsupportedOperatorError,)
    takes: Mapping[str, str] = {
        "isa": "one of the machine's instruction sets, such as avx2",
        "math": "exact or fast",
        "passes": "on or off",
        "without": "names of passes to leave out, joined by +",
        "quantized": "integer or float",
        "schedule": "a number: seed of a random legal schedule",
        "memory": "bytes that the session may hold",
    }

    def __init__(self, threads: int = 1, options: Mapping[str, str] | None = None) -> None:
        super().__init__(threads, options)
        given = self.options
        numbers = {key: given[key] for key in ("schedule", "memory") if key in given}
        for key, value in numbers.items():
            if not (value.isascii() and value.isdecimal()):
                raise InvalidInputError(f"engine 'diptych': {key}={value}; expected a whole number")
        isas = {isa: isa for isa in diptych.available_isas()}
        self.session_options = diptych.SessionOptions(
            isa=choose(self, "isa", isas, given["isa"]) if "isa" in given else None,
            threads=threads,
            math=choose(self, "math", {name: name for name in MATH}, "exact"),
            quantized=choose(self, "quantized", _QUANTIZED, "integer"),
            schedule_seed=int(numbers["schedule"]) if "schedule" in numbers else None,
            memory_limit=int(numbers["memory"]) if "memory" in numbers else None,
            disabled_passes=given["without"].split("+") if "without" in given else [],
        )
        levels = diptych.GraphOptimizationLevel
        on_off = {"on": levels.ORT_ENABLE_ALL, "off": levels.ORT_DISABLE_ALL}
        self.session_options.graph_optimization_level = choose(self, "passes", on_off, "on")

    @property
    def version(self) -> str:
        """Version of the package."""
        return diptych.__version__

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model with the engine's options."""
        session = diptych.InferenceSession(model, self.session_options)
        return lambda feeds: session.run(None, dict(feeds))


class ReferenceEngine(Engine):
    """The left panel, which has no threads."""

    name = "reference"
    unsupported = (diptych_reference.UnsupportedOperatorError,)
    takes: Mapping[str, str] = {"quantized": "integer or float"}

    def __init__(self, threads: int = 1, options: Mapping[str, str] | None = None) -> None:
        super().__init__(threads, options)
        self.quantized = choose(self, "quantized", _QUANTIZED, "integer")

    @property
    def version(self) -> str:
        """Version of the package."""
        return version("diptych-reference")

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model."""
        session = diptych_reference.ReferenceSession(model, quantized=self.quantized)
        return lambda feeds: session.run(None, dict(feeds))
