"""An operator's page on a terminal: plain lines, both panels side by side where they fit."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from diptych.explain.assembly import Assembly
from diptych.explain.example import Example
from diptych.explain.flow import Line, Stretch
from diptych.explain.operator import OperatorPage
from diptych.explain.shown import Shown
from diptych.explain.spec import Attribute, Parameter

__all__ = ["conformance_text", "heading", "operator_lines", "side_by_side", "stretch_lines", "value_lines"]

BAR = 24  # columns of a full meter
BRIEF = 6  # lines of the reference's further functions, unless everything is asked for


def operator_lines(page: OperatorPage, width: int, everything: bool = False) -> Iterator[str]:
    """The page in lines of about `width` columns; source keeps its own."""
    spec = page.spec
    yield f"{spec.name}  ({spec.domain or 'ai.onnx'}, family {spec.family})"
    yield f"versions {', '.join(map(str, spec.versions))}"
    yield ""
    for paragraph in reflowed(spec.summary):
        yield from textwrap.wrap(paragraph, width, subsequent_indent=indent_of(paragraph)) or [""]
    yield from heading("Inputs, outputs, attributes")
    for title, parameters in (("in", spec.inputs), ("out", spec.outputs)):
        yield from (line for p in parameters for line in _parameter(title, p, width))
    yield from (line for attribute in spec.attributes for line in _attribute(attribute, width))
    yield from heading("Rounding program (docs/numerics.md)")
    yield from _programs(page, width)
    yield from heading("Example")
    yield from _example(page.example, width)
    yield from heading("Both panels")
    yield from _panels(page, width, everything)
    yield from heading("Error meter")
    yield from _meter(page)
    yield from heading("Conformance")
    yield conformance_text(page)
    yield from heading("Speed")
    yield page.no_speed or f"recorded by asv at commit {page.speed[0].commit}"
    for measured in page.speed:
        yield f"  {measured.benchmark} ({measured.parameters}): {measured.value}"
    if page.assembly:
        yield from heading("Assembly")
        yield from _assembly(page.assembly)


def heading(title: str) -> Iterator[str]:
    """A blank line and an underlined title."""
    yield ""
    yield title
    yield "-" * len(title)


def reflowed(text: str) -> list[str]:
    """Paragraphs of a schema's text, one string each; lists, code and tables keep their lines."""
    paragraphs: list[str] = []
    joins = False
    for line in text.splitlines():
        plain = bool(line.strip()) and not re.match(r"\s|[-*>|`#+]|\d+[.)]", line)
        if joins and plain:
            paragraphs[-1] += f" {line}"
        else:
            paragraphs.append(line)
        joins = plain
    return paragraphs


def indent_of(line: str) -> str:
    """The blanks a wrapped line goes on with."""
    return line[: len(line) - len(line.lstrip())]


def side_by_side(left: Sequence[str], right: Sequence[str], width: int) -> list[str]:
    """Two columns where both fit into `width` without a cut, else one after the other."""
    widths = [max((len(line) for line in side), default=0) for side in (left, right)]
    if not left or not right or sum(widths) + 3 > width:
        return [*left, "", *right] if left and right else [*left, *right]
    return [f"{a.ljust(widths[0])} │ {b}".rstrip() for a, b in zip_longest(left, right, fillvalue="")]


def value_lines(values: Sequence[Shown]) -> list[str]:
    """Name, kind, elements and digest of each value."""
    widths = [
        max((len(text) for text in column), default=0)
        for column in zip(*((v.name, v.kind) for v in values), strict=True)
    ]
    return [
        f"  {v.name.ljust(widths[0])}  {v.kind.ljust(widths[1])}  {v.shown}" + (f"  #{v.digest}" if v.digest else "")
        for v in values
    ]


def stretch_lines(stretch: Stretch) -> list[str]:
    """Source with its values behind `#=`, each under the line that gave it."""
    return [text for line in stretch.lines for text in (line.text, *_notes(line))]


def _notes(line: Line) -> Iterator[str]:
    """What a line gave, indented as it is."""
    for note in line.notes:
        name = "" if note.name == "return" else f"{note.name} "
        yield f"{indent_of(line.text)}#= {name}{note.kind + ' ' if note.kind else ''}{note.shown}"


