"""Both panels of Diptych as engines."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import diptych
import diptych_reference
from diptych.engines import Engine, Run

__all__ = ["DiptychEngine", "ReferenceEngine"]


class DiptychEngine(Engine):
    """The right panel."""

    name = "diptych"
    unsupported = (diptych.UnsupportedOperatorError,)

    @property
    def version(self) -> str:
        """Version of the package."""
        return diptych.__version__

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model with the default options."""
        session = diptych.InferenceSession(model, diptych.SessionOptions(threads=self.threads))
        return lambda feeds: session.run(None, dict(feeds))


class ReferenceEngine(Engine):
    """The left panel, which has no threads."""

    name = "reference"
    unsupported = (diptych_reference.UnsupportedOperatorError,)

    @property
    def version(self) -> str:
        """Version of the package."""
        return version("diptych-reference")

    def prepare(self, model: bytes | Path) -> Run:
        """Load a model."""
        session = diptych_reference.ReferenceSession(model)
        return lambda feeds: session.run(None, dict(feeds))
