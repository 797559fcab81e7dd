"""Engines behind one small class, so that whatever compares them needs to know none of them.

An engine of your own takes part with a subclass that `--engine my_package.adapter:MyEngine` names:

    from diptych.engines import Engine

    class MyEngine(Engine):
        name = "mine"
        unsupported = (my_engine.NotSupported,)

        def prepare(self, model):
            session = my_engine.load(model)
            return lambda feeds: session.run(feeds)

Wherever an engine is named, options may follow in brackets: `diptych[isa=avx2,passes=off]`, `onnxruntime[threads=2]`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from diptych.errors import InvalidInputError

__all__ = ["ENGINES", "Engine", "Run", "find_engine", "make_engine", "parse_spec", "split_specs"]

Run = Callable[[Mapping[str, Any]], Sequence[Any]]


class Engine:
    """Loads models, to be compared with another.

    `name` stands for it in reports. `unsupported` are the exceptions with which it says that a model asks for what it
    does not have; any other one is a failure. `threads` is how many a run may use. `takes` maps the names of its other
    options to what they mean; `options` holds those that were given, as text.
    """

    name: str = ""
    unsupported: tuple[type[Exception], ...] = (NotImplementedError,)
    takes: Mapping[str, str] = {}

    def __init__(self, threads: int = 1, options: Mapping[str, str] | None = None) -> None:
        self.threads = threads
        self.options = dict(options or {})
        unknown = sorted(self.options.keys() - self.takes.keys())
        if unknown:
            known = "; ".join(["threads (a whole number)", *(f"{name} ({what})" for name, what in self.takes.items())])
            raise InvalidInputError(f"engine {self.name!r} has no options {unknown}; it takes {known}")

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
    "tract": ("diptych.engines.tract:TractEngine", "tract"),
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


def make_engine(spec: str, threads: int = 1) -> Engine:
    """Return the engine that `spec` spells: what `find_engine` takes, and options as `name[key=value,...]`.

    The option `threads`, which every engine has, replaces the argument. Raises InvalidInputError where `spec` is
    malformed or the engine does not take an option or its value.
    """
    name, options = parse_spec(spec)
    count = options.pop("threads", str(threads))
    if not (count.isascii() and count.isdecimal() and int(count) > 0):
        raise InvalidInputError(f"engine {spec!r}: threads={count}; expected a whole number from 1 on")
    return find_engine(name)(int(count), options)


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Split `name[key=value,...]` into the name and the options."""
    found = re.fullmatch(r"([^\[\]]+?)(?:\[([^\[\]]*)\])?", spec.strip())
    if found is None:
        raise InvalidInputError(f"engine {spec!r}: expected NAME or NAME[KEY=VALUE,...]")
    options: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in (found[2] or "").split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (key and equals and value) or key in options:
            raise InvalidInputError(f"engine {spec!r}: {item!r}; expected KEY=VALUE, each key once")
        options[key] = value
    return found[1], options


def split_specs(text: str) -> list[str]:
    """Split a list such as `onnxruntime,diptych[isa=avx2,threads=2]` at the commas outside brackets."""
    return [part.strip() for part in re.split(r",(?![^\[\]]*\])", text) if part.strip()]


def choose(engine: Engine, key: str, choices: Mapping[str, Any], default: str) -> Any:
    """What `choices` holds for the engine's option `key`; InvalidInputError where it holds nothing."""
    value = engine.options.get(key, default)
    if value not in choices:
        raise InvalidInputError(f"engine {engine.name!r}: {key}={value}; expected one of {', '.join(choices)}")
    return choices[value]
