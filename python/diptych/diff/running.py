"""The engines under test, each behind one `ask`: in a process of its own, or in this one."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from diptych.diff.oracle import Evaluated
from diptych.diff.single import single_model
from diptych.engines import Engine, Run, make_engine, parse_spec
from diptych.engines.worker import Answer, Worker

__all__ = ["Tested", "signature"]

# Engines whose rounding program is ours: bit by bit against the reference, by its own bounds against binary64.
OWN = ("diptych", "reference")
# Tensors that an engine may want to know when it loads a model: axes, shapes, repeats, k.
SMALL = 64


class Tested:
    """An engine under test. `spec` names it in the report."""

    def __init__(
        self, spec: str, *, isolate: bool, timeout: float | None, memory_limit: int | None, threads: int
    ) -> None:
        self.spec = spec
        name, options = parse_spec(spec)
        self.own = name in OWN
        self.fast = options.get("math") == "fast"  # some nodes may have other bits, within a bound
        self.worker = Worker(spec, threads=threads, timeout=timeout, memory_limit=memory_limit) if isolate else None
        self.here = None if isolate else InThisProcess(make_engine(spec, threads))
        self.version = self.worker.version if self.worker else self.here.engine.version if self.here else ""
        self.lost = ""  # why the whole model cannot be run, once that is known

    def ask(self, model: bytes | Path, feeds: Mapping[str, Any]) -> Answer:
        """Run a model."""
        runner = self.worker or self.here
        assert runner is not None
        return runner.run(model, feeds)

    def close(self) -> None:
        """End the process."""
        if self.worker is not None:
            self.worker.close()

    def on_node(self, node: Evaluated, constants: Collection[str], ir_version: int) -> tuple[Answer, list[str]]:
        """Run one node as a model; where it is refused, once more with small inputs as constants.

        Returns the answer and the names of the inputs that were constants.
        """
        names = [name for name in node.step.node.inputs if name]
        fixed = {name for name in names if name in constants}
        answer = self._ask_node(node, fixed, ir_version)
        if answer.kind == "refused" or (answer.kind == "failed" and answer.stage == "prepare"):
            inputs = zip(node.step.node.inputs, node.inputs, strict=True)
            small = {n for n, v in inputs if n and getattr(v, "size", SMALL + 1) <= SMALL and v.dtype.kind in "iub"}
            if small - fixed:
                again = self._ask_node(node, fixed | small, ir_version)
                if again.answered:
                    return again, sorted(fixed | small)
        return answer, sorted(fixed)

    def _ask_node(self, node: Evaluated, constants: Collection[str], ir_version: int) -> Answer:
        """Run the model of a node; absent outputs are None again."""
        model, feeds = single_model(node.step, node.inputs, node.expected, constants, ir_version)
        answer = self.ask(model, feeds)
        if not answer.answered:
            return answer
        asked = [name for name in node.step.node.outputs if name]
        if len(answer.outputs) != len(asked):
            detail = f"{len(answer.outputs)} outputs, the model has {len(asked)}"
            return Answer("failed", error="outputs", detail=detail, seconds=answer.seconds)
        found = iter(answer.outputs)
        outputs = [next(found) if name else None for name in node.step.node.outputs]
        return Answer("answered", outputs, seconds=answer.seconds)


class InThisProcess:
    """An engine here: operators registered in this process are known, a crash ends all."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._model: bytes | Path | None = None
        self._run: Run | None = None

    def run(self, model: bytes | Path, feeds: Mapping[str, Any]) -> Answer:
        """Load and run a model."""
        stage, start = "prepare", time.perf_counter()
        try:
            if self._run is None or self._model != model:
                self._run = None
                self._run, self._model = self.engine.prepare(model), model
            stage = "run"
            outputs = list(self._run(feeds))
            return Answer("answered", outputs, seconds=time.perf_counter() - start)
        except Exception as error:  # whatever it raises is its answer
            kind = "refused" if isinstance(error, self.engine.unsupported) else "failed"
            detail = " ".join(str(error).split())[:2000]
            return Answer(kind, [], type(error).__name__, detail, stage, time.perf_counter() - start)


def signature(value: Any) -> str:
    """Type and shape of a value, such as float32[1,3,8,8]."""
    if value is None:
        return "absent"
    if isinstance(value, list):
        kinds = sorted({signature(item) for item in value})
        return f"sequence of {len(value)}" + (f": {kinds[0]}" if len(kinds) == 1 else "")
    if isinstance(value, Mapping):
        return f"map of {len(value)}"
    if not hasattr(value, "dtype"):
        return type(value).__name__
    name = "string" if value.dtype.kind == "O" else value.dtype.name
    return f"{name}[{','.join(map(str, value.shape))}]"
