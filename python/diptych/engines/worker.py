"""An engine in a process of its own, so that its death or its silence is an answer like any other.

    with Worker("onnxruntime", timeout=30) as worker:
        answer = worker.run(model, feeds)
        print(answer.kind, answer.outputs or answer.detail)

The process starts with the first run, and anew after one that crashed or hung. Models and values travel pickled over a
pair of pipes; what the engine prints goes to a file, the end of which tells of a crash.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from diptych.engines import Engine, Run, make_engine
from diptych.errors import InvalidInputError

__all__ = ["Answer", "Worker"]

START_SECONDS = 120.0  # an engine's package is imported within this time on a loaded machine
LAST_WORDS = 600  # bytes of what a process printed that a crash shows


@dataclass(frozen=True)
class Answer:
    """What came of one run.

    `kind` is "answered" (see `outputs`), "refused" (the engine says that it lacks something), "failed" (any other
    exception), "crashed" (the process died) or "hung" (it passed the deadline and was killed). `error` is the name of
    the exception or of the signal, `detail` a line for people; both are "" for an answer. `stage` is "prepare" or
    "run". `seconds` is the time from the question to the answer.
    """

    kind: str
    outputs: list[Any] = field(default_factory=list)
    error: str = ""
    detail: str = ""
    stage: str = "run"
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        """Whether there are outputs."""
        return self.kind == "answered"


class Worker:
    """Runs models on the engine that `spec` spells (see `make_engine`), one after another, in a process of its own.

    `timeout`: seconds that one run, with the loading of its model, may take; None: any. `memory_limit`: bytes of data
    that the process may hold (RLIMIT_DATA); None: any. Raises InvalidInputError at the first use where there is no such
    engine.
    """

    def __init__(
        self, spec: str, *, threads: int = 1, timeout: float | None = 60.0, memory_limit: int | None = None
    ) -> None:
        self.spec, self.threads, self.timeout, self.memory_limit = spec, threads, timeout, memory_limit
        self.started = 0  # processes so far
        self._name, self._version = "", ""
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._printed: IO[bytes] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def version(self) -> str:
        """Version of the engine."""
        self._ready()
        return self._version

    def run(self, model: bytes | Path, feeds: Mapping[str, Any], timeout: float | None = None) -> Answer:
        """Load and run a model; `timeout` instead of the worker's own, for this once.

        The process keeps the last model: the same bytes or path again are not loaded again.
        """
        pipe = self._ready()
        limit = self.timeout if timeout is None else timeout
        start = time.perf_counter()
        try:
            _send(pipe, (model, dict(feeds)))
            if not pipe.poll(limit):
                if self._process is not None and self._process.poll() is not None:
                    raise EOFError  # what the dead process had started holds the pipe open
                self.close()
                return Answer("hung", error="Timeout", detail=f"no answer within {limit:g} s", seconds=_since(start))
            kind, outputs, error, detail, stage = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):  # the other end is gone
            error, detail = self._bury()
            return Answer("crashed", error=error, detail=detail, seconds=_since(start))
        except BaseException:  # Ctrl-C: what the process says later is no answer to the next question
            self.close()
            raise
        return Answer(kind, outputs, error, detail, stage, _since(start))

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._kill(self._process)
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
        if self._pipe is not None:
            self._pipe.close()
        if self._printed is not None:
            self._printed.close()
        self._process = self._pipe = self._printed = None

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """End the process and what it started, which is in its session."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _ready(self) -> Connection[Any, Any]:
        """The pipe to a process that waits for a question."""
        if self._pipe is None:
            self._pipe = self._start()
            try:
                if not self._pipe.poll(START_SECONDS):
                    raise InvalidInputError(f"engine {self.spec!r} did not start within {START_SECONDS:g} s")
                problem, self._name, self._version = pickle.loads(self._pipe.recv_bytes())
            except (EOFError, OSError):
                raise InvalidInputError(f"engine {self.spec!r} did not start: {self._bury()[1]}") from None
            except BaseException:
                self.close()
                raise
            if problem:
                self.close()
                raise InvalidInputError(problem)
        return self._pipe

    def _start(self) -> Connection[Any, Any]:
        """Start a process; it finds modules where this one does."""
        to_child, from_child = os.pipe(), os.pipe()
        mine, theirs = (from_child[0], to_child[1]), (to_child[0], from_child[1])
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", "from diptych.engines.worker import serve; serve()"]
        arguments = [self.spec, str(self.threads), str(self.memory_limit or 0), *map(str, theirs)]
        try:
            self._process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.PIPE,  # nothing is written: it is the process's lifeline
                stdout=self._printed,
                stderr=self._printed,
                env=environment,
                pass_fds=theirs,
                start_new_session=True,  # Ctrl-C is for the parent
            )
        finally:
            for end in theirs:
                os.close(end)
        self.started += 1
        return _Duplex(*mine)

    def _bury(self) -> tuple[str, str]:
        """Name and account of the death of the process."""
        assert self._process is not None
        assert self._printed is not None
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:  # it closed its pipe and lives on
            self._kill(self._process)
            status = self._process.wait()
        end = self._printed.seek(0, os.SEEK_END)
        self._printed.seek(max(0, end - LAST_WORDS))
        words = " ".join(self._printed.read().decode(errors="replace").split())
        self.close()
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return name, f"the process died: {name}{': ' if words else ''}{words}"


