"""How much there is of a checkout: lines of each part, operators and their versions on the left panel, tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["lines_of_parts", "registered"]

PARTS = {
    "reference": ("reference", "*.py"),
    "kernels": ("rust_core/kernels/src", "*.rs"),
    "engine": ("rust_core/engine/src", "*.rs"),
    "tests": ("tests", "*.py"),
}
COUNT = """
import json, diptych_reference
versions = [len(found) for found in diptych_reference.registry.values()]
print(json.dumps({"operators": len(versions), "operator_versions": sum(versions)}))
"""


def lines_of_parts(folder: Path) -> dict[str, int]:
    """Lines of each part of a checkout."""
    return {f"{name}_lines": lines(folder / where, pattern) for name, (where, pattern) in PARTS.items()}


def registered(folder: Path) -> dict[str, int]:
    """Operators of a checkout's left panel, and their versions."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "reference")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def lines(folder: Path, pattern: str) -> int:
    """Lines of all files below a folder whose names match."""
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob(pattern))
