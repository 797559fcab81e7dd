"""Values as they flow through the left panel: which of its functions ran, and what each of their lines gave."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import diptych_reference
from diptych.explain.shown import element, kind_of

__all__ = ["Line", "Note", "Recorder", "Stretch", "recording", "stretch_of"]

OPERATORS = str(Path(diptych_reference.__file__).parent / "ops")
ROOT = Path(diptych_reference.__file__).parents[1]
LIMIT = 4096  # elements of a value that is looked at
ELEMENTS = 6
COMPREHENSIONS = ("<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>")
EVENTS = 200_000  # then recording stops: the example is there to be read


@dataclass(frozen=True)
class Note:
    """A value that a line gave: of a variable, or of a function's return (`name` is "return")."""

    name: str
    kind: str
    shown: str


@dataclass(frozen=True)
class Line:
    """A line of source with what it gave when it last ran."""

    number: int
    text: str
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Stretch:
    """A function of the left panel: where it stands, relative to the folder of the distribution, and its lines."""

    name: str
    path: str
    first: int
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The source."""
        return "\n".join(line.text for line in self.lines) + "\n"


@dataclass
class Recorder:
    """What ran in the reference's operators: `codes` in the order of their first calls, `notes` by place."""

    codes: list[CodeType] = field(default_factory=list)
    notes: dict[tuple[str, int], dict[str, Note]] = field(default_factory=dict)
    events: int = 0

    def trace(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        """`sys.settrace`'s global function: follow the frames of operators."""
        code = frame.f_code
        if self.events > EVENTS or not code.co_filename.startswith(OPERATORS):
            return None
        if not code.co_name.startswith("<") and code not in self.codes:
            self.codes.append(code)
        return Frame(self, frame).trace

    def note(self, path: str, line: int, name: str, value: Any) -> None:
        """Keep what a line gave, the last time counting."""
        if describable(value):
            self.notes.setdefault((path, line), {})[name] = Note(name, kind(value), shown(value))

    def stretches(self, start: Callable[..., Any]) -> list[Stretch]:
        """The function that defines the operator, then what it called: its own module first, else in order."""
        first = inspect.unwrap(start)
        found = [stretch_of(first, self.notes)]
        inside = {(found[0].path, line.number) for line in found[0].lines}
        own_first = sorted(self.codes, key=lambda code: code.co_filename != first.__code__.co_filename)
        for code in own_first:
            stretch = stretch_of(code, self.notes)
            if (stretch.path, stretch.first) not in inside:
                found.append(stretch)
                inside.update((stretch.path, line.number) for line in stretch.lines)
        return found


class Frame:
    """One call: which variables changed since the line before."""

    def __init__(self, recorder: Recorder, frame: FrameType) -> None:
        self.recorder, self.path = recorder, frame.f_code.co_filename
        self.line, self.nameless = frame.f_lineno, frame.f_code.co_name.startswith("<")
        self.before = {name: fingerprint(value) for name, value in frame.f_locals.items()}
        if recorder.codes and frame.f_code is not recorder.codes[0] and not self.nameless:
            for name, value in frame.f_locals.items():  # the operator's own arguments are its inputs
                recorder.note(self.path, frame.f_code.co_firstlineno, name, value)

    def trace(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        """Note what the line that has just run gave."""
        self.recorder.events += 1
        if self.recorder.events > EVENTS:
            return None
        if event in ("line", "return") and not self.nameless:
            now = {name: fingerprint(value) for name, value in frame.f_locals.items()}
            for name, print_ in now.items():
                if self.before.get(name) != print_:
                    self.recorder.note(self.path, self.line, name, frame.f_locals[name])
            self.before = now
        if event == "return" and argument is not None and frame.f_code.co_name not in COMPREHENSIONS:
            self.recorder.note(self.path, self.line, "return", argument)
        if event == "line":
            self.line = frame.f_lineno
        return self.trace


@contextmanager
def recording() -> Iterator[Recorder]:
    """Record what the left panel's operators do inside the block, on this thread."""
    recorder, previous = Recorder(), sys.gettrace()
    sys.settrace(recorder.trace)
    try:
        yield recorder
    finally:
        sys.settrace(previous)


def stretch_of(function: Callable[..., Any] | CodeType, notes: dict[tuple[str, int], dict[str, Note]]) -> Stretch:
    """The source of a function with the notes of its lines."""
    lines, first = inspect.getsourcelines(function)
    code = function if isinstance(function, CodeType) else function.__code__
    path = code.co_filename
    numbered = (
        Line(first + i, text.rstrip("\n"), tuple(notes.get((path, first + i), {}).values()))
        for i, text in enumerate(lines)
    )
    shown_path = Path(path).relative_to(ROOT).as_posix() if Path(path).is_relative_to(ROOT) else path
    return Stretch(code.co_qualname, shown_path, first, tuple(numbered))


def describable(value: Any) -> bool:
    """Whether a value says something in a few letters."""
    if isinstance(value, tuple | list):
        return len(value) <= 8 and all(describable(item) for item in value)
    if isinstance(value, np.ndarray):
        return value.size <= LIMIT
    return isinstance(value, bool | int | float | complex | str | np.generic)


def fingerprint(value: Any) -> Any:
    """Something that changes when a value does, in place too."""
    if isinstance(value, np.ndarray) and value.size <= LIMIT:
        plain = value.dtype.kind != "O"
        return (value.dtype, value.shape, value.tobytes() if plain else repr(value.tolist()))
    if isinstance(value, bool | int | float | complex | str | np.generic):
        return (type(value), repr(value))
    if isinstance(value, tuple | list):
        return (type(value), tuple(fingerprint(item) for item in value[:8]), len(value))
    return id(value)


def kind(value: Any) -> str:
    """Dtype and shape of an array; nothing for what shows its own type."""
    if isinstance(value, tuple | list) and any(isinstance(item, np.ndarray) for item in value):
        return ", ".join(kind_of(item) if isinstance(item, np.ndarray) else "" for item in value)
    return kind_of(value) if isinstance(value, np.ndarray | np.generic) else ""


def shown(value: Any) -> str:
    """The value in a few letters."""
    if isinstance(value, np.ndarray):
        first = [element(item) for item in value.flat[:ELEMENTS]]
        return " ".join(first) + (" …" if value.size > ELEMENTS else "")
    if isinstance(value, tuple | list):
        left, right = ("(", ")") if isinstance(value, tuple) else ("[", "]")
        return left + ", ".join(shown(item) for item in value) + right
    return element(value) if isinstance(value, np.generic) else repr(value)
