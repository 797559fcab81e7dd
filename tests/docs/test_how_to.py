"""The page "how to add an operator" tells how Softsign was added: its blocks of code stand in the files it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import diptych
import diptych_reference

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-an-operator.md").read_text(encoding="utf-8")
NAMED = r"`((?:docs|reference|rust_core|python|tests)/[\w/.]+)`"


def blocks() -> Iterator[tuple[str, list[str]]]:
    """Each block of code with the file that was last named before it; what a console shows is in no file."""
    for block in re.finditer(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        named = re.findall(NAMED, re.sub(r"^```.*?^```$", "", PAGE[: block.start()], flags=re.DOTALL | re.MULTILINE))
        if block[1] != "console":
            yield named[-1], block[2].splitlines()


BLOCKS = list(blocks())


@pytest.mark.parametrize(("path", "lines"), BLOCKS, ids=[f"{path}-{i}" for i, (path, _) in enumerate(BLOCKS)])
def test_every_block_stands_in_the_file_it_names(path: str, lines: list[str]) -> None:
    """Its lines are lines of the file, in this order."""
    rest = iter((ROOT / path).read_text(encoding="utf-8").splitlines())
    for line in lines:
        assert line in rest, f"{path} has no line {line!r} after the ones before it"


def test_the_page_has_a_block_for_every_place() -> None:
    assert {path.split("/")[0] for path, _ in BLOCKS} == {"docs", "reference", "rust_core", "python"}
    assert len(BLOCKS) >= 7


def test_files_it_names_exist() -> None:
    for path in re.findall(NAMED, PAGE):
        assert (ROOT / path).exists(), path


def test_the_versions_are_those_of_both_registries() -> None:
    since = sorted(diptych_reference.registry["", "Softsign"])
    assert f"since=({', '.join(map(str, since))})" in PAGE
    assert [version for _, name, version in sorted(diptych.operators()) if name == "Softsign"] == since
