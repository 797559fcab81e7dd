"""What the benchmarks share: a model on one panel or peer, on one thread, with what is too long left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx

import diptych
from diptych_reference import ReferenceSession

from .cases import CASES

PANELS = ["engine", "reference"]
PEERS = ["onnxruntime", "openvino", "onnx.reference"]

Run = Callable[[], list[Any]]


def runner(panel: str, model: onnx.ModelProto, feeds: Mapping[str, Any]) -> Run:
    """Return a function that runs `model` once on `feeds`; it has run already, so that plans are made."""
    run = prepared(panel, model.SerializeToString())
    run(feeds)
    return lambda: run(feeds)


def prepared(panel: str, content: bytes) -> Callable[[Mapping[str, Any]], list[Any]]:
    """Load a model on a panel; return a function of feeds."""
    if panel == "engine":
        session = diptych.InferenceSession(content, diptych.SessionOptions(threads=1))
    else:
        session = ReferenceSession(content)
    return lambda feeds: session.run(None, feeds)


def case_runner(panel: str, name: str) -> Run:
    """Like `runner`, of a case of the table."""
    case = CASES[name]
    engine_only(panel, case.heavy)
    return runner(panel, case.model(), case.feeds())


def peer_runner(peer: str, name: str) -> Run:
    """Like `case_runner`, of an engine that need not be installed nor know the operator."""
    from diptych.engines import find_engine

    case = CASES[name]
    engine_only(peer if peer == "onnx.reference" else "engine", case.heavy)
    feeds = case.feeds()
    try:
        run = find_engine(peer)(threads=1).prepare(case.model().SerializeToString())
        run(feeds)
    except Exception as error:  # what each engine raises for what it lacks is its own
        raise NotImplementedError(f"{peer}: {error}") from error
    return lambda: list(run(feeds))


def engine_only(panel: str, too_long: bool) -> None:
    """Leave a case out where it would take minutes: everywhere but on the engine. asv shows it as n/a."""
    if panel != "engine" and too_long:
        raise NotImplementedError
