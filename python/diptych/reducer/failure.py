"""What failed, in a form that does not change while the model around it shrinks.

A reduction that only asks "does it still fail?" slips from the bug it was given to another one that is easier to keep.
Here a failure has a signature, and a candidate counts only where its failure has the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from diptych.errors import Error

__all__ = ["WRONG", "Failure", "NoFailureError", "normal_message"]

# Kinds of a wrong output, as `diptych.testing.oracles.Verdict` has them.
WRONG = ("type", "class", "bound", "bits")


class NoFailureError(Error):
    """The engine agrees with the reference, or the check says so: there is nothing to reduce."""


@dataclass(frozen=True)
class Failure:
    """A failure's signature, and what people want to know besides.

    `kind` is one of `WRONG` for outputs (their type or shape; NaN, infinity or the sign of a zero; beyond the error
    bound; other bits), or "crash", "hang", "refused", "error", or "check" where the user's own check says so.
    `operator` is the operator whose outputs are wrong, "" where a whole graph was judged. `detail` is the signal, or
    the exception and its message without what changes from model to model. `message` and `output` (the position of the
    wrong output) are not part of the signature.
    """

    kind: str
    operator: str = ""
    detail: str = ""
    message: str = field(default="", compare=False)
    output: int | None = field(default=None, compare=False)

    @property
    def wrong(self) -> bool:
        """Whether the engine answered, wrongly."""
        return self.kind in WRONG

    def same(self, other: Failure | None) -> bool:
        """Whether `other` is this failure again. One of a whole graph may turn out to be that of one operator."""
        if other is None or (self.kind, self.detail) != (other.kind, other.detail):
            return False
        return self.operator in ("", other.operator)

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.kind}{f' in {self.operator}' if self.operator else ''}: {self.message or self.detail}"


_VARYING = (
    (re.compile(r"0x[0-9a-fA-F]+"), "#"),
    (re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`"), "…"),
    (re.compile(r"(?:/[\w.+-]+){2,}"), "…"),  # paths
    (re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"), "#"),
    (re.compile(r"[\[({]\s*(?:#|None|\?)?(?:\s*[,x]\s*(?:#|None|\?))*\s*,?\s*[\])}]"), "#"),  # shapes
    (re.compile(r"#(?:\s*[,x]\s*#)+"), "#"),
    (re.compile(r"\s+"), " "),
)


def normal_message(message: str, names: Iterable[str]) -> str:
    """Return a message without what tells of one model: `names` of its values and nodes, numbers, shapes, quotes."""
    known = sorted({name for name in names if len(name) > 1 or name.isdigit()}, key=lambda name: (-len(name), name))
    if known:
        message = re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})(?!\w)", "…", message)
    for pattern, instead in _VARYING:
        message = pattern.sub(instead, message)
    return re.sub(r"…(?:[\s,:]*…)+", "…", message).strip()[:400]
