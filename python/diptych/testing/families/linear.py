"""Einsum and Det."""

from __future__ import annotations

from typing import Any

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule

LETTERS = "ijkBa"  # ASCII order differs from that of first appearance
LENGTHS = (2, 3, 1, 0, 5, 17)
PATTERNS = (  # what models use, and every kind of axis: chained, in both, in one alone, broadcast
    "ij,jk->ik", "ij,jk", "bij,bjk->bik", "bhid,bhjd->bhij", "bhij,bhjd->bhid", "bihd,bjhd->bhij", "bid,de->bie",
    "i,j->ij", "i,j->ji", "ij,ij->ij", "ij,ij->i", "ij,ij", "i,i", "ij,kj->ki", "ji,jk->ik", "ij->ji", "ij->i", "ij->j",
    "ii->i", "ii", "iji->j", "ij->", "...ij,...jk->...ik", "...i->...", "i...->...i", "...,...", "...i,i", "...i->i",
    "a...b,b->a...",
    "ij,jk,kl->il", "ij,jk,kl", "i,i,i->i", "i,j,k->kji", "bij,ij,j->b", "ij,kl,jl->ik", "B a , a B -> a", ",ij->ji",
    "bi,bi->b", "ijk,kj->i", "ikjl,kl->ij",
)  # fmt: skip


@shape_rule("Einsum")
def einsum(s: Sketch) -> list[Any]:
    """An equation as models have them, or one of random terms; letters of one length, or 1 where it broadcasts."""
    equation = s.choose(*PATTERNS) if s.coin() else random_equation(s)
    s.set("equation", equation)
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    budget = 4096 ** (1 / max(1, len({c for c in equation if c.isalpha()})))
    lengths = tuple(n for n in LENGTHS if n <= max(3, budget))
    sizes = {letter: int(s.choose(*lengths)) for letter in sorted({c for c in equation if c.isalpha()})}
    hidden = [int(s.choose(2, 1, 3)) for _ in range(s.integer(0, 2))] if "..." in equation else []
    return [s.tensor(term_shape(s, term, sizes, hidden)) for term in terms]


def term_shape(s: Sketch, term: str, sizes: dict[str, int], hidden: list[int]) -> tuple[int, ...]:
    """An operand's shape; a letter that it has once may broadcast."""
    before, dots, after = term.partition("...")
    flat = {
        letter: 1 if term.count(letter) == 1 and s.integer(0, 9) == 9 else sizes[letter] for letter in before + after
    }
    middle = [1 if s.integer(0, 4) == 4 else n for n in hidden] if dots else []
    return (*(flat[c] for c in before), *middle, *(flat[c] for c in after))


def random_equation(s: Sketch) -> str:
    """One to three terms of up to three letters, perhaps with an ellipsis; the output is some of them, or implicit."""
    terms = []
    for _ in range(s.integer(1, 3)):
        letters = "".join(s.choose(*LETTERS) for _ in range(s.integer(0, 3)))
        at = s.integer(0, len(letters))
        terms.append(letters[:at] + ("..." if s.integer(0, 3) == 3 else "") + letters[at:])
    left = ",".join(terms)
    if s.coin():
        return left
    used = sorted(set(left) - set(".,"))
    order = [used[i] for i in shapes.permutation(s.draw, len(used))][: s.integer(0, len(used))]
    at = s.integer(0, len(order))
    return f"{left}->{''.join(order[:at])}{'...' if '...' in left and s.integer(0, 3) else ''}{''.join(order[at:])}"


@shape_rule("Det")
def det(s: Sketch) -> list[Any]:
    """Square matrices, singular ones among them."""
    size = s.choose(2, 3, 1, 0, 4, 5, 9, 17)
    x = s.tensor((*s.shape((0, 2), limit=8), size, size))
    if size > 1 and s.coin():
        x[..., size - 1, :] = x[..., 0, :]
    return [x]
