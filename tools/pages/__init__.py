"""One page an operator, for the site: the data of `diptych explain`, as MyST Markdown around its HTML.

python -m tools.pages                 write docs/_generated/operators, as `make docs` does
python -m tools.pages --write DIR     write elsewhere
python -m tools.pages --only Conv,Softmax
python -m tools.pages --check         only see whether every operator has its marker in rust_core/; exit 1 if not
"""

from __future__ import annotations

import hashlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tools.operators import versions

import diptych
import diptych_reference
from diptych.errors import MissingSourceError
from diptych.explain import OperatorPage, explain_operator
from diptych.explain.conformance import conformance_of
from diptych.explain.html import operator_body, style
from diptych.explain.kernel import kernels_of, marked_operators
from diptych.explain.program import programs_of
from diptych.explain.speed import speed_of

__all__ = ["DIRECTORY", "WITHOUT_KERNEL", "check_markers", "file_name", "operators", "write_pages"]

DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "_generated" / "operators"
Key = tuple[str, str]
# Operators whose Rust no marker shows yet. May only lose members; empty, it may stay.
WITHOUT_KERNEL: frozenset[Key] = frozenset()
EXAMPLES = 8  # of each type, for the error meter: half a thousand readings in all

PAGE = """---
hide-toc: true
---
<!-- Written by tools/pages; of state {state}. -->
# {title}

````{{raw}} html
<style>
{css}</style>
<div class="dp">
{body}
</div>
````
"""
INDEX = """# Operators, one page each

{count} operators by family: what ONNX says, the rounding program, both panels' source with the values of an example,
the error meter, conformance. Written by `python -m tools.pages`; `diptych explain NAME` shows the same in a terminal.

"""


def operators() -> list[Key]:
    """(domain, op_type) of every operator of both panels."""
    return sorted(versions())


def check_markers(keys: Iterable[Key]) -> None:
    """Raise MissingSourceError where an operator that a page is wanted for has no marked Rust, and is not excused."""
    marked = marked_operators()
    missing = sorted(set(keys) - marked.keys() - WITHOUT_KERNEL)
    if missing:
        names = ", ".join(file_name(key) for key in missing)
        raise MissingSourceError(
            f"no '// [panel: …]' in rust_core/ names {names}: put one around the heart of each (docs/how-to/explain.md)"
        )
    if found := sorted(WITHOUT_KERNEL & marked.keys()):
        names = ", ".join(file_name(key) for key in found)
        raise MissingSourceError(f"tools/pages: WITHOUT_KERNEL still excuses {names}, which has a marker by now")


def file_name(key: Key) -> str:
    """Name of a page's file, without its suffix: `Conv`, `com.microsoft.Gelu`."""
    domain, op_type = key
    return f"{domain}.{op_type}" if domain else op_type


def write_pages(
    directory: Path,
    keys: Iterable[Key],
    *,
    examples: int = EXAMPLES,
    jobs: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[int, int]:
    """Write the pages of `keys` and the index; return how many were written and how many were up to date.

    `jobs` is how many processes write them. Raises MissingSourceError where a marker is missing.
    """
    keys = list(keys)
    check_markers(keys)
    directory.mkdir(parents=True, exist_ok=True)
    stale = [key for key in keys if not is_current(directory / f"{file_name(key)}.md", state_of(key, examples))]
    for number, key in enumerate(written_pages(directory, stale, examples, jobs), 1):
        progress(f"page {number} of {len(stale)}: {file_name(key)}")
    (directory / "index.md").write_text(render_index(keys), encoding="utf-8")
    return len(stale), len(keys) - len(stale)


def written_pages(directory: Path, keys: list[Key], examples: int, jobs: int) -> Iterator[Key]:
    """Write pages; each key once its page is there."""
    if jobs == 1 or len(keys) < 2 * jobs:
        for key in keys:
            yield write_page(directory, key, examples)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(write_page, directory, key, examples) for key in keys]):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def write_page(directory: Path, key: Key, examples: int) -> Key:
    """Write the page of one operator."""
    page = explain_operator(key[1], key[0], examples=examples)
    path = directory / f"{file_name(key)}.md"
    path.write_text(render(page, state_of(key, examples)), encoding="utf-8")
    return key


def is_current(path: Path, state: str) -> bool:
    """Whether a page was written from the same sources."""
    return path.exists() and f"of state {state}." in path.read_text(encoding="utf-8")


def render(page: OperatorPage, state: str) -> str:
    """The page of one operator."""
    title = file_name((page.spec.domain, page.spec.op_type))
    body = without_blank_lines(operator_body(page, titled=False))
    return PAGE.format(title=title, css=style(), body=body, state=state)


def without_blank_lines(text: str) -> str:
    """HTML without empty lines outside source, which needs none of them: a line of source is an element."""
    return "\n".join(line for line in text.splitlines() if line.strip())


def render_index(keys: list[Key]) -> str:
    """The list of all pages, by family."""
    families: dict[str, list[Key]] = defaultdict(list)
    for key in keys:
        families[family(key)].append(key)
    lines = [INDEX.format(count=len(keys))]
    for name, members in sorted(families.items()):
        links = " · ".join(f"[{file_name(key)}]({file_name(key)}.md)" for key in members)
        lines.append(f"**{name}**: {links}\n")
    entries = "\n".join(file_name(key) for key in keys)
    lines.append(f"```{{toctree}}\n:hidden:\n\n{entries}\n```\n")
    return "\n".join(lines)


def family(key: Key) -> str:
    """The module that defines an operator on the left panel, such as `conv` or `shape`."""
    return newest(key).__module__.partition("diptych_reference.ops.")[2].partition(".")[0]


def newest(key: Key) -> Callable[..., Any]:
    """The function that defines an operator's newest version."""
    found = diptych_reference.registry[key]
    return found[max(found)].function


def state_of(key: Key, examples: int) -> str:
    """A few hexadecimal digits of what a page depends on: the engine, the Python that makes it, its own sources."""
    state = hashlib.sha256(f"{common_state()} {examples}".encode())
    state.update(Path(inspect.getfile(newest(key))).read_bytes())
    own = (programs_of(key[1], key[0]), kernels_of(key[1], key[0]), conformance_of(key[1], key[0]), speed_of(key[1]))
    state.update(repr(own).encode())
    return state.hexdigest()[:16]


@cache
def common_state() -> str:
    """What all pages depend on."""
    package, reference = Path(diptych.__file__).parent, Path(diptych_reference.__file__).parent
    folders = [package / "explain", package / "testing", reference / "numerics", Path(__file__).parent]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".j2", ".css")]
    state = hashlib.sha256()
    for path in sorted([*files, *package.glob("_core*.so")]):
        state.update(path.read_bytes())
    return state.hexdigest()
