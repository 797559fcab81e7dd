"""The command `python -m tools.hostile`: a table of what engines make of hostile inputs."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence

import tools.hostile
from tools.hostile import ACCEPT, CASES
from tools.hostile.engines import ENGINES
from tools.hostile.runner import Result, results

COLUMNS = (
    "tried",
    "refused",
    "accepted",
    "accepted, though wrong",
    "refused, though valid",
    "untyped",
    "crashed",
    "hung",
)


def main() -> int:
    """Run the inputs and print the table; exit status 1 if a panel of ours did wrong."""
    parser = argparse.ArgumentParser(
        description=tools.hostile.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", default="diptych,reference", help=f"some of {', '.join(ENGINES)}")
    parser.add_argument("--only", default="", help="inputs whose names begin like this")
    parser.add_argument("--verbose", action="store_true", help="print every answer")
    parser.add_argument("--json", action="store_true", help="print every answer as a line of JSON")
    arguments = parser.parse_args()
    engines = arguments.engines.split(",")
    names = [name for name in CASES if name.startswith(arguments.only)]
    if unknown := sorted(set(engines) - set(ENGINES)):
        parser.error(f"no engine {unknown}; there are: {', '.join(ENGINES)}")
    if not names:
        parser.error(f"no input's name begins with {arguments.only!r}")
    found = {engine: [shown(result, arguments) for result in results(engine, names)] for engine in engines}
    if not arguments.json:
        print_table(found)
    ours = [result for engine in ("diptych", "reference") for result in found.get(engine, ())]
    return int(any(result.problem for result in ours))


def shown(result: Result, arguments: argparse.Namespace) -> Result:
    """Print one answer, as the arguments ask; progress goes to a terminal."""
    if arguments.json:
        print(json.dumps({**vars(result), "problem": result.problem}), flush=True)
    elif arguments.verbose or result.problem:
        mark = "!" if result.problem else " "
        cost = f"{result.seconds:.2f} s, {result.peak >> 20} MiB"
        print(f"{mark} {result.engine} {result.name}: {result.outcome} {cost} {result.message}", flush=True)
    elif sys.stderr.isatty():
        print(f"\r{result.engine} {result.name:60}", end="\r", file=sys.stderr)
    return result


def print_table(found: dict[str, Sequence[Result]]) -> None:
    """Counts by outcome, the greatest peak of memory and the longest time."""
    print(f"{'engine':16}" + "".join(f"{column:>24}" for column in COLUMNS) + f"{'peak MiB':>10}{'longest s':>10}")
    for engine, answers in found.items():
        count = Counter(result.outcome for result in answers)
        wrong = Counter(result.outcome for result in answers if result.problem)
        valid = sum(CASES[result.name].expected == ACCEPT and result.outcome == "refused" for result in answers)
        numbers = (
            len(answers), count["refused"] - valid, count["accepted"] - wrong["accepted"], wrong["accepted"], valid,
            count["untyped"], count["crashed"], count["hung"],
        )  # fmt: skip
        peak, longest = max(r.peak for r in answers) >> 20, max(r.seconds for r in answers)
        print(f"{engine:16}" + "".join(f"{number:>24}" for number in numbers) + f"{peak:>10}{longest:>10.1f}")


if __name__ == "__main__":
    sys.exit(main())
