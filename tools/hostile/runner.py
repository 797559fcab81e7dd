"""Gives inputs to an engine in a process of its own, so that a crash, a hang or a flood of memory is seen and survived.

The worker (`python -m tools.hostile.runner ENGINE`) reads names of inputs, one a line, and answers each with a line
of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, Timer

from tools.hostile import ACCEPT, CASES, EITHER, REFUSE
from tools.hostile.engines import ENGINES

WATCHDOG = 60.0  # seconds after which an input counts as hung
# Bytes of resident memory that an input may cost. Diptych is told to hold a gigabyte; the input itself and Python come
# on top. The reference is told how large one value may be, and holds a few of them.
LIMITS = {"diptych": (1 << 30) + (256 << 20), "reference": 4 << 30}


@dataclass(frozen=True)
class Result:
    """What an engine made of an input: refused, accepted, untyped (an exception, but no refusal), crashed or hung."""

    engine: str
    name: str
    outcome: str
    message: str = ""
    seconds: float = 0.0
    peak: int = 0  # bytes of resident memory beyond what the process held before

    @property
    def problem(self) -> str:
        """What is wrong with that, "" if nothing is."""
        expected = CASES[self.name].expected
        allowed = {REFUSE: ("refused",), ACCEPT: ("accepted",), EITHER: ("refused", "accepted")}[expected]
        if self.outcome not in allowed:
            return f"{self.outcome}, expected to {expected}: {CASES[self.name].why}; {self.message}"
        return f"took {self.peak >> 20} MiB" if self.peak > LIMITS.get(self.engine, self.peak) else ""


def results(engine: str, names: Sequence[str]) -> Iterator[Result]:
    """The engine's answers, in order. A worker that dies or hangs is replaced."""
    left = list(names)
    while left:
        worker = subprocess.Popen(
            [sys.executable, "-m", __name__, engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # what it starts ends with it, and keeps no pipe open
        )
        Thread(target=end, args=[worker, True], daemon=True).start()
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdout.readline()  # it is ready
        while left:
            result = asked(worker, engine, left[0])
            left.pop(0)
            yield result
            if result.outcome in ("crashed", "hung"):
                break
        worker.stdin.close()
        end(worker)
        worker.wait()
        worker.stdout.close()


def asked(worker: subprocess.Popen[str], engine: str, name: str) -> Result:
    """The worker's answer to one input."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    start = time.monotonic()
    watchdog = Timer(WATCHDOG, end, [worker])
    watchdog.start()
    try:
        worker.stdin.write(name + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
    except BrokenPipeError:
        line = ""
    finally:
        watchdog.cancel()
    seconds = time.monotonic() - start
    if line:
        return Result(engine, name, seconds=seconds, **json.loads(line))
    if seconds >= WATCHDOG and worker.wait() == -signal.SIGKILL:
        return Result(engine, name, "hung", seconds=seconds)
    return Result(engine, name, "crashed", f"the process ended with {worker.wait()}", seconds)


def end(worker: subprocess.Popen[str], dead: bool = False) -> None:
    """End the worker and what it started; with `dead`, once it has ended by itself: else that keeps its pipes open."""
    if dead:
        worker.wait()
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def resident(field: str) -> int:
    """A field of this process's status in bytes: VmRSS is what it holds, VmHWM the most it held."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) << 10
    return 0


def answer(name: str, run: object, refusals: tuple[type[Exception], ...]) -> dict[str, object]:
    """Give one input to the engine."""
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        model = case.make(Path(folder))
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
        before = resident("VmRSS")
        try:
            run(model, case.feeds)  # type: ignore[operator]
            outcome, message = "accepted", ""
        except refusals as error:
            outcome, message = "refused", f"{type(error).__name__}: {error}"
        except Exception as error:
            outcome, message = "untyped", f"{type(error).__name__}: {error}"
        return {"outcome": outcome, "message": message[:500], "peak": max(0, resident("VmHWM") - before)}


def main() -> None:
    """Answer the names on standard input."""
    run, refusals = ENGINES[sys.argv[1]]()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.strip(), run, refusals)), flush=True)


if __name__ == "__main__":
    main()
