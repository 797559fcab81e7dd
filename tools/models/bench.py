"""Time Diptych beside other engines on the models of this package, one line a model.

Every engine has a process of its own. They take turns in rounds, in an order that rotates, while the others wait. The
inputs are those met in use. A ratio is the median over the rounds of (Diptych's time / the peer's), `better_ratio` that
to whichever peer was the faster in the round, each with the interval in which it lies with 95 %. `roofline` is the
least time that the model's nodes could take on this machine (`diptych profile --help`), as a share of Diptych's. A peer
that cannot run a model leaves its cells empty and its error on standard error.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tools.models.feeds import Feeds
from tools.models.obtain import KNOWN, feeds_of, obtain
from tools.models.page import write_page
from tools.models.processes import Engine, Start, engine
from tools.models.ratios import ratios, summed_up
from tools.models.wheels import FetchError

import diptych
from diptych.cli.arguments import add_session_arguments, session_options
from diptych.cli.bench import add_timing_arguments, difference, peer_names
from diptych.cli.peers import EXACT, thread_count
from diptych.cli.tables import print_json, print_table, progress
from diptych.errors import InvalidInputError
from diptych.roofline import Roofline

HELP = "time Diptych beside other engines on the models"
USUAL = [
    *("resnet50", "mobilenet_v2", "efficientnet_b0", "yolov8n", "vit_small", "deit_tiny", "open_nsfw", "ddddocr_det"),
    *("ppocr_v4_det", "ppocr_v4_rec", "bert", "minilm_l6_v2", "magika", "gpt2_step", "llama_step", "smollm2"),
    *("bilstm_tagger", "lstm_stream", "dtln_1", "dtln_2", "eeg_seizure_a", "spindles_eeg", "caustic", "piper_voice"),
    *("resnet50_int8_qdq", "open_nsfw_int8_qdq", "minilm_l6_v2_int8", "smollm2_int8"),
    *("smollm2_int4", "smollm2_int4_qdq"),
]
PAUSE = 0.02  # seconds between two turns, in which the threads of the last engine stop looking for work


@dataclass
class Turns:
    """One engine, what it said of the model, and the milliseconds of a run in every round."""

    engine: Engine
    start: Start
    milliseconds: list[float] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `python -m tools.models bench`."""
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(KNOWN)}; none: {', '.join(USUAL)}")
    parser.add_argument("--small", action="store_true", help="small inputs and architectures, to try the command")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots, which needs nothing else")
    add_timing_arguments(parser, against="onnxruntime,openvino")
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Time every model asked for; 1 where one could not be had, or Diptych could not run it."""
    peers = peer_names(arguments.against)
    if arguments.rounds < 1:
        raise InvalidInputError(f"--rounds is {arguments.rounds}; expected at least 1")
    results, failed = [], 0
    for name in arguments.names:
        try:
            results.append(bench(name, peers, arguments))
        except (diptych.Error, FetchError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 1
    document = {"machine": machine(peers), "settings": settings(arguments), "results": results}
    if arguments.html:
        write_page(arguments.html, document)
    if arguments.json:
        print_json(document)
    else:
        columns = ["model", "diptych_ms", *(f"{peer}_ms" for peer in peers)]
        columns += [*(f"{peer}_ratio" for peer in peers), "better_ratio", "interval", "roofline"]
        columns += ["greatest_difference", "greatest_output"]
        print_table(columns, [_line(result, peers) for result in results])
    return failed


def machine(peers: Sequence[str]) -> dict[str, Any]:
    """What the times depend on besides the models."""
    return {
        "cpu": _cpu(),
        "usable_cpus": diptych.usable_cpus(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {
            name: _version(name) for name in ("diptych", "numpy", *(p for p in peers if p not in ("reference", EXACT)))
        },
    }


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """How it was measured, and when."""
    return {
        "threads": thread_count(session_options(arguments)),
        "isa": arguments.isa or diptych.available_isas()[-1],
        "rounds": arguments.rounds,
        "seconds_a_turn": arguments.seconds,
        "math": arguments.math or "exact",
        "quantized": arguments.quantized,
        "passes": not arguments.no_passes,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def bench(name: str, peers: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Time one model with all engines."""
    path, feeds = obtain(name, arguments.small), feeds_of(name, np.random.default_rng(0), arguments.small)
    path.read_bytes()  # so that no engine has to wait for the disk
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        turns = []
        for engine_name in ("diptych", *peers):
            process = stack.enter_context(engine(engine_name, path, feeds, arguments))
            try:
                turns.append(Turns(process, process.start()))
            except diptych.Error as error:
                if engine_name == "diptych":
                    raise
                print(f"{name}: {error}", file=sys.stderr)
                failures[engine_name] = str(error)
        _take_turns(name, turns, arguments)
        summary = _summary(turns)
    least = _least_ms(path, feeds, arguments)
    share = least / summary["engines"][0]["median_ms"]
    document = {"model": name, "bytes": path.stat().st_size, **summary}
    return {**document, "least_ms": least, "roofline": share, "failures": failures}


