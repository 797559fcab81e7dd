"""What a comparison found, as plain objects; `document` turns them into what JSON holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from diptych.diff.judging import Judged

__all__ = ["VIOLATIONS", "EngineOnNode", "EngineOnOutputs", "NodeReport", "Report", "Total", "document"]

# What an engine may do on a node that the oracle evaluates, and that is a finding.
VIOLATIONS = ("wrong", "failed", "crashed", "hung")


@dataclass(frozen=True)
class Total:
    """An output of a node in the engine's run of the whole model, beside the oracle's: local and inherited error.

    `error` is the greatest distance, `relative` that in units of the oracle's greatest element, `share` in units of the
    node's bound (None: no bound). `problem` says where the type, the shape or a class (NaN, infinity) differs.
    """

    error: float = 0.0
    relative: float = 0.0
    share: float | None = None
    problem: str = ""


@dataclass
class EngineOnNode:
    """One engine on one node, fed with the oracle's inputs.

    `status` is "right", "wrong", "unjudged" (nothing tells), "refused", "failed", "crashed", "hung" or "skipped".
    `detail` says more where it is not "right". `constants` names the inputs that were constants of the model.
    `total` is filled by the run of the whole model.
    """

    status: str
    detail: str = ""
    outputs: list[Judged] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    seconds: float = 0.0
    total: dict[str, Total] = field(default_factory=dict)

    @property
    def violates(self) -> bool:
        """Whether this is a finding."""
        return self.status in VIOLATIONS

    @property
    def share(self) -> float | None:
        """Greatest local error in units of the bound; None where no output has a bound."""
        return max((j.share for j in self.outputs if j.share is not None), default=None)

    @property
    def worst(self) -> Judged | None:
        """The output that is worst: a wrong one, else that with the greatest error."""
        return max(self.outputs, key=lambda j: (j.wrong, j.share or 0.0, j.differing), default=None)


@dataclass
class NodeReport:
    """One node: in the main graph where `graph` is "", else inside of the nodes that `graph` names.

    `index` counts nodes in the order in which they were evaluated. `inputs` and `outputs` map the names of values to
    their types and shapes, `samples` to their first elements. `skipped` says why no engine ran the node alone ("" where
    they did), `note` what else is to be known.
    """

    index: int
    name: str
    op_type: str
    domain: str
    opset: int
    graph: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    engines: dict[str, EngineOnNode] = field(default_factory=dict)
    skipped: str = ""
    note: str = ""
    samples: dict[str, tuple[str, list[list[str]]]] = field(default_factory=dict)

    @property
    def violates(self) -> bool:
        """Whether any engine's result is a finding."""
        return any(engine.violates for engine in self.engines.values())

    @property
    def label(self) -> str:
        """Where the node is: its name with that of the graphs around it."""
        return f"{self.graph}/{self.name}" if self.graph else self.name


@dataclass
class EngineOnOutputs:
    """One engine's run of the whole model as it is: `outputs` by name, or why there are none."""

    status: str
    detail: str = ""
    outputs: dict[str, Total] = field(default_factory=dict)
    violates: bool = False


@dataclass
class Report:
    """The whole comparison. `complete` is False where it stopped at the first violation."""

    model: str
    oracle: str
    engines: dict[str, str]  # spec -> version
    nodes: list[NodeReport] = field(default_factory=list)
    outputs: dict[str, EngineOnOutputs] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = True

    @property
    def violations(self) -> list[NodeReport]:
        """The nodes at which some engine violates something."""
        return [node for node in self.nodes if node.violates]

    @property
    def failed(self) -> bool:
        """Whether there is any finding."""
        return bool(self.violations) or any(o.violates for o in self.outputs.values())


def document(report: Report) -> dict[str, Any]:
    """The report as dicts, lists, numbers and text."""
    result = asdict(report)
    for node, plain in zip(report.nodes, result["nodes"], strict=True):
        plain["violates"] = node.violates
        del plain["samples"]  # for people
        for name, engine in node.engines.items():
            plain["engines"][name] |= {"share": engine.share, "violates": engine.violates}
    return {**result, "violations": [node.label for node in report.violations], "failed": report.failed}
