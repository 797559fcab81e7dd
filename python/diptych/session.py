"""A model that can be run: the engine behind ONNX Runtime's signature."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diptych import _core
from diptych.errors import InvalidInputError, MissingInputError
from diptych.options import RunOptions, SessionOptions
from diptych.values import NodeArg, as_value

__all__ = ["InferenceSession", "ModelMetadata"]

PROVIDER = "CPUExecutionProvider"


class ModelMetadata:
    """What a model says of itself. `version` is the model's own; `custom_metadata_map` its metadata_props."""

    __slots__ = (
        "custom_metadata_map",
        "description",
        "domain",
        "graph_description",
        "graph_name",
        "ir_version",
        "opsets",
        "producer_name",
        "producer_version",
        "version",
    )

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.producer_name: str = fields["producer_name"]
        self.producer_version: str = fields["producer_version"]
        self.graph_name: str = fields["graph_name"]
        self.domain: str = fields["domain"]
        self.description: str = fields["description"]
        self.graph_description: str = fields.get("graph_description", "")
        self.version: int = fields["version"]
        self.custom_metadata_map: dict[str, str] = dict(fields["custom"])
        self.ir_version: int = fields["ir_version"]
        self.opsets: dict[str, int] = dict(fields["opsets"])


class InferenceSession:
    """Load a model once, run it many times, from many threads if need be.

    Args:
        path_or_bytes: a path, the bytes of a serialised model, or a `ModelProto`.
        sess_options: how to prepare and run the model; see `SessionOptions`.
        providers: names, or (name, options) pairs, as for ONNX Runtime. Diptych runs on the CPU, whichever are named.
        provider_options: options of the providers; not used.
        disabled_optimizers: names of passes to leave out, in addition to `sess_options.disabled_passes`.

    Raises:
        InvalidModelError: the file or its graph breaks ONNX's rules.
        ModelFileError: the model, or a file it refers to, cannot be read.
        UnsupportedOperatorError: an operator, version or type that the engine lacks.
        ResourceLimitError: the weights pass `memory_limit`.

    """

    def __init__(
        self,
        path_or_bytes: str | os.PathLike[str] | bytes | Any,
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        *,
        disabled_optimizers: Sequence[str] | None = None,
    ) -> None:
        options = SessionOptions() if sess_options is None else sess_options
        if not isinstance(options, SessionOptions):
            raise TypeError(f"sess_options is a {type(options).__name__}; expected diptych.SessionOptions")
        check_providers(providers)
        arguments = options.core_arguments()
        arguments["disabled_passes"] += list(disabled_optimizers or ())
        self._options = options
        self._core = _core.Session(_model_source(path_or_bytes), **arguments)
        self._inputs = [_described(value, options) for value in self._core.inputs]
        self._overridable = [_described(value, options) for value in self._core.overridable]
        self._outputs = [NodeArg(*value) for value in self._core.outputs]
        self._feedable = {value.name: value for value in (*self._inputs, *self._overridable)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.isa}, {self.threads} threads, math {self.math!r}>"

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """Run the model on `input_feed` (name -> value) and return the named outputs; all of them for None or [].

        Values are NumPy arrays (object or str arrays for strings), DLPack exporters, nested lists, lists of tensors for
        a sequence, dicts for maps, None for an absent optional. An output is an array, a list for a sequence, a dict of
        Python's own numbers and strings for a map, or None.

        Raises:
            MissingInputError: an input without a default is not in `input_feed`.
            InvalidInputError: an unknown name, another element type, rank or fixed dimension than declared.
            InvalidTypeError: a value of a type that its operator does not take.
            ShapeError: shapes or values that do not fit an operator.
            CancelledError, DeadlineExceededError, ResourceLimitError: as `run_options` and `memory_limit` say.

        """
        if isinstance(output_names, str | bytes):
            raise TypeError(f"output_names is {output_names!r}; expected a list of names or None")
        if not isinstance(input_feed, Mapping):
            raise TypeError(f"input_feed is a {type(input_feed).__name__}; expected a dict from input names to values")
        if run_options is not None and not isinstance(run_options, RunOptions):
            raise TypeError(f"run_options is a {type(run_options).__name__}; expected diptych.RunOptions or None")
        feeds = {name: self._value(name, value) for name, value in input_feed.items()}
        missing = [value.name for value in self._inputs if value.name not in feeds]
        if missing:
            raise MissingInputError(f"required inputs {missing} are missing from the input feed {list(feeds)}")
        options = RunOptions() if run_options is None else run_options
        return self._core.run(list(output_names) if output_names else None, feeds, **options.core_arguments())

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], None],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """Start a run on a thread of its own and return at once.

        `callback(results, user_data, error)` is called when it ends, `error` being "" after success.
        """
        from threading import Thread

        def run() -> None:
            try:
                results, problem = self.run(output_names, input_feed, run_options), ""
            except Exception as error:  # handed to the callback, which is the only one that can act on it
                results, problem = [], str(error) or type(error).__name__
            callback(results, user_data, problem)

        Thread(target=run, name="diptych-run-async").start()

    def get_inputs(self) -> list[NodeArg]:
        """Inputs that must be fed, in the model's order."""
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        """Outputs, in the model's order."""
        return list(self._outputs)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Inputs that have an initializer as their default and may be fed."""
        return list(self._overridable)

    def get_modelmeta(self) -> ModelMetadata:
        """What the model says of itself."""
        return ModelMetadata(self._core.metadata)

    def get_session_options(self) -> SessionOptions:
        """Return the options the session was made with."""
        return self._options

    def get_providers(self) -> list[str]:
        """Return where the model runs, in ONNX Runtime's words: the CPU."""
        return [PROVIDER]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """Options of the providers: none."""
        return {PROVIDER: {}}

    def memory(self) -> dict[str, int]:
        """Bytes held, by kind of memory; `contexts` and `plans` count those kept for later runs."""
        return self._core.memory()

    def plan(self) -> list[dict[str, Any]]:
        """Return the segments of the plan that the latest run followed, in order; none before the first run.

        A segment has `arena_bytes`, `scratch_bytes` (of a thread) and `output_bytes`; `tasks` in the plan's order, each
        with `node` (index in `graph()`), `inputs` and `outputs` by name, `workspace_offset` and `workspace_bytes`;
        `dynamic`, the nodes that run after the tasks; and `values`, each with `name` and `kind`: "arena" (at `offset`
        of the temporary arena, `bytes` long), "view" (the bytes of the value `of`), "output" (a buffer of its own that
        outlives the segment), "known" (computed when the plan was made) or "constant".
        """
        return self._core.plan()

    def shrink(self) -> None:
        """Give back the memory that idle runs keep for the next one."""
        self._core.shrink()

    def take_events(self) -> list[dict[str, Any]]:
        """Return what the session recorded of its nodes since the last call, if it was made with `enable_profiling`.

        An event has `graph`, `node` (index in it), `name`, `op_type`, `algorithm` ("winograd" where fast mode took it,
        else ""), `start_us` and `duration_us` (microseconds), and
        `bytes`, those of the node's inputs and outputs, and `flops`, the binary32 operations (two a multiply-add) of
        products, convolutions and recurrences; both are 0 where shapes show only at run time. A node that runs inside
        another's kernel has no event.
        """
        events, lost = self._core.take_events()
        if lost:
            warnings.warn(f"{lost} events of the profile were not kept: take them more often", stacklevel=2)
        return events

    def end_profiling(self) -> str:
        """Write the recorded events as a trace that Chrome and Perfetto show; return the file's name.

        Like ONNX Runtime's: the file is `<profile_file_prefix>_<date>_<time>.json`, in the current folder.

        Raises:
            InvalidInputError: the session was made without `enable_profiling`.

        """
        from diptych.trace import write_trace

        if not self._options.enable_profiling:
            raise InvalidInputError("end_profiling: set enable_profiling in the SessionOptions of this session first")
        prefix = self._options.profile_file_prefix.rstrip("_")
        path = f"{prefix}_{time.strftime('%Y-%m-%d_%H-%M-%S')}.json"
        write_trace(path, self.take_events())
        return path

    def lowering(self) -> list[dict[str, Any]]:
        """Return the model's products of quantized operands, and what `SessionOptions.quantized` made of them.

        An entry has `graph` ("" for the main graph, else such as "loop_1.body"), `node` and `op_type` of the product,
        `meaning` ("integer" or "float"), `nodes_in` and `nodes_out`, lists of (name, op_type): what the pattern is made
        of and what stands for it, and `reason`, which says why a product stays floating point ("" where it does not).
        """
        return self._core.lowering()

    def graph(self) -> dict[str, Any]:
        """Return the graph as it runs, after the passes: name, nodes, inputs, outputs, constants."""
        return self._core.graph()

    @property
    def isa(self) -> str:
        """Instruction set of the session's kernels."""
        return self._core.isa

    @property
    def math(self) -> str:
        """Whether results are those of the rounding programs ("exact"), or within bounds of them ("fast")."""
        return self._core.math

    @property
    def threads(self) -> int:
        """Threads that a run may use."""
        return self._core.threads

    def _value(self, name: str, value: Any) -> Any:
        """Check one fed value."""
        declared = self._feedable.get(name)
        if declared is None:
            raise InvalidInputError(f"invalid input name: {name!r}; the model has {list(self._feedable)}")
        return as_value(declared, value)


