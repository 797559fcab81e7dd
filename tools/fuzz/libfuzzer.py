"""cargo-fuzz and the targets that it builds: installed, built and run from here, all of it below target/."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "rust_core" / "fuzz"
CORPUS = FUZZ / "corpus"  # checked in: small, what reaches most of the code
WORK = ROOT / "target" / "fuzz"
TARGETS = ("read", "run")
VERSION = "0.13.2"
TRIPLE = "x86_64-unknown-linux-gnu"

# Memory of the whole process in MiB (a run may hold 64 of values), and seconds that one input may take.
RSS, SECONDS_EACH = 2048, 20


class FuzzError(Exception):
    """A tool could not be had, or a target not be built."""


def environment() -> dict[str, str]:
    """For cargo: sanitizers are unstable options, which the machine's stable toolchain has all the same."""
    return {**os.environ, "RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": "--cfg diptych_one_isa"}


def cargo_fuzz() -> Path:
    """cargo-fuzz, installed below target/ where it is not there yet."""
    program = WORK / "tools" / "bin" / "cargo-fuzz"
    if not program.is_file():
        command = ["cargo", "install", "--quiet", f"cargo-fuzz@{VERSION}", "--root", str(WORK / "tools")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FuzzError(f"cargo-fuzz {VERSION} cannot be installed: {done.stderr.strip()[-500:]}")
    return program


def build() -> None:
    """Build all targets. The first time takes about ten minutes."""
    command = [str(cargo_fuzz()), "fuzz", "build", "--fuzz-dir", str(FUZZ), "--target-dir", str(WORK)]
    done = subprocess.run(command, cwd=FUZZ, env=environment(), check=False)
    if done.returncode:
        raise FuzzError("the fuzz targets do not build")


def program_of(target: str) -> Path:
    """The instrumented program of a target."""
    return WORK / TRIPLE / "release" / target


def run(target: str, seconds: int, *, seeds: Path | None = None, findings: Path | None = None) -> int:
    """Fuzz for `seconds`; return libFuzzer's exit status, 0 where nothing was found.

    What reaches new code goes to target/fuzz/corpus, inputs that fail to `findings`.
    """
    grown = WORK / "corpus" / target
    findings = findings or WORK / "findings" / target
    for folder in (grown, findings, CORPUS / target):
        folder.mkdir(parents=True, exist_ok=True)
    folders = [grown, CORPUS / target, *([seeds] if seeds else [])]
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={RSS}", f"-timeout={SECONDS_EACH}", "-max_len=8192"]
    return libfuzzer(target, [*limits, f"-artifact_prefix={findings}/", *map(str, folders)])


def replay(target: str, inputs: Sequence[Path]) -> int:
    """Run a target on given inputs, or on all in given folders, once each."""
    return libfuzzer(target, [f"-rss_limit_mb={RSS}", f"-timeout={SECONDS_EACH}", "-runs=0", *map(str, inputs)])


def minimize(target: str) -> tuple[int, int]:
    """Merge what was found into the repository's corpus, keeping what reaches code that nothing shorter reaches.

    Returns the number of inputs before and after.
    """
    kept, before = CORPUS / target, WORK / "before" / target
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(kept, before)
    shutil.rmtree(kept)
    kept.mkdir()
    folders = [kept, before, WORK / "corpus" / target]
    status = libfuzzer(target, ["-merge=1", f"-rss_limit_mb={RSS}", *map(str, folders)])
    if status:
        shutil.rmtree(kept)
        shutil.copytree(before, kept)
        raise FuzzError(f"libFuzzer's merge ended with {status}; the corpus is as it was")
    return len(list(before.iterdir())), len(list(kept.iterdir()))


def libfuzzer(target: str, arguments: Sequence[str]) -> int:
    """Run the program of a target."""
    program = program_of(target)
    if not program.is_file():
        build()
    return subprocess.run([str(program), *arguments], cwd=WORK, check=False).returncode
