"""Command line of this package; its docstring names the commands."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import tools.fuzz as package
from tools.fuzz import libfuzzer, seeds
from tools.fuzz.libfuzzer import TARGETS, FuzzError


def main() -> int:
    """Run one command; libFuzzer's status, 2 where a tool is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.fuzz",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the targets anew: do so after every change of the engine")
    running = commands.add_parser("run", help="fuzz one target")
    running.add_argument("target", choices=TARGETS)
    running.add_argument("--seconds", type=positive, default=60, help="how long (default: 60)")
    running.add_argument("--seeds", type=Path, metavar="FOLDER", help="further inputs to begin with")
    replaying = commands.add_parser("replay", help="run one target on given inputs")
    replaying.add_argument("target", choices=TARGETS)
    replaying.add_argument("inputs", nargs="+", type=Path, metavar="FILE", help="inputs, or folders of them")
    minimizing = commands.add_parser("minimize", help="merge what was found into the repository's corpus")
    minimizing.add_argument("target", choices=TARGETS)
    writing = commands.add_parser("seeds", help="write models to begin with")
    writing.add_argument("folder", type=Path)
    options = parser.parse_args()
    try:
        match options.command:
            case "build":
                libfuzzer.build()
            case "run":
                return libfuzzer.run(options.target, options.seconds, seeds=options.seeds)
            case "replay":
                return libfuzzer.replay(options.target, options.inputs)
            case "minimize":
                print("inputs before and now: {} and {}".format(*libfuzzer.minimize(options.target)))
            case _:
                print(seeds.write(options.folder), "seeds in", options.folder)
    except FuzzError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def positive(text: str) -> int:
    """A number of seconds; libFuzzer takes 0 and less for no end."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write a whole number of seconds from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
