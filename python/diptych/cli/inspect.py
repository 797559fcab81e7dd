"""Show what a model declares and how the engine will run it."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import diptych
from diptych.cli.arguments import add_session_arguments, session_options
from diptych.cli.tables import print_json, print_table

HELP = "show a model's inputs, outputs, operators and plan"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych inspect`."""
    parser.add_argument("model", help="path of the ONNX file")
    parser.add_argument("--plan", action="store_true", help="list the nodes as they run, after the passes")
    add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Load the model and describe it."""
    session = diptych.InferenceSession(arguments.model, session_options(arguments))
    document = describe(session)
    if arguments.json:
        print_json(document)
        return 0
    meta = document["metadata"]
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in meta["opsets"].items())
    print(f"{arguments.model}: graph {meta['graph_name']!r}, IR {meta['ir_version']}, opset {opsets}")
    print(f"made by {meta['producer_name'] or 'unknown'} {meta['producer_version']}".rstrip())
    for key, value in meta["custom"].items():
        print(f"  {key}: {value if len(value) <= 100 else value[:97] + '...'}")
    print()
    rows = [[kind, v["name"], v["type"], _shape(v)] for kind in ("input", "output") for v in document[f"{kind}s"]]
    print_table(["", "name", "type", "shape"], rows)
    print()
    print_table(["operator", "nodes"], [[name, count] for name, count in document["operators"].items()])
    print(f"\nmemory ({session.isa}, {session.threads} threads, math {session.math})")
    print_table(["kind", "bytes"], [[key, value] for key, value in document["memory"].items()])
    if document["lowering"]:
        print(f"\nproducts of quantized operands (--quantized {session.get_session_options().quantized})")
        print_lowering(document["lowering"])
    if arguments.plan:
        plan = document["plan"]
        columns = list(plan[0]) if plan else ["node"]
        print()
        print_table(columns, [[_cell(node[column]) for column in columns] for node in plan])
    return 0


def describe(session: diptych.InferenceSession) -> dict[str, Any]:
    """Everything that `inspect` shows, as plain data."""
    meta = session.get_modelmeta()
    plan = session.graph()["nodes"]
    operators = Counter(node["op_type"] for node in plan)
    return {
        "metadata": {
            "ir_version": meta.ir_version,
            "opsets": meta.opsets,
            "producer_name": meta.producer_name,
            "producer_version": meta.producer_version,
            "domain": meta.domain,
            "version": meta.version,
            "description": meta.description,
            "graph_name": meta.graph_name,
            "custom": meta.custom_metadata_map,
        },
        "inputs": [_port(value) for value in session.get_inputs()],
        "outputs": [_port(value) for value in session.get_outputs()],
        "overridable_initializers": [_port(value) for value in session.get_overridable_initializers()],
        "operators": dict(sorted(operators.items())),
        "memory": session.memory(),
        "isa": session.isa,
        "math": session.math,
        "threads": session.threads,
        "lowering": session.lowering(),
        "plan": plan,
    }


def print_lowering(lowering: list[dict[str, Any]]) -> None:
    """Show what became of each product of quantized operands."""
    rows = [
        [
            "/".join(filter(None, (entry["graph"], entry["node"]))),
            entry["meaning"],
            " ".join(op_type for _, op_type in entry["nodes_in"]),
            " ".join(op_type for _, op_type in entry["nodes_out"]),
            entry["reason"],
        ]
        for entry in lowering
    ]
    print_table(["product", "meaning", "nodes", "become", "why"], rows)


def _port(value: diptych.NodeArg) -> dict[str, Any]:
    """Input or output as plain data; an undeclared shape is null."""
    return {"name": value.name, "type": value.type, "shape": value.shape if value.has_shape else None}


def _shape(port: dict[str, Any]) -> str:
    """Show a shape; unknown dimensions as ?."""
    if port["shape"] is None:
        return "not declared"
    return "[" + ", ".join("?" if d is None else str(d) for d in port["shape"]) + "]"


def _cell(value: Any) -> Any:
    """One cell of the plan's table."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
