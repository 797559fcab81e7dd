"""Recorded events as a file that chrome://tracing and https://ui.perfetto.dev show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_trace"]


def write_trace(path: str | os.PathLike[str], events: Iterable[Mapping[str, Any]]) -> None:
    """Write events of `InferenceSession.take_events` in the Trace Event Format: one complete event a node."""
    complete = [
        {
            "name": event["name"] or event["op_type"],
            "cat": event["op_type"],
            "ph": "X",
            "ts": event["start_us"],
            "dur": event["duration_us"],
            "pid": os.getpid(),
            "tid": 0,
            "args": {"op_type": event["op_type"], "graph": event["graph"], "bytes": event["bytes"]},
        }
        for event in events
    ]
    Path(path).write_text(json.dumps({"traceEvents": complete, "displayTimeUnit": "ms"}), encoding="utf-8")
