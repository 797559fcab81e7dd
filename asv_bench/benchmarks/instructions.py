"""Instructions of single kernels, counted by callgrind: the same in every run, however busy the machine.

A gate on them needs no quiet machine: `make bench-instructions A=main B=HEAD`. The binary is
rust_core/kernels/examples/instruction_count.rs; asv's own environments carry that of their commit, an existing
environment builds the working tree's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.speed.callgrind import count_program, has_callgrind

from . import ROOT

KERNELS = [
    *("conv_1x1", "conv_3x3", "erf", "exp", "gelu", "layer_norm", "lstm_cell", "matmul", "sigmoid", "sin", "softmax"),
    *("tanh", "transpose"),
]


class Instructions:
    """One call of a kernel with AVX2; valgrind knows no AVX-512."""

    params = [KERNELS]
    param_names = ["kernel"]
    version = "1"
    unit = "instructions"
    timeout = 600

    def setup_cache(self):
        """Path of the binary, built where there is none, and the kernels that it knows; None without valgrind."""
        if not has_callgrind():
            return None
        binary = Path(sys.prefix) / "bin" / "instruction_count"
        if not binary.is_file():
            arguments = ["--package", "diptych-kernels", "--example", "instruction_count"]
            subprocess.run(["cargo", "build", "--release", *arguments], cwd=ROOT, check=True)
            target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
            binary = target / "release" / "examples" / "instruction_count"
        known = subprocess.run([str(binary)], capture_output=True, text=True, check=True).stdout.split()
        return str(binary), known

    setup_cache.timeout = 3600

    def setup(self, built, kernel):
        if built is None or kernel not in built[1]:
            raise NotImplementedError

    def track_instructions(self, built, kernel):
        """Count the instructions."""
        return count_program([built[0], kernel], toggle="*measured*")
