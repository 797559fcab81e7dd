"""The operator matrix: which versions of which operators each panel has."""

from __future__ import annotations

import argparse
from typing import Any

import diptych
from diptych.cli.tables import print_json, print_table

HELP = "list the operators of both panels and their versions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych ops`."""
    parser.add_argument("name", nargs="?", help="only operators whose name contains this (any case)")
    parser.add_argument("--missing", action="store_true", help="only operators of ONNX that a panel lacks")


def run(arguments: argparse.Namespace) -> int:
    """Print the matrix; exit status 1 if the name matches nothing."""
    rows = matrix()
    if arguments.name:
        rows = [row for row in rows if arguments.name.lower() in row["op_type"].lower()]
    if arguments.missing:
        rows = [row for row in rows if row["onnx"] is not None and _lacks(row)]
    if arguments.json:
        print_json(rows)
    elif rows:
        columns = ["domain", "op_type", "onnx", "engine", "reference"]
        print_table(columns, [[_cell(row[column]) for column in columns] for row in rows])
        counts = [sum(bool(row[panel]) for row in rows) for panel in ("engine", "reference")]
        print(f"\n{len(rows)} operators; engine {counts[0]}, reference {counts[1]}")
    else:
        print(f"no operator matches {arguments.name!r}")
    return 0 if rows else 1


def matrix() -> list[dict[str, Any]]:
    """One row an operator: since_versions in ONNX, on the engine and on the reference; None: package not installed."""
    sources: dict[str, dict[tuple[str, str], list[int]] | None] = {
        "onnx": _onnx_versions(),
        "engine": _grouped(diptych.operators()),
        "reference": _reference_versions(),
    }
    keys = sorted({key for source in sources.values() for key in source or ()})
    return [
        {"domain": domain, "op_type": op_type}
        | {name: None if source is None else source.get((domain, op_type), []) for name, source in sources.items()}
        for domain, op_type in keys
    ]


def _grouped(versions: list[tuple[str, str, int]]) -> dict[tuple[str, str], list[int]]:
    """Group (domain, op_type, since_version) rows by operator."""
    grouped: dict[tuple[str, str], list[int]] = {}
    for domain, op_type, since in sorted(versions):
        grouped.setdefault((domain, op_type), []).append(since)
    return grouped


def _onnx_versions() -> dict[tuple[str, str], list[int]] | None:
    """Versions in the installed onnx package."""
    try:
        from onnx import defs
    except ImportError:
        return None
    return _grouped([(s.domain, s.name, s.since_version) for s in defs.get_all_schemas_with_history()])


def _reference_versions() -> dict[tuple[str, str], list[int]] | None:
    """Versions in the installed reference."""
    try:
        from diptych_reference import registry
    except ImportError:
        return None
    return {key: sorted(rows) for key, rows in registry.items()}


def _lacks(row: dict[str, Any]) -> bool:
    """Whether a panel lacks a version that ONNX defines."""
    return any(row[panel] is not None and set(row["onnx"]) - set(row[panel]) for panel in ("engine", "reference"))


def _cell(value: Any) -> str:
    """One cell: versions, "-" for none, "?" for a package that is not installed."""
    if isinstance(value, str):
        return value or "ai.onnx"
    return "?" if value is None else " ".join(map(str, value)) or "-"