class _Duplex(Connection):
    """Two pipes as one connection: reads from the first, writes to the second."""

    def __init__(self, read: int, write: int) -> None:
        super().__init__(read, writable=False)
        self._out = Connection(write, readable=False)

    def send_bytes(self, *arguments: Any) -> None:
        """Write to the second."""
        self._out.send_bytes(*arguments)

    def close(self) -> None:
        """Close both."""
        super().close()
        self._out.close()


def _send(pipe: Any, message: Any) -> None:
    """Pickle and write."""
    pipe.send_bytes(_pickled(message))


def _pickled(message: Any) -> bytes:
    """A message as it travels."""
    return pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)


def _since(start: float) -> float:
    """Seconds."""
    return time.perf_counter() - start


def serve() -> None:
    """What the process does: say who it is, then answer questions until the pipe closes."""
    spec, threads, memory_limit, read, write = sys.argv[-5:]
    _die_with_parent()
    if int(memory_limit):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (int(memory_limit), int(memory_limit)))
    pipe = _Duplex(int(read), int(write))
    try:
        engine = make_engine(spec, int(threads))
        _send(pipe, ("", engine.name, engine.version))
    except InvalidInputError as error:
        _send(pipe, (str(error), "", ""))
        return
    loaded: tuple[bytes | Path | None, Run | None] = (None, None)
    while True:
        try:
            model, feeds = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        run, reply = _answer(engine, model, loaded[1] if loaded[0] == model else None, feeds)
        loaded = (model, run)
        pipe.send_bytes(reply)


def _answer(engine: Engine, model: bytes | Path, run: Run | None, feeds: Mapping[str, Any]) -> tuple[Run | None, bytes]:
    """The loaded model, None where it does not load, and the reply."""
    stage = "prepare"
    try:
        run = run or engine.prepare(model)
        stage = "run"
        return run, _pickled(("answered", list(run(feeds)), "", "", stage))
    except engine.unsupported as error:
        return run, _pickled(("refused", [], type(error).__name__, _line(error), stage))
    except Exception as error:  # whatever it raises is its answer, and so is a value that cannot travel
        return run, _pickled(("failed", [], type(error).__name__, _line(error), stage))


def _line(error: Exception) -> str:
    """An exception's text in one line."""
    return " ".join(str(error).split())[:2000]


def _die_with_parent() -> None:
    """End at once when the pipe that is standard input breaks: SIGIO does so even in the middle of a run (Linux)."""
    if hasattr(fcntl, "F_SETOWN") and hasattr(os, "O_ASYNC"):
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
