"""Write the engine's table of operator signatures: inputs with their types, arity, attributes.

    python -m tools.signatures            print the table
    python -m tools.signatures --write    write it to rust_core/engine/src/signatures/table.rs
    python -m tools.signatures --check    exit 1 if the table in the repository differs from what the schemas say

The table holds every version of every operator that onnx knows, those the engine lacks too, and the operators beside
ONNX that `diptych_reference.schemas` declares. It changes with these alone: write it anew with the version of onnx that
the engine follows.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx.defs import OpSchema

from diptych_reference.schemas import all_schemas

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "rust_core/engine/src/signatures/table.rs"
DTYPE = ROOT / "rust_core/engine/src/dtype.rs"

HEADER = """\
//! ONNX's operators by domain, name and version. Written by tools/signatures.py from onnx {version}; do not edit.

#![allow(clippy::enum_glob_use)]

use super::{{AttributeKind as Kind, Signature, TypeSet, Types, attribute, many, mixed, one, op, opt, required}};
use crate::dtype::DType::*;
"""

# A type as schemas write it: what holds the tensors, and their element type.
SPELLING = re.compile(r"(optional\()?(seq\()?tensor\((\w+)\)+")
MAP = re.compile(r"map\((\w+),tensor\((\w+)\)\)")
FIELDS = {
    (False, False): "tensors",
    (False, True): "sequences",
    (True, False): "optionals",
    (True, True): "optional_sequences",
}
# Inputs that ONNX demands and models leave empty all the same: both panels take that, as they do in later versions.
LEFT_EMPTY = {("Gemm", 7): {"C"}, ("Gemm", 9): {"C"}, ("Resize", 11): {"roi", "scales"}}
CONSTRUCTORS = {"Single": "one", "Optional": "opt", "Variadic": "many"}


def element_types() -> dict[str, str]:
    """The engine's variant for each of ONNX's names of element types, in the order of their numbers."""
    rows = re.findall(r'^    (\w+) = \d+, "(\w+)", \d+;$', DTYPE.read_text(), re.MULTILINE)
    return {name: variant for variant, name in rows}


VARIANTS = element_types()


class Table:
    """The text of the table; sets of types are written once and named."""

    def __init__(self) -> None:
        self.sets: dict[str, str] = {}  # text -> name

    def named(self, prefix: str, text: str) -> str:
        """The name of a set with this text."""
        return self.sets.setdefault(text, f"{prefix}{sum(name[0] == prefix for name in self.sets.values())}")

    def elements(self, names: Iterable[str]) -> str:
        """A set of element types."""
        wanted = set(names)
        listed = ", ".join(variant for name, variant in VARIANTS.items() if name in wanted)
        return self.named("E", f"Types::of(&[{listed}])")

    def types(self, parameter: OpSchema.FormalParameter) -> str:
        """The types that an input may have."""
        fields: dict[str, set[str]] = {}
        maps = []
        for text in sorted(parameter.types):
            if spelling := SPELLING.fullmatch(text):
                optional, sequence, element = spelling.groups()
                field = FIELDS[bool(optional), bool(sequence)]
                fields.setdefault(field, set()).add(element)
            elif pair := MAP.fullmatch(text):
                maps.append("({}, {})".format(*(VARIANTS[name] for name in pair.groups())))
            else:
                raise ValueError(f"{parameter.name}: the table cannot hold the type {text}")
        parts = [f"{field}: {self.elements(names)}" for field, names in fields.items()]
        parts += [f"maps: &[{', '.join(maps)}]"] if maps else []
        return self.named("T", f"TypeSet {{ {', '.join(parts)}, ..TypeSet::NONE }}")

    def signature(self, schema: OpSchema) -> str:
        """One operator version."""
        variables = list(dict.fromkeys(parameter.type_str for parameter in schema.inputs))
        inputs = []
        for parameter in schema.inputs:
            constructor = CONSTRUCTORS[parameter.option.name] if parameter.is_homogeneous else "mixed"
            if parameter.name in LEFT_EMPTY.get((schema.name, schema.since_version), ()):
                constructor = "opt"
            variable = variables.index(parameter.type_str)
            inputs.append(f'{constructor}("{parameter.name}", {variable}, &{self.types(parameter)})')
        attributes = []
        for name, attribute in sorted(schema.attributes.items()):
            kind = attribute.type.name.title().replace("_", "")
            # A memory hint that one old schema demands and nobody reads is not missed.
            constructor = "required" if attribute.required and name != "consumed_inputs" else "attribute"
            attributes.append(f'{constructor}("{name}", Kind::{kind})')
        key = f'"{schema.domain}", "{schema.name}", {schema.since_version}'
        outputs = f"({schema.min_output}, {count(schema.max_output)})"
        return f"op({key}, {schema.min_input}, &[{', '.join(inputs)}], {outputs}, &[{', '.join(attributes)}])"


def count(number: int) -> str:
    """A number of outputs; ONNX writes INT_MAX for any number."""
    return "usize::MAX" if number == 2**31 - 1 else str(number)


def schemas() -> list[OpSchema]:
    """Every version of every operator, sorted as the engine looks them up."""
    found = all_schemas()
    return sorted(found, key=lambda schema: (schema.domain, schema.name, schema.since_version))


def wrapped(text: str, indent: str = "") -> str:
    """`text` in lines of at most 120 columns, broken at its spaces."""
    lines = [indent]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) + 1 > 120:
            lines.append(indent + "    ")
        lines[-1] += word if lines[-1].isspace() or not lines[-1] else f" {word}"
    return "\n".join(lines)


def render() -> str:
    """The whole file."""
    table = Table()
    rows = [wrapped(f"{table.signature(schema)},", "    ") for schema in schemas()]
    kinds = {"E": "const {}: Types = {};", "T": "static {}: TypeSet = {};"}
    sets = {
        kind: [wrapped(form.format(name, text)) for text, name in table.sets.items() if name[0] == kind]
        for kind, form in kinds.items()
    }
    head = HEADER.format(version=onnx.__version__)
    parts = [
        head,
        *sets["E"],
        "",
        *sets["T"],
        "",
        "/// Sorted by domain, name and version.",
        f"pub static SIGNATURES: [Signature; {len(rows)}] = [",
        *rows,
        "];",
    ]
    return "\n".join(parts) + "\n"


def spelled_out(text: str) -> dict[str, str]:
    """The rows of a table by domain, name and version, with their sets of types in place of the sets' names."""
    text = re.sub(r"\s+", " ", text)
    names = dict(re.findall(r"(?:const|static) ([ET]\d+): \w+ = (.*?);", text))
    rows = re.findall(r'op\(("[\w.]*", "\w+", \d+), (.*?)\),(?= op\(| \];)', text)
    once = {key: re.sub(r"\bT\d+\b", lambda name: names[name[0]], row) for key, row in rows}
    return {key: re.sub(r"\bE\d+\b", lambda name: names[name[0]], row) for key, row in once.items()}


def main() -> int:
    """Print, write or check the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="write the table into the repository")
    action.add_argument("--check", action="store_true", help="exit 1 if the repository's table differs")
    arguments = parser.parse_args()
    text = render()
    if arguments.write:
        TABLE.write_text(text)
    elif arguments.check:
        return int(TABLE.read_text() != text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
