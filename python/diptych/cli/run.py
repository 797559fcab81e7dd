"""Run a model once and show its outputs."""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

import diptych
from diptych.cli.arguments import add_input_arguments, add_session_arguments, make_feeds, session_options
from diptych.cli.interrupt import run_interruptibly
from diptych.cli.tables import print_json, print_table

HELP = "run a model and show or save its outputs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych run`."""
    parser.add_argument("model", help="path of the ONNX file")
    parser.add_argument("--output", action="append", metavar="NAME", help="only this output (may be repeated)")
    parser.add_argument("--values", action="store_true", help="print the values, not only their summary")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save each output as FOLDER/NAME.npy")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this time")
    add_input_arguments(parser)
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the model, print the outputs."""
    session = diptych.InferenceSession(arguments.model, session_options(arguments))
    feeds = make_feeds(arguments, session.get_inputs())
    names = arguments.output or [output.name for output in session.get_outputs()]
    start = time.perf_counter()
    outputs = run_interruptibly(session, names, feeds, diptych.RunOptions(timeout=arguments.timeout))
    milliseconds = 1e3 * (time.perf_counter() - start)
    saved = _save(arguments.save, names, outputs) if arguments.save else {}
    described = [_describe(name, value) for name, value in zip(names, outputs, strict=True)]
    if arguments.json:
        for entry, value in zip(described, outputs, strict=True):
            entry.update({"values": value} if arguments.values else {}, **saved.get(entry["name"], {}))
        about = {"isa": session.isa, "math": session.math, "threads": session.threads}
        print_json({"outputs": described, "milliseconds": milliseconds, **about})
        return 0
    columns = ["output", "type", "shape", "least", "greatest", "mean"]
    print_table(columns, [[entry.get(column, "") for column in ("name", *columns[1:])] for entry in described])
    if arguments.values:
        for name, value in zip(names, outputs, strict=True):
            print(f"\n{name} =\n{value}")
    print(f"\n{milliseconds:.3f} ms ({session.isa}, {session.threads} threads, math {session.math})")
    return 0


def _describe(name: str, value: Any) -> dict[str, Any]:
    """Summary of one output."""
    if not isinstance(value, np.ndarray):
        kind = "none" if value is None else f"sequence of {len(value)}"
        return {"name": name, "type": kind, "shape": []}
    entry: dict[str, Any] = {"name": name, "type": value.dtype.name, "shape": list(value.shape)}
    if value.size and value.dtype.kind in "biufV":
        wide = value.astype(np.float64)
        entry |= {"least": float(wide.min()), "greatest": float(wide.max()), "mean": float(wide.mean())}
    return entry


def _save(folder: Path, names: list[str], outputs: list[Any]) -> dict[str, dict[str, str]]:
    """Write each array to a file of its own; names become file names without separators."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = {}
    for index, (name, value) in enumerate(zip(names, outputs, strict=True)):
        if isinstance(value, np.ndarray):
            stem = re.sub(r"[^\w.-]+", "_", name).strip(".") or f"output_{index}"
            file = folder / f"{stem}.npy"
            np.save(file, value)
            saved[name] = {"file": str(file)}
    return saved
