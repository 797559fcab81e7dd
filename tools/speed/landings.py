"""The repository's landings: the last commit of main before at least ten minutes without one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

__all__ = ["GAP", "Landing", "landings", "tree_key"]

ROOT = Path(__file__).resolve().parents[2]
GAP = 600  # seconds
FIRST = "9227b3a7822a"  # "Run one kernel for callgrind to count": nothing is counted before


@dataclass(frozen=True)
class Landing:
    """A commit, when it was made (seconds since 1970), and its subject."""

    commit: str
    time: int
    subject: str


def landings(head: str = "HEAD") -> list[Landing]:
    """All since `FIRST`, oldest first, `head` among them."""
    lines = git("log", "--first-parent", "--reverse", "--format=%H %ct %s", f"{FIRST}^..{head}").splitlines()
    commits = [Landing(commit, int(time), subject) for commit, time, subject in (s.split(" ", 2) for s in lines)]
    return [
        commit
        for commit, later in zip(commits, [*commits[1:], None], strict=True)
        if later is None or later.time - commit.time >= GAP
    ]


def tree_key(commit: str, paths: Sequence[str]) -> str:
    """A name for the content of some paths of a commit: what has the same need not be measured twice."""
    return sha256(git("ls-tree", commit, *paths).encode()).hexdigest()[:16]


def git(*arguments: str, where: Path = ROOT) -> str:
    """What git prints."""
    return subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True).stdout
