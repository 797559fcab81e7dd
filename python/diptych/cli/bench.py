"""Time a model, alone or beside other engines.

The engines take turns in rounds of one process, in an order that rotates, so that a busy machine slows all of them.
Shown are the median time of a run, the least, and the median over the rounds of (Diptych's time / the peer's time):
below 1 Diptych is faster. `--math fast --against diptych.exact` shows what fast mode gains. Outputs are
compared once, since a fast wrong answer is no answer.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

import diptych
from diptych.cli.arguments import add_input_arguments, add_session_arguments, make_feeds, session_options
from diptych.cli.peers import PEERS, Peer, first_answer, load_peer, thread_count
from diptych.cli.tables import print_json, print_table, progress
from diptych.errors import Error, InvalidInputError

__all__ = ["Timing", "add_timing_arguments", "difference", "measure", "peer_names", "ratio", "report"]

HELP = "time a model, beside other engines with --against"


@dataclass(frozen=True)
class Timing:
    """What one engine answered, and the milliseconds that a run of it took, one figure a round."""

    peer: Peer
    answer: Sequence[Any]
    milliseconds: list[float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych bench`."""
    parser.add_argument("model", nargs="+", help="paths of ONNX files")
    add_timing_arguments(parser)
    add_input_arguments(parser)
    add_session_arguments(parser)


def add_timing_arguments(parser: argparse.ArgumentParser, against: str = "") -> None:
    """Add --against, --rounds, --seconds."""
    parser.add_argument("--against", default=against, metavar="PEERS", help=f"comma-separated, of {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="rounds of every engine (default 20)")
    parser.add_argument(
        "--seconds", type=float, default=0.05, metavar="S", help="least time of one engine in a round (default 0.05)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Time every model and print its table."""
    options = session_options(arguments)
    names = peer_names(arguments.against)
    results = []
    for model in arguments.model:
        feeds = make_feeds(arguments, diptych.InferenceSession(model, options).get_inputs())
        timings = measure(model, feeds, names, options, arguments.rounds, arguments.seconds)
        result = report(model, options, timings)
        results.append(result)
        if not arguments.json:
            _print(result)
    if arguments.json:
        print_json(results)
    return 0


def peer_names(against: str) -> list[str]:
    """Names of the peers in --against; InvalidInputError where there is no such peer."""
    names = [name.strip() for name in against.split(",") if name.strip()]
    for name in names:
        if name not in PEERS:
            raise InvalidInputError(f"--against: no peer {name!r}; there are {', '.join(PEERS)}")
    return names


def _raise(peer: str, error: Error) -> None:
    """End the measurement at a peer that fails."""
    raise error


def measure(
    path: str,
    feeds: Mapping[str, Any],
    peers: Sequence[str],
    options: diptych.SessionOptions,
    rounds: int,
    seconds: float,
    on_failure: Callable[[str, Error], None] = _raise,
) -> list[Timing]:
    """Time Diptych, then the named peers, on one model.

    In each of `rounds` rounds every engine runs for about `seconds`. `on_failure` hears of a peer that cannot load the
    model or run it: it raises, or returns to leave that peer out.
    """
    if rounds < 1:
        raise InvalidInputError(f"--rounds is {rounds}; expected at least 1")
    engine = load_peer("diptych", path, options)
    timings = [Timing(engine, engine.run(feeds), [])]
    for name in peers:
        try:
            peer = load_peer(name, path, options)
            timings.append(Timing(peer, first_answer(peer, feeds), []))
        except Error as error:
            on_failure(name, error)
    repeats = [_repeats(timing.peer, feeds, seconds) for timing in timings]
    gc.disable()
    try:
        for round_ in range(rounds):
            progress(f"{path}: round {round_ + 1} of {rounds}")
            for turn in range(len(timings)):
                i = (turn + round_) % len(timings)
                timings[i].milliseconds.append(_time(timings[i].peer, feeds, repeats[i]))
    finally:
        gc.enable()
        progress("")
    return timings


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over the rounds of our time / theirs."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def report(model: str, options: diptych.SessionOptions, timings: Sequence[Timing]) -> dict[str, Any]:
    """Sum up the timings of one model; those of Diptych come first."""
    ours = timings[0]
    rows = [
        {
            "engine": timing.peer.name,
            "version": timing.peer.version,
            "load_ms": timing.peer.load_milliseconds,
            "median_ms": median(timing.milliseconds),
            "least_ms": min(timing.milliseconds),
            "ratio": ratio(ours.milliseconds, timing.milliseconds),
            "greatest_difference": difference(ours.answer, timing.answer),
        }
        for timing in timings
    ]
    rounds = len(ours.milliseconds)
    return {"model": model, "threads": thread_count(options), "rounds": rounds, "engines": rows}


def _print(result: dict[str, Any]) -> None:
    """Show one model's table."""
    print(f"{result['model']}: {result['threads']} threads, {result['rounds']} interleaved rounds")
    columns = ["engine", "version", "load_ms", "median_ms", "least_ms", "ratio", "greatest_difference"]
    print_table(columns, [[row[column] for column in columns] for row in result["engines"]])
    print()


def _repeats(peer: Peer, feeds: Mapping[str, Any], seconds: float) -> int:
    """Runs that fill `seconds`, found after warming up."""
    peer.run(feeds)
    return max(1, round(seconds / max(_time(peer, feeds, 1) * 1e-3, 1e-7)))


def _time(peer: Peer, feeds: Mapping[str, Any], repeats: int) -> float:
    """Milliseconds of a run, over `repeats` runs."""
    start = time.perf_counter()
    for _ in range(repeats):
        peer.run(feeds)
    return 1e3 * (time.perf_counter() - start) / repeats


def difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Greatest absolute difference of any two elements; infinite where counts, shapes or NaNs do not match."""
    if len(ours) != len(theirs):
        return float("inf")
    greatest = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if not isinstance(a, np.ndarray) or a.dtype.kind == "O":
            continue  # sequences and strings are not measured
        x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        if x.shape != y.shape or not np.array_equal(np.isnan(x), np.isnan(y)):
            return float("inf")
        differs = (x != y) & ~np.isnan(x)
        greatest = max(greatest, float(np.abs(x[differs] - y[differs]).max(initial=0.0)))
    return greatest
