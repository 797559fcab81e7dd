"""The backend suite on the right panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diptych import UnsupportedOperatorError, _core

from .suite import on_panel


class EnginePanel:
    """The engine as the suite sees it."""

    name = "engine"
    unsupported = (UnsupportedOperatorError,)

    def prepare(self, model: bytes) -> Callable[[dict[str, Any]], Sequence[Any]]:
        """Load the model."""
        session = _core.Session(model)
        return lambda feeds: session.run(None, feeds)


test_case = on_panel(EnginePanel())
