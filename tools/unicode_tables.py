"""Write the left panel's tables of Unicode: general categories, scripts, and characters that differ in case alone.

    python -m tools.unicode_tables            print the module
    python -m tools.unicode_tables --write    write it to reference/diptych_reference/unicode_tables.py
    python -m tools.unicode_tables --check    exit 1 if the module in the repository differs

The tables are those of the crate regex-syntax that Cargo.lock names, which the right panel matches with: Python's own
`unicodedata` has another version of Unicode in each version of Python, and no scripts. A newer crate needs `--write`.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / "reference/diptych_reference/unicode_tables.py"
LETTERS = {  # the crate's names of general categories -> Unicode's
    "Control": "Cc", "Format": "Cf", "Private_Use": "Co", "Lowercase_Letter": "Ll", "Modifier_Letter": "Lm",
    "Other_Letter": "Lo", "Titlecase_Letter": "Lt", "Uppercase_Letter": "Lu", "Spacing_Mark": "Mc",
    "Enclosing_Mark": "Me", "Nonspacing_Mark": "Mn", "Decimal_Number": "Nd", "Letter_Number": "Nl",
    "Other_Number": "No", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd", "Close_Punctuation": "Pe",
    "Final_Punctuation": "Pf", "Initial_Punctuation": "Pi", "Other_Punctuation": "Po", "Open_Punctuation": "Ps",
    "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Math_Symbol": "Sm", "Other_Symbol": "So",
    "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Space_Separator": "Zs",
}  # fmt: skip
CHARACTER = r"'(?:\\u\{[0-9a-f]+\}|\\.|[^\\])'"
TABLE = re.compile(r"pub const ([A-Z_]+): &'static \[\(char, char\)\] =\s*&\[(.*?)\];", re.DOTALL)
RANGE = re.compile(rf"\(({CHARACTER}), ({CHARACTER})\)")
NAME = re.compile(r'\("([A-Za-z_]+)", ([A-Z_]+)\)')
ORBIT = re.compile(rf"\(({CHARACTER}), &\[((?:{CHARACTER}(?:, )?)+)\]\)")

HEADER = '''\
"""Unicode {version}: written by tools/unicode_tables.py from regex-syntax {crate}; do not edit.

CLASSES: the ranges of each general category and script, as `gap length` pairs, a gap counted from the end of the last
range. FOLDS: sets of characters that are one under simple case folding, as `first+difference+difference`, the first one
counted from that of the last set.
"""

# fmt: off
'''


def source() -> tuple[Path, str]:
    """The folder of the crate's tables, and its version."""
    command = ["cargo", "metadata", "--format-version", "1", "--offline", "--locked"]
    packages = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)["packages"]
    [found] = [package for package in packages if package["name"] == "regex-syntax"]
    return Path(found["manifest_path"]).parent / "src/unicode_tables", found["version"]


def code(literal: str) -> int:
    """The code point of a character as Rust writes it."""
    text = literal[1:-1]
    if text.startswith("\\u"):
        return int(text[3:-1], 16)
    return ord(ast.literal_eval(f"'{text}'") if text.startswith("\\") else text)


def named_ranges(text: str) -> dict[str, list[tuple[int, int]]]:
    """Ranges of every class in one of the crate's files, by name."""
    tables = {name: [(code(a), code(b)) for a, b in RANGE.findall(body)] for name, body in TABLE.findall(text)}
    return {name: tables[constant] for name, constant in NAME.findall(text)}


def spelled_ranges(ranges: Iterable[tuple[int, int]]) -> str:
    """`gap length gap length …`."""
    words, end = [], 0
    for first, last in ranges:
        words.append(f"{first - end} {last - first + 1}")
        end = last + 1
    return " ".join(words)


def spelled_orbits(text: str) -> str:
    """Sets of characters, each once."""
    orbits = {tuple(sorted([code(a), *map(code, re.findall(CHARACTER, rest))])) for a, rest in ORBIT.findall(text)}
    words, before = [], 0
    for first, *others in sorted(orbits):
        words.append("+".join(map(str, [first - before, *(other - first for other in others)])))
        before = first
    return " ".join(words)


def literal(text: str, indent: str) -> str:
    """A long string in lines."""
    lines = textwrap.wrap(text, 112 - len(indent))
    return "\n".join(f'{indent}"{line}{" " if line is not lines[-1] else ""}"' for line in lines)


def render() -> str:
    """The module."""
    folder, crate = source()
    texts = {
        name: (folder / f"{name}.rs").read_text() for name in ("general_category", "script", "case_folding_simple")
    }
    version = re.findall(r"Unicode version: ([\d.]+)\.\n", texts["script"])[0]
    categories = named_ranges(texts["general_category"])
    classes = {letters: categories[name] for name, letters in LETTERS.items()}
    classes |= named_ranges(texts["script"])
    entries = [
        f'    "{name}": (\n{literal(spelled_ranges(classes[name]), " " * 8)}\n    ),' for name in sorted(classes)
    ]
    folds = literal(spelled_orbits(texts["case_folding_simple"]), "    ")
    body = "CLASSES = {\n" + "\n".join(entries) + "\n}\n\nFOLDS = (\n" + folds + "\n)\n"
    return HEADER.format(version=version, crate=crate) + body


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text = render()
    if arguments.write:
        MODULE.write_text(text, encoding="utf-8")
    elif arguments.check:
        return int(MODULE.read_text(encoding="utf-8") != text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
