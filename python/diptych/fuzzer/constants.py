"""Keep Hypothesis from reading the sources of all that is imported.

It parses every module that lies outside of site-packages, for constants to try as numbers: in a checkout of Diptych
those are some 260, which takes half a minute before the first case. What numbers to try `diptych.testing.values` knows
better; and cases that depend on what else is imported are others in the next process, for equal seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis.internal.conjecture import providers

__all__ = ["no_local_constants"]

READ = "_get_local_constants"  # Hypothesis has no setting for it; where the name is gone, nothing is changed


@contextmanager
def no_local_constants() -> Iterator[None]:
    """Within, Hypothesis draws from its own constants alone."""
    original = getattr(providers, READ, None)
    nothing = getattr(providers, "Constants", None)
    if original is None or nothing is None:
        yield
        return
    setattr(providers, READ, nothing)
    try:
        yield
    finally:
        setattr(providers, READ, original)
