"""The operator matrix: every operator with its versions, element types and what ONNX's suite says, on both panels.

    python -m tools.operators            print docs/operators.md
    python -m tools.operators --write    write it
    python -m tools.operators --check    exit 1 if the page in the repository differs

Versions come from the registries of both panels, types from the schemas, cases from ONNX's backend suite: a case counts
for each operator in its model.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path

import diptych
import diptych_reference
from diptych.testing.schema import row
from diptych.testing.values import onnx_name
from diptych_reference.schemas import all_schemas

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operators.md"
HEADER = """# Operators

Written by `python -m tools.operators --write`. Both panels have every operator, version and element type of this page;
`diptych ops NAME` prints a row. Versions are ONNX's since_versions; types are those of the newest version's leading
input. Cases are those of ONNX's backend suite (onnx {onnx}) whose models contain the operator: how many there are, and
how many of them do not pass; `tests/conformance/manifest.toml` says why.

{total}

| Domain | Operator | Versions | Types | Cases | Not passing |
|---|---|---|---|---|---|
"""


def cases() -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Cases of each operator, and those of them that the manifest names for some panel."""
    from tests.conformance.suite import cases as suite
    from tests.conformance.suite import manifest

    known = {name for panel in ("engine", "reference") for name in manifest(panel)[0]}
    every: Counter[tuple[str, str]] = Counter()
    failing: Counter[tuple[str, str]] = Counter()
    for case in suite():
        every.update(case.operators)
        failing.update(case.operators if case.name in known else ())
    return every, failing


def versions() -> dict[tuple[str, str], list[int]]:
    """since_versions that both panels have, by operator."""
    reference = {
        (domain, name, since) for (domain, name), found in diptych_reference.registry.items() for since in found
    }
    known = {(schema.domain, schema.name) for schema in all_schemas()}
    both: dict[tuple[str, str], list[int]] = defaultdict(list)
    for domain, name, since in diptych.operators():
        if (domain, name, since) in reference and (domain, name) in known:
            both[domain, name].append(since)
    return both


def render() -> str:
    """The whole page."""
    import onnx

    every, failing = cases()
    lines = []
    found = versions()
    for (domain, name), since in sorted(found.items()):
        types = ", ".join(onnx_name(dtype) for dtype in row(name, max(since), domain).dtypes)
        cells = [
            domain or "ai.onnx", name, ", ".join(map(str, since)), types, str(every[domain, name] or ""),
            str(failing[domain, name] or ""),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    total = f"{len(found)} operators, {sum(map(len, found.values()))} versions."
    return HEADER.format(onnx=onnx.__version__, total=total) + "\n".join(lines) + "\n"


def main() -> int:
    """Print, write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="write the page into the repository")
    action.add_argument("--check", action="store_true", help="exit 1 if the repository's page differs")
    arguments = parser.parse_args()
    text = render()
    if arguments.write:
        PAGE.write_text(text, encoding="utf-8")
    elif arguments.check:
        return int(PAGE.read_text(encoding="utf-8") != text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
