"""Time Diptych beside other engines on the models of this package, one line a model, as `diptych bench` times any file.

The inputs are those met in use. `better_ratio` is the median over the rounds of (Diptych's time / that of the faster
peer in the round). A peer that cannot run a model leaves its cells empty and its error on standard error.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from tools.models.obtain import KNOWN, feeds_of, obtain
from tools.models.wheels import FetchError

import diptych
from diptych.cli.arguments import add_session_arguments, session_options
from diptych.cli.bench import add_timing_arguments, measure, peer_names, ratio, report
from diptych.cli.tables import print_json, print_table

HELP = "time Diptych beside other engines on the models"
USUAL = [
    *("resnet50", "mobilenet_v2", "efficientnet_b0", "yolov8n", "vit_small", "deit_tiny", "open_nsfw", "ddddocr_det"),
    *("ppocr_v4_det", "ppocr_v4_rec", "bert", "minilm_l6_v2", "magika", "gpt2_step", "llama_step", "smollm2"),
    *("bilstm_tagger", "lstm_stream", "dtln_1", "dtln_2", "eeg_seizure_a", "spindles_eeg", "caustic", "piper_voice"),
    *("resnet50_int8_qdq", "open_nsfw_int8_qdq", "minilm_l6_v2_int8", "smollm2_int8"),
    *("smollm2_int4", "smollm2_int4_qdq"),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `python -m tools.models bench`."""
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(KNOWN)}; none: {', '.join(USUAL)}")
    parser.add_argument("--small", action="store_true", help="small inputs and architectures, to try the command")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    add_timing_arguments(parser, against="onnxruntime,openvino")
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Time every model asked for; 1 where one could not be had, or Diptych could not run it."""
    peers = peer_names(arguments.against)
    results, failed = [], 0
    for name in arguments.names:
        try:
            results.append(bench(name, peers, arguments))
        except (diptych.Error, FetchError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 1
    if arguments.json:
        print_json(results)
    else:
        columns = ["model", "threads", "diptych_ms", *(f"{peer}_ms" for peer in peers)]
        columns += [*(f"{peer}_ratio" for peer in peers), "better_ratio", "greatest_difference"]
        print_table(columns, [_line(result, peers) for result in results])
    return failed


def bench(name: str, peers: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Time one model: the report of `diptych bench` with what is said of all peers together."""
    path, feeds = obtain(name, arguments.small), feeds_of(name, np.random.default_rng(0), arguments.small)
    options = session_options(arguments)
    failures: dict[str, str] = {}

    def on_failure(peer: str, error: diptych.Error) -> None:
        print(f"{name}: {error}", file=sys.stderr)
        failures[peer] = str(error)

    ours, *theirs = measure(str(path), feeds, peers, options, arguments.rounds, arguments.seconds, on_failure)
    result = report(name, options, [ours, *theirs])
    better = [min(times) for times in zip(*(peer.milliseconds for peer in theirs), strict=True)]
    result["better_ratio"] = ratio(ours.milliseconds, better) if theirs else None
    result["greatest_difference"] = max(row["greatest_difference"] for row in result["engines"]) if theirs else None
    result["failures"] = failures
    return result


def _line(result: dict[str, Any], peers: list[str]) -> list[Any]:
    """Cells of one model's line; empty where a peer has failed."""
    rows = {row["engine"]: row for row in result["engines"]}
    cells = [result["model"], result["threads"], rows["diptych"]["median_ms"]]
    for column in ("median_ms", "ratio"):
        cells += [rows[peer][column] if peer in rows else "" for peer in peers]
    together = (result["better_ratio"], result["greatest_difference"])
    return cells + ["" if value is None else value for value in together]
