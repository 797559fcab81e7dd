"""Regular expressions as RE2 has them: a pattern becomes a tree, the tree a machine, which reads a text once.

RE2's syntax (github.com/google/re2/wiki/Syntax) is what the parser takes; what it refuses, RE2 refuses. Only whether
all of a text matches is asked, so captures, and which of two matches is preferred, do not matter. A text is a sequence
of characters, and the machine is in many states at a time; so a match takes time linear in the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from diptych_reference.errors import InvalidModelError, ResourceLimitError, UnsupportedOperatorError
from diptych_reference.unicode_tables import CLASSES, FOLDS

MAX_DEPTH = 100  # nested groups
MAX_REPEAT = 1000  # of one repetition, and of nested ones taken together
MAX_SIZE = 200_000  # leaves of the tree with its repetitions written out, each range of characters counting as one
UNICODE_CLASS_SIZE = 500  # what a category or script counts as
LAST = 0x10FFFF

Ranges = list[tuple[int, int]]  # of characters, first and last

DIGITS, SPACES = [(48, 57)], [(9, 10), (12, 13), (32, 32)]
LOWER, UPPER = [(97, 122)], [(65, 90)]
WORD: Ranges = [*DIGITS, *UPPER, (95, 95), *LOWER]
PERL: dict[str, Ranges] = {"d": DIGITS, "s": SPACES, "w": WORD}
POSIX: dict[str, Ranges] = {
    "alnum": [*DIGITS, *UPPER, *LOWER], "alpha": [*UPPER, *LOWER], "ascii": [(0, 127)], "blank": [(9, 9), (32, 32)],
    "cntrl": [(0, 31), (127, 127)], "digit": DIGITS, "graph": [(33, 126)], "lower": LOWER, "print": [(32, 126)],
    "punct": [(33, 47), (58, 64), (91, 96), (123, 126)], "space": [(9, 13), (32, 32)], "upper": UPPER, "word": WORD,
    "xdigit": [*DIGITS, (65, 70), (97, 102)],
}  # fmt: skip
ESCAPES = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


# The tree


@dataclass(frozen=True)
class Chars:
    """One character of a set; `size` is how many ranges the pattern spells it with."""

    ranges: tuple[tuple[int, int], ...]
    size: int


@dataclass(frozen=True)
class Assertion:
    """No character, but a condition on the characters before and after (None at the ends)."""

    holds: Callable[[str | None, str | None], bool]


@dataclass(frozen=True)
class Concat:
    """One after the other."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Alternate:
    """One of them."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """`least` to `most` times (None: without end). `counted` is false for `*`, `+` and `?`."""

    inner: Node
    least: int
    most: int | None
    counted: bool


Node = Chars | Assertion | Concat | Alternate | Repeat


# Sets of characters


def union(*sets: Ranges) -> Ranges:
    """The ranges of all characters in any of the sets, sorted and apart."""
    merged: Ranges = []
    for first, last in sorted(r for ranges in sets for r in ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def complement(ranges: Ranges) -> Ranges:
    """The ranges of all other characters."""
    edges = [-1, *(edge for r in union(ranges) for edge in (r[0], r[1])), LAST + 1]
    gaps = [(edges[i] + 1, edges[i + 1] - 1) for i in range(0, len(edges), 2)]
    return [gap for gap in gaps if gap[0] <= gap[1]]


@cache
def unicode_class(name: str) -> tuple[tuple[int, int], ...]:
    """The ranges of a general category, of all whose names start with one letter, or of a script."""
    if len(name) == 1:
        return tuple(union(*(list(unicode_class(n)) for n in CLASSES if len(n) == 2 and n[0] == name and n.istitle())))
    numbers = list(map(int, CLASSES[name].split()))
    ranges, end = [], 0
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        ranges.append((end + gap, end + gap + length - 1))
        end += gap + length
    return tuple(ranges)


@cache
def orbits() -> dict[int, list[int]]:
    """Of each character that has them: those that differ from it in case alone."""
    found, first = {}, 0
    for word in FOLDS.split():
        start, *differences = map(int, word.split("+"))
        first += start
        orbit = [first, *(first + difference for difference in differences)]
        found.update(dict.fromkeys(orbit, orbit))
    return found


@cache
def folded(ranges: tuple[tuple[int, int], ...]) -> Ranges:
    """The set with all that differs from its characters in case alone."""
    inside = union(list(ranges))
    return union(inside, [(d, d) for c, orbit in orbits().items() if contains(inside, c) for d in orbit])


# The parser


class Parser:
    """Reads a pattern from the left. Flags hold up to the end of the group they stand in."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0
        self.flags = frozenset("")  # of i, m, s

    def wrong(self, why: str) -> InvalidModelError:
        """The error of a pattern that is not RE2's."""
        return InvalidModelError(f"pattern {self.pattern!r} is not RE2's syntax: {why}, before character {self.at}")

    def peek(self, ahead: int = 0) -> str:
        """A character that is not read yet, "" at the end."""
        return self.pattern[self.at + ahead : self.at + ahead + 1]

    def next(self) -> str:
        """Read a character, "" at the end."""
        found = self.peek()
        self.at += len(found)
        return found

    def takes(self, text: str) -> bool:
        """Read `text` if it comes next."""
        comes = self.pattern.startswith(text, self.at)
        self.at += len(text) if comes else 0
        return comes

    def whole(self) -> Node:
        """The tree of the pattern."""
        node = self.alternatives(0)
        if self.peek():
            raise self.wrong("unexpected )")
        if size(node) > MAX_SIZE:
            raise ResourceLimitError(f"pattern {self.pattern[:40]!r}… is too large")
        return node

    def alternatives(self, depth: int) -> Node:
        """Branches up to `)` or the end."""
        branches = [self.concat(depth)]
        while self.takes("|"):
            branches.append(self.concat(depth))
        return branches[0] if len(branches) == 1 else Alternate(tuple(branches))

    def concat(self, depth: int) -> Node:
        """What stands in one branch. Repetitions do not stack: `a**` is none."""
        nodes: list[Node] = []
        repeated = False
        while self.peek() not in ("", "|", ")"):
            counts = self.repetition()
            if counts is None:
                nodes += self.atom(depth)
            else:
                self.takes("?")  # which of two matches is preferred does not matter here
                if repeated or not nodes:
                    raise self.wrong("bad repetition operator" if repeated else "no argument for repetition operator")
                nodes.append(self.repeat(nodes.pop(), *counts))
            repeated = counts is not None
        return nodes[0] if len(nodes) == 1 else Concat(tuple(nodes))

    def repetition(self) -> tuple[int, int | None, bool] | None:
        """`*`, `+`, `?`, `{n}`, `{n,}` or `{n,m}`, if one comes next; other braces are literals."""
        for operator, counts in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self.takes(operator):
                return *counts, False
        start = self.at
        found = self.counts() if self.takes("{") else None
        if found is None:
            self.at = start
            return None
        least, most = found
        if least > MAX_REPEAT or (most is not None and not least <= most <= MAX_REPEAT):
            raise self.wrong("invalid repetition size")
        return least, most, True

    def counts(self) -> tuple[int, int | None] | None:
        """What follows the brace, the closing one included; None where that is no repetition."""
        least = self.integer()
        if least is None:
            return None
        if self.takes("}"):
            return least, least
        if not self.takes(","):
            return None
        if self.takes("}"):
            return least, None
        most = self.integer()
        return (least, most) if most is not None and self.takes("}") else None

    def integer(self) -> int | None:
        """Digits without a leading zero, below 10^9; None where there are none."""
        start = self.at
        while self.peek() in ASCII_DIGITS:
            self.at += 1
        digits = self.pattern[start : self.at]
        return None if not digits or len(digits) > 9 or (digits[0] == "0" and len(digits) > 1) else int(digits)

    def repeat(self, inner: Node, least: int, most: int | None, counted: bool) -> Node:
        """A repetition. Nested ones multiply, and may not be too many."""
        node = Repeat(inner, least, most, counted)
        if counted and max(least, most or 0) >= 2 and repeats_left(node, MAX_REPEAT) == 0:
            raise self.wrong("invalid repetition size: nested repetitions are too many")
        return node

    def atom(self, depth: int) -> list[Node]:
        """What the next token stands for: mostly one node, none for flags."""
        match self.next():
            case "(":
                return self.group(depth)
            case "[":
                return [self.char_class()]
            case "\\":
                return self.escape()
            case ".":
                newline = [] if "s" in self.flags else [(10, 10)]
                return [Chars(tuple(complement(newline)), 1 + len(newline))]
            case "^":
                return [Assertion(begin_line if "m" in self.flags else begin_text)]
            case "$":
                return [Assertion(end_line if "m" in self.flags else end_text)]
            case c:
                return [self.literal(ord(c))]

    def literal(self, code: int) -> Node:
        """One character, or those that differ in case alone."""
        return self.one([(code, code)], 1)

    def one(self, ranges: Ranges, spelled: int, negated: bool = False) -> Node:
        """A set by itself."""
        ranges = self.set_of(ranges, negated)
        return Chars(tuple(ranges), 1 + spelled)

    def set_of(self, ranges: Ranges, negated: bool) -> Ranges:
        """A set as the flags have it: without regard to case before it is negated."""
        inside = folded(tuple(ranges)) if "i" in self.flags else union(ranges)
        return complement(inside) if negated else inside

    def group(self, depth: int) -> list[Node]:
        """After `(`: a group, or flags for the rest of this one."""
        if depth >= MAX_DEPTH:
            raise ResourceLimitError(f"pattern {self.pattern[:40]!r}… nests more than {MAX_DEPTH} groups")
        outer = self.flags
        if self.takes("?"):
            if self.takes("P<") or self.takes("<"):
                self.group_name()
            elif not self.group_flags():
                return []
        node = self.alternatives(depth + 1)
        if not self.takes(")"):
            raise self.wrong("missing )")
        self.flags = outer
        return [node]

    def group_name(self) -> None:
        """A name of ASCII letters, digits and underscores."""
        start = self.at
        while self.peek() and contains(WORD, ord(self.peek())):
            self.at += 1
        if self.at == start or not self.takes(">"):
            raise self.wrong("invalid named capture group")

    def group_flags(self) -> bool:
        """Flags up to `:`, which opens a group, or `)`."""
        on, dangling, flags = True, False, set(self.flags)
        while True:
            c = self.next()
            if c and c in "ims":
                flags = flags | {c} if on else flags - {c}
            elif c == "-" and on:
                on = False
            elif c and c in ":)" and not dangling:
                self.flags = frozenset(flags)
                return c == ":"
            elif c != "U":  # which says which of two matches is preferred
                raise self.wrong("invalid perl operator")
            dangling = c == "-"

    def escape(self) -> list[Node]:
        """After a backslash outside of a class."""
        c = self.next()
        if not c:
            raise self.wrong("trailing \\")
        if c in ASSERTIONS:
            return [Assertion(ASSERTIONS[c])]
        if c == "Q":
            end = self.pattern.find("\\E", self.at)
            quoted = self.pattern[self.at : end if end >= 0 else None]
            self.at += len(quoted) + (2 if end >= 0 else 0)
            return [self.literal(ord(q)) for q in quoted]
        if c == "C":
            raise UnsupportedOperatorError("\\C in a pattern: strings are matched by characters, not by bytes")
        found = self.class_escape(c)
        return [self.literal(self.character(c)) if found is None else self.one(*found)]

    def class_escape(self, c: str) -> tuple[Ranges, int, bool] | None:
        r"""`\d`, `\w`, `\s`, `\p{..}` and their complements: ranges, what they count as, and whether negated."""
        if c in ("d", "s", "w", "D", "S", "W"):
            ranges = PERL[c.lower()]
            return ranges, len(ranges), c.isupper()
        return self.unicode(c == "P") if c in ("p", "P") else None

    def unicode(self, negated: bool) -> tuple[Ranges, int, bool]:
        r"""After `\p` or `\P`: a letter, or a name in braces, which `^` negates."""
        name = self.next()
        if name == "{":
            end = self.pattern.find("}", self.at)
            name = self.pattern[self.at : max(end, self.at)]
            self.at = end + 1 if end >= 0 else self.at
        if name.startswith("^"):
            name, negated = name[1:], not negated
        if name == "Any":
            return [(0, LAST)], 1, negated
        if name != "Cs" and name not in CLASSES and not (len(name) == 1 and name in "CLMNPSZ"):
            raise self.wrong("invalid character class range")
        return ([] if name == "Cs" else list(unicode_class(name))), UNICODE_CLASS_SIZE, negated

    def character(self, c: str) -> int:
        """The character that the escape of `c` stands for, also in a class."""
        if c in OCTAL and c and (c == "0" or (self.peek() and self.peek() in OCTAL)):
            digits = c
            while len(digits) < 3 and self.peek() and self.peek() in OCTAL:
                digits += self.next()
            return int(digits, 8)
        if c == "x":
            return self.hexadecimal()
        if c in ESCAPES:
            return ESCAPES[c]
        if not c.isascii() or c.isalnum():
            raise self.wrong("invalid escape sequence")
        return ord(c)

    def hexadecimal(self) -> int:
        r"""After `\x`: two digits, or any number of them in braces."""
        if self.takes("{"):
            end = self.pattern.find("}", self.at)
            digits = self.pattern[self.at : max(end, self.at)]
            self.at = end + 1
        else:
            digits = (self.next() + self.next()).ljust(2, "?")
        if not digits or not set(digits) <= HEXADECIMAL or int(digits, 16) > LAST:
            raise self.wrong("invalid escape sequence")
        return int(digits, 16)

    def char_class(self) -> Node:
        """After `[`. A `]` that comes first is a literal."""
        negated, first = self.takes("^"), True
        found: Ranges = []
        spelled = 0
        while first or self.peek() != "]":
            if not self.peek():
                raise self.wrong("missing ]")
            first = False
            ranges, count, complemented = self.class_item()
            found = union(found, self.set_of(ranges, complemented))
            spelled += count
        self.at += 1
        return Chars(tuple(complement(found) if negated else found), 1 + spelled)

    def class_item(self) -> tuple[Ranges, int, bool]:
        """A class within a class, a character, or a range of them."""
        posix = self.posix_class()
        if posix is not None:
            return posix
        if self.peek() == "\\" and self.peek(1) and self.peek(1) in "dDsSwWpP":
            self.at += 1
            named = self.class_escape(self.next())
            if named is not None:
                return named
        low = high = self.class_character()
        if self.peek() == "-" and self.peek(1) not in ("]", ""):
            self.at += 1
            high = self.class_character()
        if high < low:
            raise self.wrong("invalid character class range")
        return [(low, high)], 1, False

    def class_character(self) -> int:
        """One character of a class."""
        c = self.next()
        if c != "\\":
            return ord(c)
        c = self.next()
        if not c:
            raise self.wrong("trailing \\")
        return self.character(c)

    def posix_class(self) -> tuple[Ranges, int, bool] | None:
        """`[:alpha:]` and the like. Without `:]` in the rest of the pattern, the bracket is a literal."""
        end = self.pattern.find(":]", self.at + 2)
        if end < 0 or not self.pattern.startswith("[:", self.at):
            return None
        name = self.pattern[self.at + 2 : end]
        negated = name.startswith("^")
        name = name[1:] if negated else name
        if name not in POSIX:
            raise self.wrong("invalid character class range")
        self.at = end + 2
        return POSIX[name], len(POSIX[name]), negated