def _parameter(title: str, parameter: Parameter, width: int) -> Iterator[str]:
    """An input or output: what it is, then its types."""
    types = ", ".join(name.removeprefix("tensor(").removesuffix(")") for name in parameter.types)
    option = f" ({parameter.option})" if parameter.option else ""
    first = f"{title:4}{parameter.name}{option}: {parameter.text}"
    yield from textwrap.wrap(first, width, subsequent_indent="      ")
    yield from textwrap.wrap(types, width, initial_indent="      ", subsequent_indent="      ")


def _attribute(attribute: Attribute, width: int) -> Iterator[str]:
    """An attribute with its default."""
    default = " (required)" if attribute.required else f" = {attribute.default}" if attribute.default else ""
    text = f"attr {attribute.name}: {attribute.type}{default}. {attribute.text}"
    yield from textwrap.wrap(text, width, subsequent_indent="      ")


def _programs(page: OperatorPage, width: int) -> Iterator[str]:
    """Rows of the numerics page."""
    if not page.programs:
        yield "none found: docs/numerics.md is not there, or does not name this operator"
    for program in page.programs:
        yield from textwrap.wrap(f"{program.operators}: {program.text}", width, subsequent_indent="  ")


def _example(example: Example, width: int) -> Iterator[str]:
    """Inputs, outputs, and whether the panels agree."""
    if example.problem:
        yield f"none: {example.problem}"
        return
    attributes = ", ".join(f"{name}={value}" for name, value in example.attributes.items())
    yield f"{example.dtype}, opset {example.opset}" + (f", {attributes}" if attributes else "")
    yield "inputs"
    yield from value_lines(example.inputs)
    yield "outputs of the left panel"
    yield from value_lines(example.outputs)
    for path in example.paths:
        yield f"right panel, {path.isa}: {path.problem or 'the same bits'}"


def _panels(page: OperatorPage, width: int, everything: bool) -> Iterator[str]:
    """Reference on the left, Rust on the right; functions that the reference calls below."""
    first, *others = page.example.left
    left = [f"reference/{first.path}:{first.first}", "", *stretch_lines(first)]
    right = [line for panel in page.kernels for line in (f"{panel.path}:{panel.first}", "", *panel.text.splitlines())]
    yield from side_by_side(left, right or [f"no Rust: {page.no_kernels}"], width)
    for other in others:
        lines = stretch_lines(other)
        yield ""
        yield f"reference/{other.path}:{other.first}"
        whole = everything or other.path == first.path
        yield from lines if whole else lines[:BRIEF]
        if not whole and len(lines) > BRIEF:
            yield f"    … {len(lines) - BRIEF} more lines (--all)"


def _assembly(assembly: Assembly) -> Iterator[str]:
    """The innermost loop, with how often each instruction runs."""
    yield f"the innermost loop on {assembly.isa}, of a call with {', '.join(assembly.inputs)}: runs a call, instruction"
    for instruction in assembly.instructions:
        yield f"{instruction.count:8.0f}  {instruction.address:8x}  {instruction.text}"


def _meter(page: OperatorPage) -> Iterator[str]:
    """A bar for each type."""
    if not page.meter:
        yield f"none: {page.no_meter}"
    for reading in page.meter:
        bar = "█" * min(BAR, round(reading.worst * BAR))
        said = reading.problem or f"worst {100 * reading.worst:.1f} %, mean {100 * reading.mean:.1f} % of the bound"
        yield f"{reading.dtype:9} [{bar.ljust(BAR, '·')}] {said}, {reading.examples} outputs"


def conformance_text(page: OperatorPage) -> str:
    """The counts in a sentence."""
    found = page.conformance
    if found is None:
        return "not counted: docs/operators.md is not there, or does not list this operator"
    if not found.cases:
        return "no model of ONNX's backend suite contains it"
    do = "does" if found.failing == 1 else "do"
    failing = f"{found.failing} of them {do} not pass on some panel" if found.failing else "all pass on both panels"
    return f"{found.cases} cases of ONNX's backend suite contain it; {failing}"
