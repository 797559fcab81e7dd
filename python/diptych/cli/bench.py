"""Time a model, alone or beside other engines.

The engines take turns in rounds of one process, in an order that rotates, so that a busy machine slows all of them.
Shown are the median time of a run, the least, and the median over the rounds of (Diptych's time / the peer's time):
below 1 Diptych is faster. Outputs are compared once, since a fast wrong answer is no answer.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

import diptych
from diptych.cli.arguments import add_input_arguments, add_session_arguments, make_feeds, session_options
from diptych.cli.peers import PEERS, Peer, load_peer
from diptych.cli.tables import print_json, print_table, progress
from diptych.errors import InvalidInputError

HELP = "time a model, beside other engines with --against"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych bench`."""
    parser.add_argument("model", nargs="+", help="paths of ONNX files")
    parser.add_argument("--against", default="", metavar="PEERS", help=f"comma-separated, of {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="rounds of every engine (default 20)")
    parser.add_argument(
        "--seconds", type=float, default=0.05, metavar="S", help="least time of one engine in a round (default 0.05)"
    )
    add_input_arguments(parser)
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Time every model and print its table."""
    if arguments.rounds < 1:
        raise InvalidInputError(f"--rounds is {arguments.rounds}; expected at least 1")
    results = []
    for model in arguments.model:
        result = bench(model, arguments)
        results.append(result)
        if not arguments.json:
            _print(result)
    if arguments.json:
        print_json(results)
    return 0


def bench(model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Time one model on all engines that were asked for."""
    options = session_options(arguments)
    names = ["diptych", *(name.strip() for name in arguments.against.split(",") if name.strip())]
    peers = [load_peer(name, model, options) for name in names]
    feeds = make_feeds(arguments, diptych.InferenceSession(model, options).get_inputs())
    outputs = [peer.run(feeds) for peer in peers]
    repeats = [_repeats(peer, feeds, arguments.seconds) for peer in peers]
    times: list[list[float]] = [[] for _ in peers]
    gc.disable()
    try:
        for round_ in range(arguments.rounds):
            progress(f"{model}: round {round_ + 1} of {arguments.rounds}")
            for turn in range(len(peers)):
                i = (turn + round_) % len(peers)
                times[i].append(_time(peers[i], feeds, repeats[i]))
    finally:
        gc.enable()
        progress("")
    rows = [
        {
            "engine": peer.name,
            "version": peer.version,
            "load_ms": peer.load_milliseconds,
            "median_ms": median(own),
            "least_ms": min(own),
            "ratio": median(ours / theirs for ours, theirs in zip(times[0], own, strict=True)),
            "greatest_difference": _difference(outputs[0], output),
        }
        for peer, own, output in zip(peers, times, outputs, strict=True)
    ]
    threads = arguments.threads or diptych.usable_cpus()
    return {"model": model, "threads": threads, "rounds": arguments.rounds, "engines": rows}


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


def _difference(ours: list[Any], theirs: list[Any]) -> float:
    """Greatest absolute difference of any two elements; infinite where shapes or NaNs do not match."""
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
