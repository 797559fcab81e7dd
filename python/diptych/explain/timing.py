"""What nodes take, from the events of a profiled session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import diptych

__all__ = ["Timing", "Timings", "timing_of"]


@dataclass(frozen=True)
class Timing:
    """Microseconds of a run, over `calls` calls, and the share of all nodes' time; `said`: why there is no time."""

    microseconds: float = 0.0
    calls: float = 0.0
    share: float = 0.0
    said: str = ""


@dataclass(frozen=True)
class Timings:
    """Times by the outputs of nodes of the main graph, and by (graph, op_type, name) for nodes of bodies."""

    outputs: Mapping[str, Timing]
    bodies: Mapping[tuple[str, str, str], Timing]

    def of_outputs(self, names: Sequence[str]) -> Timing:
        """The time of the node of the main graph with these outputs."""
        found = (self.outputs[name] for name in names if name in self.outputs)
        return next(found, Timing(said="the passes computed it when the model was loaded, or found it superfluous"))

    def of_body(self, graph: str, op_type: str, name: str) -> Timing:
        """The time of a node in a body; nodes without a name that share their operator share their time."""
        return self.bodies.get((graph, op_type, name), Timing(said="no time was recorded"))


def timing_of(session: diptych.InferenceSession, runs: Sequence[Iterable[Mapping[str, Any]]]) -> Timings:
    """Mean times of the events of some runs."""
    graph = session.graph()
    sums: dict[tuple[str, int, str, str], list[float]] = {}
    for events in runs:
        for event in events:
            entry = sums.setdefault((event["graph"], event["node"], event["op_type"], event["name"]), [0.0, 0.0])
            entry[0] += event["duration_us"] / len(runs)
            entry[1] += 1 / len(runs)
    total = sum(entry[0] for key, entry in sums.items() if _of_main(graph, key)) or 1.0
    outputs: dict[str, Timing] = {}
    bodies: dict[tuple[str, str, str], Timing] = {}
    for key, (microseconds, calls) in sums.items():
        timing = Timing(microseconds, calls, microseconds / total)
        if _of_main(graph, key):
            outputs.update((name, timing) for name in graph["nodes"][key[1]]["outputs"] if name)
        else:
            bodies[key[0], key[2], key[3]] = timing
    for node in graph["nodes"]:
        for name in node["outputs"]:
            if name:
                outputs.setdefault(name, Timing(said=_without_event(node, graph)))
    return Timings(outputs, bodies)


def _of_main(graph: Mapping[str, Any], key: tuple[str, int, str, str]) -> bool:
    """Whether an event is of the main graph: bodies may have its name, but not its nodes."""
    name, index, op_type, node = key
    nodes = graph["nodes"]
    return (
        name == graph["name"]
        and index < len(nodes)
        and (nodes[index]["op_type"], nodes[index]["name"]) == (op_type, node)
    )


def _without_event(node: Mapping[str, Any], graph: Mapping[str, Any]) -> str:
    """Why a node of the plan has no time of its own."""
    producers = {name: other for other in graph["nodes"] for name in other["outputs"] if name}
    before = next((producers[name] for name in node["inputs"] if name in producers), None)
    if before is None:
        return "it takes no time: a view, or known when the plan was made"
    return f"none of its own: it runs inside the kernel of {before['op_type']} {before['name']}, or is a view or known"
