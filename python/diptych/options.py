"""Options of a session and of one run, with ONNX Runtime's names where it has one."""

from __future__ import annotations

import os
import warnings
from enum import IntEnum
from typing import Any

from diptych import _core
from diptych.errors import InvalidInputError
from diptych.fast import MATH

__all__ = ["ExecutionMode", "ExecutionOrder", "GraphOptimizationLevel", "RunOptions", "SessionOptions"]


# Loops that are meant end long before: a body of one node takes some microseconds.
MAX_STEPS = 10_000_000


class GraphOptimizationLevel(IntEnum):
    """How much a session may rearrange the graph. No level changes a bit; from basic up, all passes run."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(IntEnum):
    """Whether independent nodes may run at once. Diptych's scheduler decides; the value is only kept."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(IntEnum):
    """Order of ready nodes. Diptych's scheduler decides; the value is only kept."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


class SessionOptions:
    """How a session prepares and runs its model.

    Attributes:
        isa: instruction set of the kernels, one of `diptych.available_isas()`; None: DIPTYCH_ISA, or else the widest.
        intra_op_num_threads: threads that a run may use; 0: DIPTYCH_THREADS, or else all CPUs this process may use.
        graph_optimization_level: `ORT_DISABLE_ALL` switches every pass off.
        disabled_passes: names of passes to leave out, for `ORT_ENABLE_*` levels.
        memory_limit: bytes that the session may hold at a time: its own copies of weights, intermediates, scratch, and
            outputs until they are returned. None: nine tenths of the memory that this process may use.
        max_steps: evaluations of subgraphs in one run, that is iterations of all its loops; None: any number.
        math: "exact" gives the bits of the rounding programs, "fast" lets convolutions take a faster program whose
            error is greater, and bounded (docs/numerics.md, section 5); None: DIPTYCH_MATH, or else "exact".
        quantized: "integer" makes products of quantized operands (Q/DQ) products of the integers, "float" leaves them;
            see docs/quantization.md and `InferenceSession.lowering`.
        enable_profiling: record the time of every node; see `InferenceSession.take_events` and `end_profiling`.
        profile_file_prefix: how the name of the file that `end_profiling` writes begins.
        random_seed: what random operators without a seed of their own draw by, together with how many runs came before.
        schedule_seed: None for priorities, a number for a random legal schedule drawn from it (for tests).

    Attributes of ONNX Runtime that concern its own allocators, logs and thread pools are kept and have no effect.
    An attribute that neither engine knows is an AttributeError.

    """

    __slots__ = (
        "_config_entries",
        "_free_dimensions",
        "disabled_passes",
        "enable_cpu_mem_arena",
        "enable_mem_pattern",
        "enable_mem_reuse",
        "enable_profiling",
        "execution_mode",
        "execution_order",
        "graph_optimization_level",
        "inter_op_num_threads",
        "intra_op_num_threads",
        "isa",
        "log_severity_level",
        "log_verbosity_level",
        "logid",
        "math",
        "max_steps",
        "memory_limit",
        "optimized_model_filepath",
        "profile_file_prefix",
        "quantized",
        "random_seed",
        "schedule_seed",
        "use_deterministic_compute",
        "use_per_session_threads",
    )

    def __init__(
        self,
        *,
        isa: str | None = None,
        threads: int = 0,
        memory_limit: int | None = None,
        max_steps: int | None = MAX_STEPS,
        disabled_passes: list[str] | tuple[str, ...] = (),
        math: str | None = None,
        quantized: str = "integer",
        schedule_seed: int | None = None,
        random_seed: int = 0,
    ) -> None:
        self.isa = isa
        self.intra_op_num_threads = threads
        self.memory_limit = memory_limit
        self.max_steps = max_steps
        self.disabled_passes = list(disabled_passes)
        self.math = math
        self.quantized = quantized
        self.schedule_seed = schedule_seed
        self.random_seed = random_seed
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self.execution_order = ExecutionOrder.DEFAULT
        self.inter_op_num_threads = 0
        self.enable_cpu_mem_arena = True
        self.enable_mem_pattern = True
        self.enable_mem_reuse = True
        self.enable_profiling = False
        self.profile_file_prefix = "onnxruntime_profile_"
        self.optimized_model_filepath = ""
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.use_deterministic_compute = True
        self.use_per_session_threads = True
        self._config_entries: dict[str, str] = {}
        self._free_dimensions: dict[str, int] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Keep an entry. "session.disable_quant_qdq" sets `quantized` ("1": "float"); no other changes any result."""
        self._config_entries[key] = value
        if key == "session.disable_quant_qdq":
            self.quantized = "float" if value == "1" else "integer"

    def get_session_config_entry(self, key: str) -> str:
        """Return the entry that was added under `key`; RuntimeError without one."""
        if key not in self._config_entries:
            raise RuntimeError(f"SessionOptions does not have configuration with key: {key}")
        return self._config_entries[key]

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        """Fix the symbolic dimension `name` of the model's inputs to `value`."""
        self._free_dimensions[name] = int(value)

    def register_custom_ops_library(self, path: str) -> None:
        """Refuse: libraries written against ONNX Runtime's C API cannot be loaded."""
        raise NotImplementedError(f"custom operator library {path!r}: Diptych does not load ONNX Runtime's libraries")

    def core_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `_core.Session`, with the environment's defaults filled in."""
        if self.optimized_model_filepath:
            warnings.warn("optimized_model_filepath: Diptych writes no optimized model", stacklevel=4)
        disable_all = self.graph_optimization_level == GraphOptimizationLevel.ORT_DISABLE_ALL
        return {
            "isa": self.isa or default_isa(),
            "threads": _threads(self.intra_op_num_threads),
            "memory_limit": self.memory_limit,
            "max_steps": self.max_steps,
            "disabled_passes": _core.passes() if disable_all else list(self.disabled_passes),
            "math": _math(self.math),
            "quantized": self.quantized,
            "schedule_seed": self.schedule_seed,
            "random_seed": self.random_seed,
            "profile": self.enable_profiling,
        }


