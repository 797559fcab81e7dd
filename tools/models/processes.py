"""One engine in a process of its own, which loads a model and runs it when it is told to.

So engines share neither a heap nor threads, and the greatest memory of each is its own.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.models.feeds import Feeds

from diptych.cli.arguments import session_options
from diptych.cli.peers import Peer, first_answer, load_peer
from diptych.errors import Error

CONTEXT: Any = multiprocessing.get_context("spawn")
PATIENCE = 5.0  # seconds for a process to end


@dataclass(frozen=True)
class Start:
    """What an engine said of a model: how it loaded and ran it for the first time, and its answer."""

    version: str
    load_ms: float
    first_ms: float
    import_mb: float
    answer: list[Any]


class Engine:
    """The parent's end: each method waits for the answer; Error where the engine fails or its process has ended."""

    def __init__(self, name: str, connection: Any, process: Any) -> None:
        self.name, self._connection, self._process = name, connection, process

    def start(self) -> Start:
        """Load the model and run it once."""
        return Start(**self._ask("start"))

    def time(self, repeats: int) -> float:
        """Milliseconds of a run, over `repeats` of them."""
        return float(self._ask("time", repeats))

    def peak_mb(self) -> float:
        """Greatest memory of the process so far."""
        return float(self._ask("peak_mb"))

    def _ask(self, *message: Any) -> Any:
        try:
            self._connection.send(message)
            failure, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(PATIENCE)
            code = getattr(self._process, "exitcode", None)
            raise Error(f"{self.name}: its process has ended with exit code {code}") from error
        if failure:
            raise Error(failure)
        return answer


@contextmanager
def engine(name: str, path: Path, feeds: Feeds, arguments: argparse.Namespace) -> Iterator[Engine]:
    """A process of the engine `name`, which ends with the block. `arguments` hold the options of a session."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=serve, args=(theirs, name, str(path), feeds, arguments))
    process.daemon = True
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    try:
        yield Engine(name, ours, process)
    finally:
        with suppress(OSError):  # it may have ended already
            ours.send(("end",))
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
        ours.close()


def serve(connection: Any, name: str, path: str, feeds: Feeds, arguments: argparse.Namespace) -> None:
    """The other end: answer (failure, answer) to each message until one says "end"."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it as well, and ends this process
    worker = _Worker(name, path, feeds, arguments)
    while True:
        try:
            method, *values = connection.recv()
        except EOFError:  # the parent is gone
            return
        if method == "end":
            return
        try:
            reply = ("", getattr(worker, method)(*values))
        except Error as error:
            reply = (str(error), None)
        except Exception as error:  # whatever it is, the parent waits for an answer
            reply = (f"{name}: {type(error).__name__}: {error}", None)
        connection.send(reply)


class _Worker:
    """The engine and its model."""

    def __init__(self, name: str, path: str, feeds: Feeds, arguments: argparse.Namespace) -> None:
        self.name, self.path, self.feeds, self.arguments = name, path, feeds, arguments
        self.peer: Peer

    def start(self) -> dict[str, Any]:
        """See `Start`; the import of the engine's package is not timed."""
        if self.name in ("onnxruntime", "openvino"):
            with suppress(ModuleNotFoundError):  # load_peer says so
                __import__(self.name)
        before = memory_mb("VmRSS")
        self.peer = load_peer(self.name, self.path, session_options(self.arguments))
        start = time.perf_counter()
        answer = first_answer(self.peer, self.feeds)
        return {
            "version": self.peer.version,
            "load_ms": self.peer.load_milliseconds,
            "first_ms": 1e3 * (time.perf_counter() - start),
            "import_mb": before,
            "answer": answer,
        }

    def time(self, repeats: int) -> float:
        """Milliseconds of a run, without collections of garbage."""
        run, feeds = self.peer.run, self.feeds
        gc.disable()
        try:
            start = time.perf_counter()
            for _ in range(repeats):
                run(feeds)
            return 1e3 * (time.perf_counter() - start) / repeats
        finally:
            gc.enable()

    def peak_mb(self) -> float:
        """Greatest resident memory."""
        return memory_mb("VmHWM")


def memory_mb(field: str) -> float:
    """A field of /proc/self/status in MB; where there is no such file, the greatest resident memory.

    getrusage alone would not do: what it gives for a new process is at least what its parent had.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
