"""Command line of this package; its docstring names the commands."""

from __future__ import annotations

import argparse
import sys

import tools.speed as package
from tools.speed import document, history, site


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 where what it needs is missing."""
    parser = argparse.ArgumentParser(prog="python -m tools.speed", description=package.__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module, text in (
        ("site", site, "write pages of asv's results, one an operator"),
        ("history", history, "count every landing of the repository; goes on where it stopped"),
        ("plots", document, "draw docs/speed.md and its plots from what was counted"),
    ):
        command = commands.add_parser(name, help=text, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        print("interrupted; what was counted is kept", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
