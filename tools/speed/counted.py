"""What callgrind counts: models from a folder on one panel, each once to warm up and once inside a call of Python's C API.

    python counted.py PANEL FOLDER COUNT

It prints the numbers of the models that ran. It knows nothing but the panel, so that any commit's panel will do.
"""

from __future__ import annotations

import ctypes
import gc
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

run: Callable[[], Any]


def prepared(panel: str, content: bytes) -> Any:
    """A session of the panel."""
    if panel == "reference":
        from diptych_reference import ReferenceSession

        return ReferenceSession(content)
    import diptych

    return diptych.InferenceSession(content, diptych.SessionOptions(threads=1))


def main(panel: str, folder: Path, count: int) -> None:
    """Run them all."""
    global run
    gc.disable()  # it would collect now in one run, now in another
    for i in range(count):
        feeds = pickle.loads((folder / f"{i}.pickle").read_bytes())
        try:
            session = prepared(panel, (folder / f"{i}.onnx").read_bytes())
            session.run(None, feeds)
        except Exception as error:  # an operator that an older commit lacks, whatever it says of it
            print(f"{i}: {error}", file=sys.stderr)
            continue
        run = lambda session=session, feeds=feeds: session.run(None, feeds)  # noqa: E731
        if ctypes.pythonapi.PyRun_SimpleString(b"run()"):
            raise SystemExit(f"model {i} ran once, but not twice")
        print(i, flush=True)
        gc.collect()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