def _least_ms(path: Path, feeds: Feeds, arguments: argparse.Namespace) -> float:
    """Milliseconds that the model's nodes would take if each were as fast as the machine."""
    options = session_options(arguments)
    options.enable_profiling = True
    session = diptych.InferenceSession(path, options)
    session.run(None, feeds)
    roofline = Roofline.measure(session.isa, session.threads)
    return 1e3 * sum(roofline.least_seconds(event) for event in session.take_events())


def _take_turns(name: str, turns: Sequence[Turns], arguments: argparse.Namespace) -> None:
    """Fill in the times of every round."""
    repeats = []
    for turn in turns:
        turn.engine.time(1)
        repeats.append(max(1, round(arguments.seconds / max(turn.engine.time(1) * 1e-3, 1e-7))))
    try:
        for round_ in range(arguments.rounds):
            progress(f"{name}: round {round_ + 1} of {arguments.rounds}")
            for i in range(len(turns)):
                i = (i + round_) % len(turns)
                time.sleep(PAUSE)
                turns[i].milliseconds.append(turns[i].engine.time(repeats[i]))
    finally:
        progress("")


def _summary(turns: Sequence[Turns]) -> dict[str, Any]:
    """What one model's rounds say; the first engine is Diptych."""
    ours, *theirs = turns
    rows = []
    for turn in turns:
        ratio, interval = summed_up(ratios(ours.milliseconds, turn.milliseconds))
        row: dict[str, Any] = {
            "engine": turn.engine.name,
            "version": turn.start.version,
            "load_ms": turn.start.load_ms,
            "first_ms": turn.start.first_ms,
            "median_ms": median(turn.milliseconds),
            "least_ms": min(turn.milliseconds),
            "ratio": ratio,
            "interval": interval,
            "import_mb": turn.start.import_mb,
            "peak_mb": turn.engine.peak_mb(),
            "greatest_difference": difference(ours.start.answer, turn.start.answer),
            "milliseconds": turn.milliseconds,
        }
        rows.append(row)
    result: dict[str, Any] = {"engines": rows, "better_ratio": None, "interval": None, "greatest_difference": None}
    result["greatest_output"] = _greatest(ours.start.answer)
    if theirs:
        better = [min(times) for times in zip(*(turn.milliseconds for turn in theirs), strict=True)]
        result["better_ratio"], result["interval"] = summed_up(ratios(ours.milliseconds, better))
        result["greatest_difference"] = max(row["greatest_difference"] for row in rows)
    return result


def _greatest(answer: Sequence[Any]) -> float:
    """Greatest finite number of all outputs, beside which a difference is small or not."""
    tensors = [np.abs(y.astype(np.float64)) for y in answer if isinstance(y, np.ndarray) and y.dtype.kind in "biuf"]
    return max((float(y[np.isfinite(y)].max(initial=0.0)) for y in tensors), default=0.0)


def _line(result: dict[str, Any], peers: Sequence[str]) -> list[Any]:
    """Cells of one model's line; empty where a peer has failed."""
    rows = {row["engine"]: row for row in result["engines"]}
    cells = [result["model"], rows["diptych"]["median_ms"]]
    for column in ("median_ms", "ratio"):
        cells += [rows[peer][column] if peer in rows else "" for peer in peers]
    interval = "" if result["interval"] is None else "{:.3f}-{:.3f}".format(*result["interval"])
    together = (
        result["better_ratio"],
        interval,
        result["roofline"],
        result["greatest_difference"],
        result["greatest_output"],
    )
    return cells + ["" if value is None else value for value in together]


def _cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    """Version of an installed package, None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
