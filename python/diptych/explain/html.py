"""Pages as HTML that needs nothing else: no network, no scripts; dark and light as the reader's system has it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

import diptych
from diptych.explain.flow import Note, Stretch
from diptych.explain.kernel import operators_of, rust_lines
from diptych.explain.model import ModelPage
from diptych.explain.operator import OperatorPage
from diptych.explain.picture import bytes_in_words, picture_of
from diptych.explain.text import conformance_text
from diptych.sources import RustPanel

__all__ = ["document", "environment", "model_document", "operator_body", "operator_document", "style"]

LIGHT, DARK = "xcode", "github-dark"


def operator_document(page: OperatorPage) -> str:
    """The page of an operator as one HTML file."""
    return document(f"{page.spec.name} · Diptych", operator_body(page, titled=True))


def operator_body(page: OperatorPage, *, titled: bool) -> Markup:
    """What stands inside the page, for sites with a frame of their own; `titled`: with the operator's name above."""
    template = environment().get_template("operator.html.j2")
    return Markup(template.render(**vars(page), titled=titled, conformance_text=conformance_text(page)))


def model_document(page: ModelPage) -> str:
    """The page of a model as one HTML file."""
    template = environment().get_template("model.html.j2")
    body = template.render(page=page, picture=picture_of(page.arena))
    return document(f"{page.graph or page.model} · Diptych", Markup(body))


def document(title: str, body: str) -> str:
    """A whole file around a body."""
    template = environment().get_template("page.html.j2")
    return template.render(title=title, body=body, css=Markup(style()), version=diptych.__version__)


@cache
def style() -> str:
    """The style sheet, source's colours included; all rules are below the class `dp`."""
    loader = PackageLoader("diptych.explain", "templates")
    light, dark = (loader.get_source(environment(), name)[0] for name in ("explain.css", "dark.css"))
    dark_rules = [*dark.splitlines(), *colours(DARK)]
    automatic = "\n".join(f'body:not([data-theme="light"]) {rule}' for rule in dark_rules)
    chosen = "\n".join(f'body[data-theme="dark"] {rule}' for rule in dark_rules)  # by a button of the site around it
    page = ".dp-page { background:#14171a; }"
    return "\n".join(
        [light, *colours(LIGHT), f"@media (prefers-color-scheme: dark) {{\n{page}\n{automatic}\n}}", chosen, ""]
    )


def colours(name: str) -> list[str]:
    """The rules of one of Pygments' styles for the classes of source, background and line numbers left out."""
    rules = HtmlFormatter(style=name).get_style_defs(".dp .source").splitlines()
    return [rule for rule in rules if re.match(r"\.dp \.source \.\w+ \{", rule)]


@cache
def environment() -> Environment:
    """Templates, which escape what they are given."""
    found = Environment(
        loader=PackageLoader("diptych.explain", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(inline=inline, markdown=markdown)
    found.globals.update(rows_of=rows_of, rust_rows=rust_rows, percent=percent, bytes=bytes_in_words, anchor=anchor)
    return found


def inline(text: str) -> Markup:
    """Markdown of one line: code, emphasis; links, which lead to files of the repository, as their words."""
    return Markup(_markdown().renderInline(re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)))


def markdown(text: str) -> Markup:
    """Markdown of several paragraphs, as ONNX's schemas are written."""
    return Markup(_markdown().render(text))


def percent(share: float, most: float = 0) -> str:
    """A share such as `12.5 %`; cut at `most` percent and written as CSS has it where that is given."""
    return f"{min(100 * share, most):.1f}%" if most else f"{100 * share:.1f} %"


def anchor(key: str) -> str:
    """The id of the sources of an operator version."""
    return "source-" + re.sub(r"[^A-Za-z0-9]+", "-", key)


def rows_of(stretch: Stretch) -> list[dict[str, Any]]:
    """Lines of Python, each with its number, colours and values."""
    colours = coloured(stretch.text, "python")
    return [_row(line.number, code, line.text, line.notes) for line, code in zip(stretch.lines, colours, strict=True)]


def rust_rows(panel: RustPanel, op_type: str) -> list[dict[str, Any]]:
    """Lines of Rust; those that name the operator stand out where the stretch serves others too."""
    shared = len(operators_of(panel.name)) > 2
    word = op_type.removeprefix("Reduce").removeprefix("Global")
    named = re.compile(rf"\b{re.escape(word)}\b|^\s*{re.escape(word.lower())} =>")
    lines = zip(rust_lines(panel), coloured(panel.text, "rust"), strict=True)
    return [
        _row(number, code, text, ()) | {"hit": shared and bool(named.search(text))} for (number, text), code in lines
    ]


def coloured(text: str, language: str) -> list[Markup]:
    """Lines of a source with spans of classes, one string for each line of `text`."""
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    lines = highlight(text.rstrip("\n"), lexer, HtmlFormatter(nowrap=True)).split("\n")
    expected = len(text.rstrip("\n").split("\n"))
    lines = lines[:expected]
    if len(lines) != expected:
        return [escape(line) for line in text.rstrip("\n").split("\n")]
    return [Markup(line) for line in lines]


def _row(number: int, code: Markup, text: str, notes: tuple[Note, ...]) -> dict[str, Any]:
    """A line for the template."""
    return {"number": number, "code": code, "notes": notes, "indent": len(text) - len(text.lstrip()), "hit": False}


@cache
def _markdown() -> MarkdownIt:
    """Without HTML: a `<` in a program is one."""
    return MarkdownIt("commonmark", {"html": False})
