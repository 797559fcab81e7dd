"""The backend suite on the left panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diptych_reference import ReferenceSession, UnsupportedOperatorError

from .suite import on_panel


class ReferencePanel:
    """The reference as the suite sees it."""

    name = "reference"
    unsupported = (UnsupportedOperatorError,)

    def prepare(self, model: bytes) -> Callable[[dict[str, Any]], Sequence[Any]]:
        """Load the model."""
        session = ReferenceSession(model)
        return lambda feeds: session.run(None, feeds)


test_case = on_panel(ReferencePanel())
