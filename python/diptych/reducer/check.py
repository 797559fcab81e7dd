"""The user's own question: a command or a Python function that says whether a candidate still fails."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import diptych_reference
from diptych.bundle import write_bundle
from diptych.errors import InvalidInputError
from diptych.reducer.candidate import Candidate
from diptych.reducer.failure import Failure
from diptych.reducer.trial import MAX_STEPS, MEMORY_LIMIT, Look
from diptych_reference import ReferenceSession

__all__ = ["CheckTrial", "load_check"]

Check = Callable[[Path, Mapping[str, Any]], Any]


class CheckTrial:
    """Asks a check. What it gives back is the signature: another text is another failure.

    `timeout` is in seconds and holds for commands. `demanding` refuses candidates that the reference does not run.
    """

    def __init__(self, spec: str, *, timeout: float = 60.0, demanding: bool = False) -> None:
        self.spec, self.timeout, self.demanding = spec, timeout, demanding
        self.check: Check = load_check(spec, timeout)
        self._folder = tempfile.TemporaryDirectory(prefix="diptych-reduce-")

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    def look(self, candidate: Candidate) -> Look:
        """Write the model into a file and ask."""
        known = self._with_expected(candidate) if self.demanding else candidate
        if known is None:
            return Look(candidate, valid=False)
        path = Path(self._folder.name) / "model.onnx"
        path.write_bytes(known.content)
        says = self.check(path, known.feeds)
        if not says:
            return Look(known)
        detail = says if isinstance(says, str) else ""
        return Look(known, Failure("check", detail=detail, message=detail or f"{self.spec} says so"))

    def _with_expected(self, candidate: Candidate) -> Candidate | None:
        """The candidate with what the reference gives; None where it refuses."""
        if candidate.expected is not None:
            return candidate
        try:
            session = ReferenceSession(candidate.model, memory_limit=MEMORY_LIMIT, max_steps=MAX_STEPS)
            with np.errstate(all="ignore"):
                return candidate.completed(session.run(None, candidate.feeds))
        except (diptych_reference.Error, MemoryError):
            return None


def load_check(spec: str, timeout: float = 60.0) -> Check:
    """The check that `spec` names: `module:function`, `file.py:function`, or a command.

    A function takes the path of a model and its inputs by name, and returns what is true where the failure is there; a
    text is its signature. A command gets the paths of model.onnx and inputs.npz as last arguments and exits with 0
    where the failure is there. Raises InvalidInputError where there is no such function.
    """
    where, colon, name = spec.rpartition(":")
    if not colon or not name.isidentifier() or any(c.isspace() for c in where):
        return _command(spec, timeout)
    module = _load(where, spec)
    function = getattr(module, name, None)
    if not callable(function):
        raise InvalidInputError(f"--check {spec!r}: {where} has no function {name!r}")
    found: Check = function
    return found


def _load(where: str, spec: str) -> ModuleType:
    """A module by its file or its name."""
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        found = importlib.util.spec_from_file_location(Path(where).stem, where)
        if found is None or found.loader is None or not Path(where).is_file():
            raise InvalidInputError(f"--check {spec!r}: there is no file {where}")
        module = importlib.util.module_from_spec(found)
        sys.modules[module.__name__] = module
        found.loader.exec_module(module)
        return module
    except (ImportError, SyntaxError) as error:
        raise InvalidInputError(f"--check {spec!r}: {error}") from error


def _command(spec: str, timeout: float) -> Check:
    """A command as a check."""
    try:
        words = shlex.split(spec)
    except ValueError as error:
        raise InvalidInputError(f"--check {spec!r}: {error}") from None

    def check(model: Path, feeds: Mapping[str, Any]) -> bool:
        inputs = model.with_name("inputs.npz")
        write_bundle(inputs, feeds)
        return run_command([*words, str(model), str(inputs)], timeout) == 0

    return check


def run_command(words: list[str], timeout: float) -> int | None:
    """Exit status of a command; None where it takes too long, and is killed with what it started."""
    try:
        process = subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise InvalidInputError(f"--check {words[0]!r}: {error.strerror or error}") from None
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
