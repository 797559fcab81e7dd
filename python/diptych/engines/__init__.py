"""Engines behind one small class, so that whatever compares them needs to know none of them.

An engine of your own takes part with a subclass that `--engine my_package.adapter:MyEngine` names:

    from diptych.engines import Engine

    class MyEngine(Engine):
        name = "mine"
        unsupported = (my_engine.NotSupported,)

        def prepare(self, model):
            session = my_engine.load(model)
            return lambda feeds: session.run(feeds)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from diptych.errors import InvalidInputError

__all__ = ["ENGINES", "Engine", "Run", "find_engine"]

Run = Callable[[Mapping[str, Any]], Sequence[Any]]


class Engine:
    """Loads models, to be compared with another.

    `name` stands for it in reports. `unsupported` are the exceptions with which it says that a model asks for what it
    does not have; any other one is a failure. `threads` is how many a run may use.
    """

    name: str = ""
    unsupported: tuple[type[Exception], ...] = (NotImplementedError,)

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    @property
    def version(self) -> str:
        """Version of the engine; "" where it tells none."""
        return ""

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model, given as the bytes of a file or its path; return a function from feeds to all outputs in order.

        Values, on both sides: arrays of the exact dtype (ml_dtypes for what NumPy lacks, object for strings), lists for
        sequences, dicts for maps, None for an empty optional.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define `prepare`")


# Where the engines that come with Diptych stand, and the package that each needs.
ENGINES: dict[str, tuple[str, str]] = {
    "diptych": ("diptych.engines.panels:DiptychEngine", "diptych"),
    "reference": ("diptych.engines.panels:ReferenceEngine", "diptych_reference"),
    "onnx.reference": ("diptych.engines.onnx_reference:OnnxReferenceEngine", "onnx"),
    "onnxruntime": ("diptych.engines.onnxruntime:OnnxRuntimeEngine", "onnxruntime"),
    "openvino": ("diptych.engines.openvino:OpenVinoEngine", "openvino"),
}


def find_engine(name: str) -> type[Engine]:
    """Return the class of an engine by its name in `ENGINES`, or as `module:Class`.

    Raises InvalidInputError where there is none or its package is not installed.
    """
    where, package = ENGINES.get(name, (name, ""))
    module, colon, attribute = where.partition(":")
    if not colon:
        raise InvalidInputError(f"no engine {name!r}; there are {', '.join(ENGINES)}, and yours as `module:Class`")
    try:
        if package:
            importlib.import_module(package)
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        advice = f"pip install {package.replace('_', '-')}" if package else "is it on PYTHONPATH?"
        raise InvalidInputError(f"engine {name!r}: {error} ({advice})") from None
    if not (isinstance(found, type) and issubclass(found, Engine)):
        raise InvalidInputError(f"engine {name!r}: {module} has no subclass of diptych.engines.Engine of that name")
    return found
