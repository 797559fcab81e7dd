"""The least time that a node could take on this machine: the roofline of Williams, Waterman and Patterson (2009)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diptych import _core

__all__ = ["Roofline"]


@dataclass(frozen=True)
class Roofline:
    """What some threads of this machine can do together, in a second."""

    flops: float  # binary32 multiply-adds in registers, two operations each
    bytes: float  # read from memory

    @classmethod
    def measure(cls, isa: str, threads: int) -> Roofline:
        """Measure it for an instruction set, which takes a tenth of a second; raises as a session does for `isa`."""
        return cls(*_core.measure_peaks(isa, threads))

    def least_seconds(self, event: Mapping[str, Any]) -> float:
        """Return the time of an event of `InferenceSession.take_events`, had the kernel been as fast as the machine.

        It is the greater of that of the node's operations and that of its bytes, and 0 where shapes were not known.
        """
        return max(float(event["flops"]) / self.flops, float(event["bytes"]) / self.bytes)
