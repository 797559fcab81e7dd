"""Both panels' source of an operator, for the report."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from diptych.errors import Error
from diptych_reference import UnsupportedOperatorError, lookup

__all__ = ["Source", "sources_of"]


@dataclass(frozen=True)
class Source:
    """`reference` is Python, `kernels` are stretches of Rust with where they stand; `note` says why one is empty."""

    anchor: str
    title: str
    reference: str
    kernels: tuple[tuple[str, str], ...]
    note: str


@cache
def sources_of(op_type: str, domain: str, opset: int) -> Source:
    """The source of the version of an operator that an opset means."""
    name = f"{domain}.{op_type}" if domain else op_type
    notes = []
    title, reference = f"{name}-{opset}", ""
    try:
        found = lookup(domain, op_type, opset)
        title, reference = found.name, inspect.getsource(found.function)
    except (UnsupportedOperatorError, OSError, TypeError) as error:
        notes.append(f"Reference: {error}")
    try:
        kernels = rust_of(op_type, domain)
        if not kernels:
            notes.append("Kernel: no stretch of Rust is marked as this operator's.")
    except ModuleNotFoundError:
        kernels = ()
        notes.append("Kernel: this version of Diptych does not know where its Rust stands (diptych.sources).")
    except Error as error:
        kernels = ()
        notes.append(f"Kernel: {error}")
    anchor = re.sub(r"[^\w]+", "-", f"source-{title}")
    return Source(anchor, title, reference, kernels, " ".join(notes))


def rust_of(op_type: str, domain: str) -> tuple[tuple[str, str], ...]:
    """The marked stretches of rust_core whose marker names the operator, as (path and lines, text).

    Raises ModuleNotFoundError without `diptych.sources`, and its MissingSourceError without a checkout.
    """
    panels: dict[str, Any] = importlib.import_module("diptych.sources").rust_panels()
    wanted = f"{domain}.{op_type}" if domain else op_type
    own = {wanted, wanted.lower()}
    found = [panel for name, panel in panels.items() if own & set(name.split())]
    found.sort(key=lambda panel: len(panel.name.split()))
    return tuple((f"{panel.path}:{panel.first}-{panel.last}", panel.text) for panel in found)
