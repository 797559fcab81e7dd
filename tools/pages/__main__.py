"""Command line of tools.pages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import tools.pages as pages

import diptych
from diptych.cli.tables import progress
from diptych.errors import Error
from diptych.explain.spec import resolve


def main() -> int:
    """Write the pages, or check the markers."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.pages", description=pages.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, default=pages.DIRECTORY, metavar="DIR", help="where to (docs/_generated)")
    parser.add_argument("--only", metavar="NAMES", help="only these operators, with commas between them")
    parser.add_argument("--examples", type=int, default=pages.EXAMPLES, metavar="N", help="cases for the error meter")
    parser.add_argument("--jobs", type=int, default=diptych.usable_cpus(), metavar="N", help="processes (all CPUs)")
    parser.add_argument("--check", action="store_true", help="only check the markers in rust_core/")
    arguments = parser.parse_args()
    try:
        keys = [resolve(name) for name in arguments.only.split(",")] if arguments.only else pages.operators()
        if arguments.check:
            pages.check_markers(keys)
            print(f"{len(keys)} operators have a marker, but for {len(pages.WITHOUT_KERNEL)}")
            return 0
        written, kept = pages.write_pages(
            arguments.write, keys, examples=arguments.examples, jobs=arguments.jobs, progress=progress
        )
    except (Error, OSError) as error:
        print(f"tools.pages: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tools.pages: interrupted; the pages written so far are whole", file=sys.stderr)
        return 130
    progress("")
    print(f"{arguments.write}: {written} pages written, {kept} were up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
