"""Where values lie while a model runs: offsets of the temporary arena, from the engine's last plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import diptych

__all__ = ["Arena", "Place", "arena_of"]


@dataclass(frozen=True)
class Place:
    """Where a value's bytes are: `kind` is "arena", "view", "output", "known", "constant" or "elsewhere".

    In the arena: `offset` and `bytes`, of the plan's `segment`. A view shows the bytes of the value `of`. An output, or
    what a later segment reads, has a buffer of its own. What is known was computed when the plan was made.
    """

    name: str
    kind: str
    segment: int = 0
    offset: int = 0
    bytes: int = 0
    of: str = ""

    @property
    def said(self) -> str:
        """The place in words."""
        if self.kind == "arena":
            part = f" (segment {self.segment})" if self.segment else ""
            return f"arena {self.offset:#x} .. {self.offset + self.bytes:#x}, {self.bytes} bytes{part}"
        return {
            "view": f"a view of {self.of}",
            "output": "a buffer of its own, which outlives the plan's segment",
            "known": "computed when the plan was made",
            "constant": "a constant of the model",
        }.get(self.kind, "not in the plan: removed by a pass, inside another node's kernel, or made at run time")


@dataclass(frozen=True)
class Block:
    """Bytes of the arena in use, from one task to another, both counted over the plan's segment."""

    name: str
    segment: int
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Arena:
    """The temporary arena in one run: its size, the number of tasks, its blocks, the places of all values by name."""

    bytes: int
    tasks: int
    blocks: tuple[Block, ...] = ()
    places: dict[str, Place] = field(default_factory=dict)

    def place(self, name: str) -> Place:
        """Where a value lies."""
        return self.places.get(name, Place(name, "elsewhere"))


def arena_of(session: diptych.InferenceSession) -> Arena:
    """The arena of the plan that the session's last run followed."""
    segments = session.plan()
    places: dict[str, Place] = {}
    blocks: list[Block] = []
    for index, segment in enumerate(segments):
        uses = _uses(segment)
        for value in segment["values"]:
            place = Place(value["name"], value["kind"], index, value["offset"], value["bytes"], value["of"])
            places.setdefault(place.name, place)
            if place.kind == "arena":
                first, last = uses.get(place.name, (0, 0))
                blocks.append(Block(place.name, index, place.offset, place.bytes, first, last))
    size = max((segment["arena_bytes"] for segment in segments), default=0)
    return Arena(size, max((len(segment["tasks"]) for segment in segments), default=0), tuple(blocks), places)


def _uses(segment: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """First and last task of a segment that touches each value; a view's readers read what it shows."""
    roots = {value["name"]: value["of"] for value in segment["values"] if value["kind"] == "view"}
    uses: dict[str, tuple[int, int]] = {}
    for position, task in enumerate(segment["tasks"]):
        for name in (*task["inputs"], *task["outputs"]):
            root = roots.get(name, name)
            first, _ = uses.get(root, (position, position))
            uses[root] = (first, position)
    return uses
