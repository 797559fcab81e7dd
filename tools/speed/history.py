"""Count every landing of the repository, and keep the counts in docs/speed/history.json.

Counted are the instructions of the kernels (by each commit's own rust_core/kernels/examples/instruction_count.rs
built in one target directory), those of the left panel on cases of asv_bench's table, lines and operators. Times are
not: they would tell of the machine. What is there already is not counted again, so that a run that was ended goes on
where it stopped; commits whose kernels do not build are skipped, with what cargo said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asv_bench.benchmarks.cases import CASES
from tools.speed.callgrind import CallgrindError, count_program, count_runs, has_callgrind
from tools.speed.landings import ROOT, Landing, git, landings, tree_key
from tools.speed.sizes import lines_of_parts, registered

__all__ = ["HISTORY", "add_arguments", "read_history", "run"]

HISTORY = ROOT / "docs" / "speed" / "history.json"
STORE = ROOT / ".history"  # the checkout, the target directory and what was built
KERNELS = ("rust_core/kernels", "Cargo.toml", "Cargo.lock", ".cargo")
REFERENCE = ("reference/diptych_reference",)
BUILD_SECONDS = 3600

# One case of each kind that was there from the beginning.
COUNTED = (
    *("Relu: states", "Add: row", "Cast: float16", "MatMul: 64^3", "Gemm: 32x64x64", "Conv: small 3x3"),
    *("Resize: linear by 2", "LayerNormalization: states", "ReduceMean: last axis", "QuantizeLinear: states"),
    *("Transpose: heads", "Gather: rows of an embedding"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `python -m tools.speed history`."""
    parser.add_argument("--head", default="HEAD", help="the newest commit to count (default: HEAD)")
    parser.add_argument("--last", type=int, metavar="N", help="only the N newest landings (default: all)")
    parser.add_argument("--no-build", action="store_true", help="count only kernels that were built before")
    parser.add_argument("--sizes-only", action="store_true", help="lines and operators alone, which takes a minute")
    parser.add_argument("--keep", type=Path, default=HISTORY, metavar="FILE", help="default: docs/speed/history.json")


def read_history(path: Path = HISTORY) -> dict[str, Any]:
    """What was counted; nothing where there is no file."""
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    return {"landings": [], "registered": {}, "kernels": {}, "reference": {}, "failures": {}}


def run(arguments: argparse.Namespace) -> int:
    """Count what is missing, newest landings first, and write the file after each."""
    if not has_callgrind() and not arguments.sizes_only:
        print("tools.speed history: valgrind is not installed; `apt-get install valgrind`", file=sys.stderr)
        return 2
    history = read_history(arguments.keep)
    chosen = landings(arguments.head)[-(arguments.last or 0) :]
    with checkout() as folder:
        for number, landing in enumerate(reversed(chosen), 1):
            print(f"[{number}/{len(chosen)}] {landing.commit[:10]} {landing.subject}", file=sys.stderr, flush=True)
            git("checkout", "--quiet", "--force", landing.commit, where=folder)
            size_up(landing, folder, history)
            if not arguments.sizes_only:
                count(landing, folder, history, build=not arguments.no_build)
            write(history, arguments.keep)
    return 0


def size_up(landing: Landing, folder: Path, history: dict[str, Any]) -> None:
    """Enter a landing, checked out in `folder`, with its lines and operators."""
    reference = tree_key(landing.commit, REFERENCE)
    if reference not in history["registered"]:
        history["registered"][reference] = registered(folder)
    entry = {
        "commit": landing.commit,
        "time": landing.time,
        "subject": landing.subject,
        "kernels": tree_key(landing.commit, KERNELS),
        "reference": reference,
        "sizes": {**lines_of_parts(folder), **history["registered"][reference]},
    }
    others = [other for other in history["landings"] if other["commit"] != landing.commit]
    history["landings"] = sorted([*others, entry], key=lambda found: found["time"])


def count(landing: Landing, folder: Path, history: dict[str, Any], build: bool) -> None:
    """Count one landing; equal trees share their counts."""
    kernels, reference = tree_key(landing.commit, KERNELS), tree_key(landing.commit, REFERENCE)
    if kernels not in history["kernels"]:
        binary = binary_of(kernels, folder, history["failures"], build)
        if binary is not None:
            print(f"    kernels {kernels}", file=sys.stderr, flush=True)
            history["kernels"][kernels] = count_kernels(binary)
            history["failures"].pop(kernels, None)
    if reference not in history["reference"]:
        print(f"    reference {reference}", file=sys.stderr, flush=True)
        history["reference"][reference] = count_reference(folder)


def binary_of(key: str, folder: Path, failures: dict[str, str], build: bool) -> Path | None:
    """The commit's counting program, built if need be; None where it does not build."""
    binary = STORE / "binaries" / key
    if binary.is_file() or not build:
        return binary if binary.is_file() else None
    print("    cargo build …", file=sys.stderr, flush=True)
    target = STORE / "target"
    command = [
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--package",
        "diptych-kernels",
        "--example",
        "instruction_count",
    ]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    try:
        subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS
        )
    except subprocess.CalledProcessError as error:
        failures[key] = error.stderr.strip()[-300:]
        print(f"    skipped, it does not build: {failures[key]}", file=sys.stderr)
        return None
    except subprocess.TimeoutExpired:
        failures[key] = f"cargo took more than {BUILD_SECONDS} s"
        print(f"    skipped: {failures[key]}", file=sys.stderr)
        return None
    binary.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(target / "release" / "examples" / "instruction_count", binary)
    return binary


def count_kernels(binary: Path) -> dict[str, int]:
    """Instructions of each kernel that the program knows, with AVX2."""
    names = subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout.split()
    return {name: count_program([str(binary), name], toggle="*measured*") for name in names}


def count_reference(folder: Path) -> dict[str, int]:
    """Instructions of the left panel of a checkout on the cases of `COUNTED`, less those that it cannot run."""
    models = [(CASES[name].model().SerializeToString(), CASES[name].feeds()) for name in COUNTED]
    try:
        counts = count_runs("reference", models, environment={"PYTHONPATH": str(folder / "reference")})
    except CallgrindError as error:
        print(f"    the reference was not counted: {error}", file=sys.stderr)
        return {}
    return {name: found for name, found in zip(COUNTED, counts, strict=True) if found is not None}


@contextmanager
def checkout() -> Iterator[Path]:
    """A clone of the repository that shares its objects and is this tool's own."""
    folder = STORE / "checkout"
    if not folder.is_dir():
        STORE.mkdir(parents=True, exist_ok=True)
        git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(folder))
    yield folder


def write(history: dict[str, Any], path: Path) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(history, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
