"""The backend suite on both panels and their peers: counts by kind of case.

    python -m tests.conformance                                          both panels
    python -m tests.conformance --panels engine,onnxruntime,openvino     others, if they are installed
    python -m tests.conformance --panels onnxruntime --only test_gru --verbose

Each panel runs in a process of its own; one that dies or hangs over a case fails it, and the next case gets a new one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from threading import Timer

from .peers import PANELS
from .suite import KINDS, cases, judge

WATCHDOG = 300.0  # seconds a case may take
SEVEN_KINDS = (*KINDS, "all")


def main() -> int:
    """Run the suite and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panels", default="engine,reference", help=f"some of {', '.join(PANELS)}")
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--verbose", action="store_true", help="print every case that did not pass")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.worker)
    panels = arguments.panels.split(",")
    if unknown := sorted(set(panels) - set(PANELS)):
        parser.error(f"no panel {unknown}; there are: {', '.join(PANELS)}")
    names = [case.name for case in cases() if arguments.only in case.name]
    if not names:
        parser.error(f"no case's name contains {arguments.only!r}")
    kinds = {case.name: case.kind for case in cases()}
    print(f"{'panel':16}{'outcome':14}" + "".join(f"{kind:>20}" for kind in SEVEN_KINDS))
    for panel in panels:
        count: Counter[tuple[str, str]] = Counter()
        for name, outcome, detail in outcomes(panel, names):
            count.update([(outcome, kinds[name]), (outcome, "all")])
            if arguments.verbose and outcome != "passed":
                print(f"  {panel} {name}: {outcome}: {detail[:300]}", flush=True)
        for outcome in sorted({outcome for outcome, _ in count}, key=["passed", "failed", "unsupported"].index):
            print(
                f"{panel:16}{outcome:14}" + "".join(f"{count[outcome, kind]:>20}" for kind in SEVEN_KINDS), flush=True
            )
    return 0


def outcomes(panel: str, names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Name, outcome and detail of each case."""
    left = list(names)
    while left:
        command = [sys.executable, "-m", "tests.conformance", "--worker", panel]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ) as worker:
            assert worker.stdin is not None
            assert worker.stdout is not None
            if worker.stdout.readline() != "ready\n":
                raise SystemExit(f"{panel} does not start; is it installed?")
            while left:
                watchdog = Timer(WATCHDOG, end, [worker])
                watchdog.start()
                try:
                    worker.stdin.write(left[0] + "\n")
                    worker.stdin.flush()
                    line = worker.stdout.readline()
                except BrokenPipeError:
                    line = ""
                watchdog.cancel()
                outcome, detail = json.loads(line) if line else ("failed", "the process died, or took too long")
                yield left.pop(0), outcome, detail
                if not line:
                    break
            end(worker)


def end(worker: subprocess.Popen[str]) -> None:
    """End the worker and what it started, which would keep its pipes open."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def work(name: str) -> int:
    """Judge the cases whose names come in on standard input."""
    panel = PANELS[name]()
    by_name = {case.name: case for case in cases()}
    print("ready", flush=True)
    for line in sys.stdin:
        result = judge(panel, by_name[line.strip()])
        print(json.dumps([result.outcome, result.detail]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
