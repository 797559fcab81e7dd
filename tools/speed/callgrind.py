"""Instructions by valgrind's callgrind: the same in every run, however busy the machine. valgrind knows no AVX-512."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

__all__ = ["CallgrindError", "count_program", "count_runs", "has_callgrind"]

COUNTED = Path(__file__).with_name("counted.py")


class CallgrindError(RuntimeError):
    """valgrind ended otherwise than it should; the message has the end of what it printed."""


def has_callgrind() -> bool:
    """Whether valgrind is installed."""
    return shutil.which("valgrind") is not None


def count_program(command: Sequence[str], toggle: str = "", environment: Mapping[str, str] | None = None) -> int:
    """Instructions of a whole program, or of the functions whose name matches `toggle` with all that they call."""
    options = [f"--toggle-collect={toggle}"] if toggle else []
    done = _valgrind([*options, "--callgrind-out-file=/dev/null"], command, environment)
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if found is None:
        raise CallgrindError(f"callgrind printed no count: {done.stderr[-300:]}")
    return int(found.group(1))


def count_runs(
    panel: str,
    models: Sequence[tuple[bytes, Mapping[str, Any]]],
    *,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> list[int | None]:
    """Instructions of a second run of each model with its feeds on `panel`; None where it does not run.

    One process for all of them, since most of the time goes into importing. `environment` may have a PYTHONPATH of its
    own, so that another commit's panel is counted.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        for i, (content, feeds) in enumerate(models):
            (folder / f"{i}.onnx").write_bytes(content)
            (folder / f"{i}.pickle").write_bytes(pickle.dumps(dict(feeds)))
        options = ["--instr-atstart=no", f"--callgrind-out-file={folder / 'counts'}"]
        command = [python, str(COUNTED), panel, str(folder), str(len(models))]
        done = _valgrind(options, command, environment)
        ran = [int(word) for word in done.stdout.split()]
        counts = [_total(folder / f"counts.{turn}") for turn in range(1, len(ran) + 1)]
    found = dict(zip(ran, counts, strict=True))
    return [found.get(i) for i in range(len(models))]


def _valgrind(
    options: Sequence[str], command: Sequence[str], environment: Mapping[str, str] | None
) -> subprocess.CompletedProcess[str]:
    """Run a command under callgrind, with what would make counts differ from run to run switched off."""
    steady = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", *options, *command],
        env={**os.environ, **(environment or {}), **steady},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CallgrindError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-600:]}")
    return done


def _total(path: Path) -> int:
    """The total of a dump."""
    found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise CallgrindError(f"{path.name} has no total")
    return int(found.group(1))
