"""Instructions of single kernels, counted by callgrind: the same in every run, however busy the machine.

A gate on them needs no quiet machine: `asv continuous --factor 1.05 --bench instructions A B`. The binary is
rust_core/kernels/examples/instruction_count.rs; asv's own environments carry that of their commit, an existing
environment builds the working tree's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Instructions:
    """One call of a kernel with AVX2; valgrind knows no AVX-512."""

    params = [["conv_1x1", "conv_3x3", "conv_3x3_winograd", "exp", "lstm_cell", "matmul", "softmax"]]
    param_names = ["kernel"]
    version = "1"
    unit = "instructions"
    timeout = 600

    def setup_cache(self):
        """Path of the binary, built where the environment has none; None without valgrind."""
        if shutil.which("valgrind") is None:
            return None
        installed = Path(sys.prefix) / "bin" / "instruction_count"
        if installed.is_file():
            return str(installed)
        arguments = ["--package", "diptych-kernels", "--example", "instruction_count"]
        subprocess.run(["cargo", "build", "--release", *arguments], cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        return str(target / "release" / "examples" / "instruction_count")

    setup_cache.timeout = 1200

    def setup(self, binary, kernel):
        if binary is None:
            raise NotImplementedError

    def track_instructions(self, binary, kernel):
        """Count the instructions."""
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=*measured*", "--callgrind-out-file=/dev/null"]
        done = subprocess.run([*command, binary, kernel], capture_output=True, text=True, check=True)
        found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
        if found is None:
            raise ValueError(f"callgrind printed no count: {done.stderr[-300:]}")
        return int(found.group(1))
