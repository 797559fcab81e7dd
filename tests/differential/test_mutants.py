"""Planted bugs in the engine, switched on one at a time: each must be caught by a check that finds nothing without it.

docs/mutants.md has the table. The engine is built once more, with the feature `mutants`, into .build/mutants; the
checks run in a process of their own, since a process can load but one engine (mutant_checks.py, beside this file).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.mutants, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
CHECKS = Path(__file__).with_name("mutant_checks.py")
SOURCE = (ROOT / "rust_core/kernels/src/mutant.rs").read_text(encoding="utf-8")
MUTANTS = re.findall(r'^    \w+ = "(\w+)",$', SOURCE, re.MULTILINE)


@pytest.fixture(scope="module")
def library() -> str:
    """Path of the engine with planted bugs, built now."""
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(ROOT / ".build/mutants"),
        "PYO3_PYTHON": sys.executable,
    }
    command = ["cargo", "build", "--release", "--package", "diptych-bindings", "--features", "mutants"]
    built = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    artifacts = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    files = [a["filenames"] for a in artifacts if a["reason"] == "compiler-artifact" and a["target"]["name"] == "_core"]
    (made,) = files
    return str(next(file for file in made if Path(file).suffix in (".so", ".dylib", ".dll")))


@pytest.fixture(scope="module")
def results(library: str) -> list[dict[str, Any]]:
    """What every check found: {"mutant", "check", "difference"}."""
    command = [sys.executable, str(CHECKS), library]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_checks_pass_without_a_mutant(results: list[dict[str, Any]]) -> None:
    plain = [result for result in results if result["mutant"] is None]
    assert plain
    assert not [result for result in plain if result["difference"]]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutant_is_caught(results: list[dict[str, Any]], mutant: str) -> None:
    (result,) = [result for result in results if result["mutant"] == mutant]
    assert result["difference"], f"{mutant} survived {result['check']}"


def test_every_mutant_is_documented() -> None:
    table = (ROOT / "docs/mutants.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == MUTANTS
