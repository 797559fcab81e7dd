"""What `bench` times: the engine, the reference and other engines, each behind one callable."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diptych
from diptych.engines import ENGINES, Engine, Run, find_engine
from diptych.errors import Error, InvalidInputError
from diptych.options import default_threads

__all__ = ["EXACT", "PEERS", "Peer", "first_answer", "load_peer", "thread_count"]

# Diptych itself with math="exact", for a session with math="fast" beside it.
EXACT = "diptych.exact"
PEERS = (EXACT, *(name for name in ENGINES if name != "diptych"))


@dataclass(frozen=True)
class Peer:
    """An engine that has loaded the model. `run` maps feeds to the outputs in the model's order."""

    name: str
    version: str
    load_milliseconds: float
    run: Run


def thread_count(options: diptych.SessionOptions) -> int:
    """Threads of Diptych's session, and so of every engine beside it."""
    return options.intra_op_num_threads or default_threads() or diptych.usable_cpus()


def load_peer(name: str, path: str, options: diptych.SessionOptions) -> Peer:
    """Load a model with one engine and take the time of it; the import of the engine's package does not count."""
    if name == EXACT:
        options = copy(options)
        options.math = "exact"
    try:
        engine = find_engine("diptych" if name == EXACT else name)(thread_count(options))
    except InvalidInputError as error:
        raise Error(f"--against {name}: {error}") from None
    start = time.perf_counter()
    try:
        version, run = _prepare(engine, path, options)
    except Exception as error:
        if engine.name == "diptych":
            raise
        raise Error(f"{name} does not load {path}: {error}") from error
    return Peer(name, version, 1e3 * (time.perf_counter() - start), run)


def _prepare(engine: Engine, path: str, options: diptych.SessionOptions) -> tuple[str, Run]:
    """Load a model; the panels take the session's options."""
    if engine.name == "diptych":
        session = diptych.InferenceSession(path, options)
        return f"{engine.version} {session.isa} {session.math}", lambda feeds: session.run(None, feeds)
    if engine.name == "reference":
        from diptych_reference import ReferenceSession

        reference = ReferenceSession(path, quantized=options.quantized)
        return engine.version, lambda feeds: reference.run(None, feeds)
    return engine.version, engine.prepare(Path(path))


def first_answer(peer: Peer, feeds: Mapping[str, Any]) -> list[Any]:
    """Outputs of a peer's first run. Its own exceptions become errors: some learn only then what they cannot run."""
    try:
        return list(peer.run(feeds))
    except Exception as error:
        raise Error(f"{peer.name} does not run the model: {error}") from error
