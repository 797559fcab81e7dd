"""The repro: model.onnx, inputs.npz and test_repro.py, which needs onnx, NumPy and the engine, and nothing of Diptych.

The test holds what is right as literals where that is short, and in expected.npz where it is not. It fails as long as
the failure is there, under pytest and as a script.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import onnx

from diptych.bundle import write_bundle
from diptych.errors import Error
from diptych.reducer.reduction import Reduction
from diptych.reducer.repro_text import repro_text
from diptych.reducer.rightness import rightness

__all__ = ["Repro", "write_repro"]

START_SECONDS = 120.0  # for an engine's package to be imported


@dataclass(frozen=True)
class Repro:
    """A repro on disk. `fails` says that its test was run and failed as it must; `said` is the last it printed."""

    folder: Path
    files: tuple[str, ...]
    fails: bool
    said: str = ""


def write_repro(reduction: Reduction, folder: str | os.PathLike[str], *, hang_after: float = 10.0) -> Repro:
    """Write the files of a reduction into a folder, which is made, and run the test once.

    `hang_after`: seconds after which the test takes a run for hung. Files of an earlier repro are replaced.
    """
    out = Path(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Error(f"--out {out}: {error.strerror or error}") from error
    _write_model(reduction, out / "model.onnx")
    write_bundle(out / "inputs.npz", reduction.feeds)
    right = rightness(reduction)
    files = ["model.onnx", "inputs.npz", "test_repro.py"]
    (out / "expected.npz").unlink(missing_ok=True)
    if right.stored:
        write_bundle(out / "expected.npz", right.stored)
        files.insert(2, "expected.npz")
    (out / "test_repro.py").write_text(repro_text(reduction, right, hang_after), encoding="utf-8")
    fails, said = _fails(reduction, out, hang_after)
    return Repro(out, tuple(files), fails, said)


def _write_model(reduction: Reduction, path: Path) -> None:
    """The model; its tensors in a file beside it where one message does not hold them."""
    candidate = reduction.candidate
    model = onnx.load(candidate.path) if candidate.path is not None else candidate.model
    try:
        onnx.save(model, path)
    except ValueError:  # more than 2 GiB
        onnx.save(model, path, save_as_external_data=True, location="model.onnx.data")


def _fails(reduction: Reduction, folder: Path, hang_after: float) -> tuple[bool, str]:
    """Whether the test fails as it must, and the last that it says."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "test_repro.py"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=START_SECONDS + 2 * hang_after,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, "it does not end"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    said = lines[-1] if lines else ""
    kind = reduction.failure.kind
    must = reduction.failure.detail.partition(":")[0] if kind in ("error", "refused") else "AssertionError"
    raised = any(line.partition(":")[0].rpartition(".")[2] == must for line in lines)
    return done.returncode != 0 and raised, said
