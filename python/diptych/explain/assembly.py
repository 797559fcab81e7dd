"""The machine code of an operator's innermost loop, as the installed engine has it.

Which loop that is, is measured: valgrind's callgrind counts how often each instruction of the extension runs while the
operator does, and objdump disassembles around the one that runs most. So it needs no symbols, and what it shows is the
very code that runs, of the widest instruction set that valgrind knows.
"""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import diptych
from diptych import _core
from diptych.errors import Error
from diptych.explain.example import large_case
from diptych.testing import Case, Row

__all__ = ["Assembly", "Instruction", "assembly_of", "counts_of", "hottest", "of_calls"]

ISAS = ("avx2", "neon", "baseline")  # the widest first; valgrind knows no AVX-512
REPEATS = 61  # a prime: what runs a multiple of it belongs to the calls, not to what loads the engine
SECONDS = 600
GAP = 64  # bytes without a hot instruction that end a loop
HOT = 0.3  # of the most frequent instruction's count
SCRIPT = """\
import pickle, sys
import diptych
with open(sys.argv[1], "rb") as file:
    arguments, repeats = pickle.load(file)
for _ in range(repeats):
    diptych.run_operator(**arguments)
"""


@dataclass(frozen=True)
class Instruction:
    """One instruction, and how often it ran in a call of the operator."""

    address: int
    text: str
    count: float


@dataclass(frozen=True)
class Assembly:
    """The innermost loop of a call with these inputs, on an instruction set."""

    isa: str
    inputs: tuple[str, ...]
    extension: str
    instructions: tuple[Instruction, ...]


def assembly_of(row: Row, progress: Callable[[str], None] = lambda text: None) -> Assembly:
    """Measure and disassemble the innermost loop of an operator. It takes the better part of a minute.

    Raises Error where valgrind or objdump is missing, where the operator can only be run as part of a graph, and where
    the extension ran nothing that could be counted.
    """
    missing = [name for name in ("valgrind", "objdump") if shutil.which(name) is None]
    if missing:
        advice = "on Debian: apt-get install valgrind binutils"
        raise Error(f"--assembly needs {' and '.join(missing)}, which this machine does not have ({advice})")
    case = large_case(row)
    if case is None:
        raise Error(f"--assembly: {row.name} has no case that can be run by itself, without a graph around it")
    isa = next(isa for isa in ISAS if isa in diptych.available_isas())
    progress(f"assembly: counting the instructions of {row.name} under valgrind; this takes most of a minute")
    with TemporaryDirectory(prefix="diptych-assembly-") as folder:
        counts = of_calls(counts_of(_measured(case, isa, Path(folder)), Path(_core.__file__).name))
    if not counts:
        raise Error(f"--assembly: valgrind counted no instruction of {_core.__file__}")
    progress("assembly: disassembling")
    kinds = tuple(f"{v.dtype.name}{list(v.shape)}" for v in case.inputs if hasattr(v, "dtype"))
    return Assembly(isa, kinds, str(_core.__file__), tuple(_disassembled(counts)))


def _measured(case: Case, isa: str, folder: Path) -> str:
    """Callgrind's account of some calls."""
    arguments = {
        "op_type": case.op_type,
        "inputs": list(case.inputs),
        "attributes": dict(case.attributes),
        "opset": case.opset,
        "domain": case.domain,
        "n_outputs": case.n_outputs,
        "isa": isa,
        "threads": 1,
    }
    (folder / "case.pickle").write_bytes(pickle.dumps((arguments, REPEATS)))
    (folder / "run.py").write_text(SCRIPT, encoding="utf-8")
    command = [
        "valgrind", "--tool=callgrind", "--dump-instr=yes", f"--callgrind-out-file={folder / 'counts'}",
        sys.executable, str(folder / "run.py"), str(folder / "case.pickle"),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Error(f"--assembly: valgrind took more than {SECONDS} seconds") from None
    if done.returncode:
        raise Error(f"--assembly: valgrind ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return (folder / "counts").read_text(encoding="utf-8", errors="replace")


def counts_of(account: str, object_name: str) -> Counter[int]:
    """How often each instruction of an object ran, from callgrind's format with its compressed names and addresses."""
    counts: Counter[int] = Counter()
    names: dict[str, str] = {}
    address, inside, skip = 0, False, False
    for line in account.splitlines():
        if match := re.match(r"ob=(\(\d+\))(?: (.*))?", line):
            names.setdefault(match[1], match[2] or "")
            inside = Path(names[match[1]]).name == object_name
        elif match := re.match(r"cob=(\(\d+\)) (.*)", line):
            names.setdefault(match[1], match[2])
        elif line.startswith("calls="):
            skip = True  # the next line counts what was called, not this instruction
        elif match := re.match(r"(0x[0-9a-f]+|\+\d+|-\d+|\*) \S+ (\d+)", line):
            text = match[1]
            if text.startswith("0x"):
                address = int(text, 16)
            elif text != "*":
                address += int(text)
            if inside and not skip:
                counts[address] += int(match[2])
            skip = False
    return counts


def of_calls(counts: Counter[int]) -> Counter[int]:
    """The instructions that every call of the operator runs equally often."""
    return Counter({address: count for address, count in counts.items() if count % REPEATS == 0})


def hottest(counts: Counter[int]) -> tuple[int, int]:
    """First and last address of the loop around the instruction that runs most."""
    (peak, most), *_ = counts.most_common(1)
    hot = sorted(address for address, count in counts.items() if count >= HOT * most)
    at = hot.index(peak)
    first = last = at
    while first and hot[first] - hot[first - 1] <= GAP:
        first -= 1
    while last + 1 < len(hot) and hot[last + 1] - hot[last] <= GAP:
        last += 1
    return hot[first], hot[last]


def _disassembled(counts: Counter[int]) -> Iterator[Instruction]:
    """The instructions of the hottest loop."""
    first, last = hottest(counts)
    command = [
        "objdump", "--disassemble", "--no-show-raw-insn", f"--start-address={first:#x}",
        f"--stop-address={last + 16:#x}", str(_core.__file__),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise Error(f"--assembly: objdump ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    for line in done.stdout.splitlines():
        if (match := re.match(r"\s*([0-9a-f]+):\s+(.*)", line)) and int(match[1], 16) <= last:
            address = int(match[1], 16)
            text = re.sub(r"\s*<.*>|\s+#.*", "", match[2]).strip()
            yield Instruction(address, text, counts[address] / REPEATS)
