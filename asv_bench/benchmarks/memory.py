"""The peak of a process's memory around one call, from Linux' own counters."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_of(call: Callable[[], Any]) -> int:
    """Bytes of resident memory that `call` needed at most beyond what there was before it."""
    RESET.write_text("5")  # sets the high-water mark to what is resident now
    before = _status("VmHWM")
    kept = call()
    peak = _status("VmHWM")
    del kept
    return peak - before


def _status(name: str) -> int:
    """One of the process's sizes, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{STATUS} has no {name}")
    return int(found.group(1)) * 1024