ASCII_DIGITS = tuple("0123456789")
OCTAL = "01234567"
HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


def repeats_left(node: Node, left: int) -> int:
    """What is left of `left` repetitions after those of a tree: each level divides it. 0 is too few."""
    if isinstance(node, Concat | Alternate):
        return min((repeats_left(inner, left) for inner in node.nodes), default=left)
    if isinstance(node, Repeat):
        own = left // max(node.least if node.most is None else node.most, 1) if node.counted else left
        return min(own, repeats_left(node.inner, own))
    return left


def size(node: Node) -> int:
    """Leaves of a tree with its repetitions written out."""
    if isinstance(node, Concat | Alternate):
        return 1 + sum(map(size, node.nodes))
    if isinstance(node, Repeat):
        return size(node.inner) * max(node.least if node.most is None else node.most, 1)
    return node.size if isinstance(node, Chars) else 1


# Conditions between two characters


def begin_text(before: str | None, _: str | None) -> bool:
    """Nothing comes before."""
    return before is None


def end_text(_: str | None, after: str | None) -> bool:
    """Nothing comes after."""
    return after is None


def begin_line(before: str | None, _: str | None) -> bool:
    """A line begins."""
    return before is None or before == "\n"


def end_line(_: str | None, after: str | None) -> bool:
    """A line ends."""
    return after is None or after == "\n"