class RunOptions:
    """Options of one run. Setting `terminate` from another thread ends the run with CancelledError.

    Attributes:
        timeout: seconds after which the run ends with DeadlineExceededError; None: never.

    """

    __slots__ = (
        "_cancel",
        "_config_entries",
        "_terminate",
        "log_severity_level",
        "log_verbosity_level",
        "logid",
        "only_execute_path_to_fetches",
        "timeout",
    )

    def __init__(self, *, timeout: float | None = None) -> None:
        self.timeout = timeout
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.only_execute_path_to_fetches = False
        self._terminate = False
        self._cancel = _core.CancelToken()
        self._config_entries: dict[str, str] = {}

    @property
    def terminate(self) -> bool:
        """Whether the runs that use these options are to end."""
        return self._terminate

    @terminate.setter
    def terminate(self, value: bool) -> None:
        if value:
            self._cancel.cancel()
        elif self._terminate:
            self._cancel = _core.CancelToken()
        self._terminate = bool(value)

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Keep an entry; none changes what Diptych computes."""
        self._config_entries[key] = value

    def get_run_config_entry(self, key: str) -> str:
        """Return the entry that was added under `key`; RuntimeError without one."""
        if key not in self._config_entries:
            raise RuntimeError(f"RunOptions does not have configuration with key: {key}")
        return self._config_entries[key]

    def core_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `_core.Session.run`."""
        return {"timeout": self.timeout, "cancel": self._cancel}


def default_isa() -> str | None:
    """Return the instruction set that DIPTYCH_ISA names, None where it is unset or empty."""
    return os.environ.get("DIPTYCH_ISA") or None


def default_threads() -> int:
    """Return the thread count that DIPTYCH_THREADS gives; 0, all usable CPUs, where it is unset or empty."""
    text = os.environ.get("DIPTYCH_THREADS") or "0"
    if not text.isascii() or not text.isdigit():
        raise InvalidInputError(f"DIPTYCH_THREADS is {text!r}; expected a whole number, 0 for all usable CPUs")
    return int(text)


def _math(requested: str | None) -> str:
    """Mode of a session: `requested`, or the environment's default for None."""
    name = "math" if requested is not None else "DIPTYCH_MATH"
    mode = requested if requested is not None else os.environ.get("DIPTYCH_MATH") or "exact"
    if mode not in MATH:
        raise InvalidInputError(f"{name} is {mode!r}; expected 'exact' (the default) or 'fast'")
    return mode


def _threads(requested: int) -> int:
    """Threads of a session: `requested`, or the environment's default for 0."""
    if isinstance(requested, bool) or not isinstance(requested, int) or requested < 0:
        raise InvalidInputError(f"intra_op_num_threads is {requested!r}; expected a whole number (0: all usable CPUs)")
    return requested or default_threads()
