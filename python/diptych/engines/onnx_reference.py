"""ONNX's own ReferenceEvaluator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx.reference import ReferenceEvaluator

from diptych.engines import Engine, Run
from diptych.engines.answers import as_values

__all__ = ["OnnxReferenceEngine"]


class OnnxReferenceEngine(Engine):
    """`onnx.reference.ReferenceEvaluator`, which has no threads of its own."""

    name = "onnx.reference"

    @property
    def version(self) -> str:
        """Version of onnx."""
        return str(onnx.__version__)

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model."""
        try:
            session = ReferenceEvaluator(onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model))
        except RuntimeError as error:
            if str(error).startswith("No implementation for operator"):
                raise NotImplementedError(str(error)) from error
            raise

        def run(feeds: Mapping[str, Any]) -> list[Any]:
            try:
                return as_values(list(session.run(None, dict(feeds))))
            except RuntimeError as error:
                if "not implemented" in str(error).lower():  # its words for what it does not support
                    raise NotImplementedError(str(error)) from error
                raise

        return run
