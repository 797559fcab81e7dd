"""Engines that hostile inputs are given to: how each loads and runs a model, and which exceptions are its refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MEMORY_LIMIT = 1 << 30
MAX_STEPS = 100_000
TIMEOUT = 20.0  # seconds a run may take, where the engine can be told so

Run = Callable[[bytes | Path, Mapping[str, Any]], Any]


def diptych() -> tuple[Run, tuple[type[Exception], ...]]:
    """The right panel, with a gigabyte of memory. An internal error is no refusal."""
    import diptych

    def run(model: bytes | Path, feeds: Mapping[str, Any]) -> Any:
        options = diptych.SessionOptions(memory_limit=MEMORY_LIMIT, max_steps=MAX_STEPS)
        try:
            return diptych.InferenceSession(model, options).run(None, dict(feeds), diptych.RunOptions(timeout=TIMEOUT))
        except diptych.InternalError as error:
            raise AssertionError(f"internal error: {error}") from error

    return run, (diptych.Error,)


def reference() -> tuple[Run, tuple[type[Exception], ...]]:
    """The left panel."""
    import diptych_reference

    def run(model: bytes | Path, feeds: Mapping[str, Any]) -> Any:
        return diptych_reference.ReferenceSession(model, max_steps=MAX_STEPS // 10, memory_limit=MEMORY_LIMIT).run(
            None, feeds
        )

    return run, (diptych_reference.Error, OSError)


def onnxruntime() -> tuple[Run, tuple[type[Exception], ...]]:
    """ONNX Runtime; whatever it raises counts as a refusal."""
    import onnxruntime

    def run(model: bytes | Path, feeds: Mapping[str, Any]) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        content = model if isinstance(model, bytes) else str(model)
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return session.run(None, dict(feeds))

    return run, (Exception,)


def openvino() -> tuple[Run, tuple[type[Exception], ...]]:
    """OpenVINO; whatever it raises counts as a refusal."""
    import openvino

    def run(model: bytes | Path, feeds: Mapping[str, Any]) -> Any:
        import io

        core = openvino.Core()
        compiled = core.compile_model(core.read_model(io.BytesIO(model) if isinstance(model, bytes) else model), "CPU")
        return [compiled(dict(feeds))[output] for output in compiled.outputs]

    return run, (Exception,)


def onnx_reference() -> tuple[Run, tuple[type[Exception], ...]]:
    """ONNX's ReferenceEvaluator; whatever it raises counts as a refusal."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    def run(model: bytes | Path, feeds: Mapping[str, Any]) -> Any:
        content = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
        return ReferenceEvaluator(content).run(None, dict(feeds))

    return run, (Exception,)


ENGINES: dict[str, Callable[[], tuple[Run, tuple[type[Exception], ...]]]] = {
    "diptych": diptych,
    "reference": reference,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "onnx.reference": onnx_reference,
}
