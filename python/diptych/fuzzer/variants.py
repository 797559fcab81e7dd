"""The same engine, set otherwise: passes on and off, instruction sets, numbers of threads.

Each variant is an engine like any other. Diptych's are held to the reference's bits, as its default is; other engines'
to the bounds, since they promise no more.
"""

from __future__ import annotations

from collections.abc import Sequence

from diptych.engines import parse_spec

__all__ = ["with_variants"]


def with_variants(specs: Sequence[str]) -> list[str]:
    """Engines without options of their own, each followed by its variants."""
    found = []
    for spec in specs:
        name, options = parse_spec(spec)
        found += [spec, *(() if options else variants_of(name))]
    return found


def variants_of(name: str) -> list[str]:
    """The variants of an engine by its name; none of one that has no settings that must not matter."""
    if name == "diptych":
        import diptych

        isas = [f"diptych[isa={isa}]" for isa in diptych.available_isas()]
        return [*isas, "diptych[passes=off]", "diptych[threads=2]"]
    return {
        "onnxruntime": ["onnxruntime[optimization=off]", "onnxruntime[threads=2]"],
        "openvino": ["openvino[threads=2]"],
    }.get(name, [])