def check_providers(providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None) -> None:
    """Say so where a caller asks for a device that is not used; the CPU serves all the same, as in ONNX Runtime."""
    if isinstance(providers, str):
        raise TypeError("providers is a str; expected a list of names")
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers or ()]
    if unknown := [name for name in names if name != PROVIDER]:
        warnings.warn(f"providers {unknown} are not available; the model runs on {PROVIDER}", stacklevel=3)


def _model_source(model: Any) -> str | bytes | os.PathLike[str]:
    """Return the model as a path or as bytes."""
    if isinstance(model, str | bytes | os.PathLike):
        return model
    if isinstance(model, bytearray | memoryview):
        return bytes(model)
    if hasattr(model, "SerializeToString"):
        serialized: bytes = model.SerializeToString()
        return serialized
    raise TypeError(f"cannot load a model from a {type(model).__name__}; expected a path, bytes or a ModelProto")


def _described(value: tuple[str, str, list[int | str | None] | None], options: SessionOptions) -> NodeArg:
    """Description of an input, with the free dimensions that the options fix."""
    name, type_name, shape = value
    fixed = options._free_dimensions
    if shape is not None:
        shape = [fixed.get(d, d) if isinstance(d, str) else d for d in shape]
    return NodeArg(name, type_name, shape)