def at_word_boundary(before: str | None, after: str | None) -> bool:
    """One of the two characters is an ASCII letter, digit or underscore, the other is not."""
    inside = [c is not None and contains(WORD, ord(c)) for c in (before, after)]
    return inside[0] != inside[1]


def not_at_word_boundary(before: str | None, after: str | None) -> bool:
    """Both are, or neither is."""
    return not at_word_boundary(before, after)


ASSERTIONS = {
    "A": begin_text, "z": end_text, "b": at_word_boundary, "B": not_at_word_boundary,
}  # fmt: skip


def contains(ranges: Ranges | tuple[tuple[int, int], ...], code: int) -> bool:
    """Whether a character is in one of some sorted ranges."""
    low, high = 0, len(ranges)
    while low < high:
        middle = (low + high) // 2
        if ranges[middle][1] < code:
            low = middle + 1
        else:
            high = middle
    return low < len(ranges) and ranges[low][0] <= code


# The machine


@dataclass(eq=False)
class State:
    """A place in the machine: a character or condition to pass on the way to `after`, or a fork (neither)."""

    step: Chars | Assertion | None
    after: list[State]


def build(node: Node, end: State) -> State:
    """The state from which what `node` matches leads to `end` (Thompson's construction)."""
    if isinstance(node, Chars | Assertion):
        return State(node, [end])
    if isinstance(node, Concat):
        for inner in reversed(node.nodes):
            end = build(inner, end)
        return end
    if isinstance(node, Alternate):
        return State(None, [build(inner, end) for inner in node.nodes])
    if node.most is None:
        fork = State(None, [end])
        fork.after.append(build(node.inner, fork))
        end = fork
    for _ in range((node.most or node.least) - node.least):
        end = State(None, [end, build(node.inner, end)])
    for _ in range(node.least):
        end = build(node.inner, end)
    return end


def reached(states: list[State], before: str | None, after: str | None) -> list[State]:
    """States that wait for a character, on all ways from `states` whose conditions hold; the end waits for ever."""
    found, seen, stack = [], set(), list(states)
    while stack:
        state = stack.pop()
        if id(state) in seen:
            continue
        seen.add(id(state))
        if isinstance(state.step, Chars) or not state.after:
            found.append(state)
        elif state.step is None or state.step.holds(before, after):
            stack.extend(state.after)
    return found


def full_matcher(pattern: str) -> Callable[[str], bool]:
    """A function that says whether all of a text matches; InvalidModelError where RE2 refuses the pattern."""
    end = State(None, [])
    start = build(Parser(pattern).whole(), end)

    def matches(text: str) -> bool:
        states = [start]
        before: str | None = None
        for c in text:
            alive = reached(states, before, c)
            passed = [s for s in alive if isinstance(s.step, Chars) and contains(s.step.ranges, ord(c))]
            states, before = [s.after[0] for s in passed], c
        return any(state is end for state in reached(states, before, None))

    return matches
