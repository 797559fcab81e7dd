"""Everything that a page about an operator shows, gathered from where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from diptych.explain.assembly import Assembly, assembly_of
from diptych.explain.conformance import Conformance, conformance_of
from diptych.explain.example import Example, example_of
from diptych.explain.kernel import kernels_of
from diptych.explain.meter import EXAMPLES, Reading, meter_of
from diptych.explain.program import Program, programs_of
from diptych.explain.spec import Spec, resolve, spec_of
from diptych.explain.speed import Measured, speed_of
from diptych.sources import RustPanel
from diptych.testing import row

__all__ = ["OperatorPage", "explain_operator"]


@dataclass(frozen=True)
class OperatorPage:
    """One operator. A `no_…` says why what stands before it is empty; "" where it is not."""

    spec: Spec
    programs: tuple[Program, ...]
    example: Example
    kernels: tuple[RustPanel, ...]
    no_kernels: str
    meter: tuple[Reading, ...]
    no_meter: str
    conformance: Conformance | None
    speed: tuple[Measured, ...]
    no_speed: str
    assembly: Assembly | None

    def as_data(self) -> dict[str, Any]:
        """Dictionaries, lists and numbers, for JSON."""
        return asdict(self)


def explain_operator(
    name: str,
    domain: str | None = None,
    opset: int | None = None,
    *,
    examples: int = EXAMPLES,
    assembly: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> OperatorPage:
    """Explain an operator by its ONNX name; `opset` chooses its version (None: the newest).

    `examples` is how many cases of each floating-point type the error meter runs, 0 for none; `assembly` asks for the
    machine code of the innermost loop. `progress` is told what is being done.

    Raises UnsupportedOperatorError where there is no such operator or version.
    """
    domain, op_type = resolve(name, domain)
    spec = spec_of(op_type, domain, opset)
    entry = row(op_type, spec.since, domain)
    progress(f"{spec.name}: running an example on both panels")
    example = example_of(entry)
    meter, no_meter = meter_of(entry, examples, progress) if examples else ((), "it was not asked for")
    kernels, no_kernels = kernels_of(op_type, domain)
    speed, no_speed = speed_of(op_type)
    return OperatorPage(
        spec=spec,
        programs=tuple(programs_of(op_type, domain)),
        example=example,
        kernels=kernels,
        no_kernels=no_kernels,
        meter=meter,
        no_meter=no_meter,
        conformance=conformance_of(op_type, domain),
        speed=speed,
        no_speed=no_speed,
        assembly=assembly_of(entry, progress) if assembly else None,
    )
