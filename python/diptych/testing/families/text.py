"""Operators on strings: texts that break where they are split, change case, match."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array

# White space of all kinds, delimiters side by side, letters whose case is more than one character or has no pair.
TEXTS = (
    "", "a", "a b", "  a   b  ", "a,b,,c,", ",", "aa", "aaa", "\t\n", "a\u00a0b", "a\u2003b\x1c", "a\x85b", "Straße",
    "ΑΣ ας", "İı", "ŉ", "ǆǅǄ", "ﬁ", "the", "The", "THE", "ſK\u212a", "日本 語", "\U0001f600", "\u0264\ua7cb", "ᾳ",
    "0,1",
)  # fmt: skip
PATTERNS = (
    r"\w+", "a*", "", r"[\w ]*", r"(?i)the|a", r"\pL*", r"(\S+\s*)+", ".", "(?s).*", r"(?i)[a-z]+", r"\W*\b\w.*",
    r"[^,]*(,[^,]*){2,}", r"(?m)^\t$\n", r"\p{Greek}+ \P{Greek}*", r"a{2,3}", r"(?i)straße", r"\x{1F600}|\Q0,1\E",
    r"(|a)(b|)+", r"[[:^space:]]+",
)  # fmt: skip


def texts(s: Sketch, shape: tuple[int, ...]) -> Array:
    """A tensor of texts."""
    picks = s.tensor(shape, np.int32, specials=False)
    result = np.empty(picks.shape, dtype=object)
    offset = s.integer(0, len(TEXTS) - 1)
    result.reshape(-1)[:] = [TEXTS[(int(i) + offset) % len(TEXTS)] for i in picks.reshape(-1)]
    return result


@shape_rule("StringConcat")
def string_concat(s: Sketch) -> list[Any]:
    """Two tensors whose shapes broadcast."""
    full = s.shape(limit=100)
    first, second = (shapes.operand(s.draw, full) if s.coin() else full for _ in range(2))
    return [texts(s, first), texts(s, second)]


@shape_rule("StringNormalizer")
def string_normalizer(s: Sketch) -> list[Any]:
    """Words in one row, with or without the axis of the row; stop words that leave some or none."""
    s.attribute("case_change_action", "LOWER", "UPPER", "NONE")
    s.attribute("is_case_sensitive", 0, 1)
    s.attribute("locale", "en_US", "de_DE.UTF-8", "C")
    if s.coin():
        s.set("stopwords", list(s.choose(("the", "a"), (), ("ΑΣ ας", "İı", "STRASSE"), TEXTS)))
    n = s.integer(0, 9)
    return [texts(s, (n,) if s.coin() else (1, n))]


@shape_rule("StringSplit")
def string_split(s: Sketch) -> list[Any]:
    """Texts of any shape, split at white space, at one or at two characters."""
    s.n_outputs = s.choose(2, 1)
    s.attribute("delimiter", "", ",", "a", "aa", " ", "\u00a0")
    s.attribute("maxsplit", 1, 0, 2, -1, 100)
    return [texts(s, s.shape(limit=50))]


@shape_rule("RegexFullMatch")
def regex_full_match(s: Sketch) -> list[Any]:
    """Texts of any shape, and a pattern."""
    s.set("pattern", s.choose(*PATTERNS))
    return [texts(s, s.shape(limit=50))]


@shape_rule("TfIdfVectorizer")
def tf_idf_vectorizer(s: Sketch) -> list[Any]:
    """Rows of few different tokens, a pool of their n-grams of up to three, places in any order or shared."""
    tokens: tuple[Any, ...] = ("a", "b", "", "日") if s.dtype == object else (0, 1, -7, 2**31 - 1)
    lengths = [s.integer(0, 3) for _ in range(s.integer(1, 3))]
    lengths[0] += sum(lengths) == 0
    pool: list[Any] = []
    starts = []
    for size, count in enumerate(lengths, start=1):
        starts.append(len(pool))
        pool += [s.choose(*tokens) for _ in range(size * count)]
    n = sum(lengths)
    s.set("pool_strings" if s.dtype == object else "pool_int64s", pool)
    s.set("ngram_counts", starts)
    s.set("ngram_indexes", [s.integer(0, n) for _ in range(n)])
    if s.coin():
        s.set("weights", [s.choose(1.0, 0.5, -0.0, 0.1, np.inf, 3e38) for _ in range(n)])
    s.set("mode", s.choose("TF", "IDF", "TFIDF"))
    s.set("max_gram_length", s.integer(1, len(lengths)))
    s.set("min_gram_length", s.integer(1, s.attributes["max_gram_length"]))
    s.set("max_skip_count", s.choose(0, 1, 2, 5, 100))
    shape = (s.integer(0, 12),) if s.coin() else (s.integer(0, 3), s.integer(0, 12))
    picks = s.tensor(shape, np.int32, specials=False).reshape(-1)
    row = np.array([*(tokens[int(i) % 4] for i in picks), tokens[0]], dtype=s.dtype)[:-1]
    return [row.reshape(shape)]
