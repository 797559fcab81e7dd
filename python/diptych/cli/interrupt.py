"""Ctrl-C during a run: Python looks at signals only between its own steps, and a run of the engine is one step."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread
from typing import Any

import diptych

__all__ = ["run_interruptibly"]

LOOK = 0.05  # seconds between two looks at signals


def run_interruptibly(
    session: diptych.InferenceSession,
    names: list[str] | None,
    feeds: Mapping[str, Any],
    options: diptych.RunOptions | None = None,
) -> list[Any]:
    """`session.run` on a thread of its own; Ctrl-C ends the run and raises KeyboardInterrupt here."""
    run_options = diptych.RunOptions() if options is None else options
    results: list[list[Any]] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(session.run(names, feeds, run_options))
        except BaseException as error:  # raised again below, on the caller's thread
            errors.append(error)

    thread = Thread(target=run, name="diptych-run")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(LOOK)
    except KeyboardInterrupt:
        run_options.terminate = True
        thread.join()
        raise
    if errors:
        raise errors[0]
    return results[0]
