"""Strings: joined, split, compared with words and patterns, counted.

Strings are sequences of Unicode characters. Nothing is rounded but TfIdfVectorizer's numbers, in binary32: an n-gram
found `count > 0` times adds `rn(count)` (TF), its weight (IDF) or `rn(rn(count) * weight)` (TFIDF) to its place, in the
order of the pool from +0, each sum rounded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from diptych_reference.errors import InvalidModelError, ShapeError, UnsupportedOperatorError
from diptych_reference.operator import Array, operator
from diptych_reference.re2 import full_matcher

# Unicode's property White_Space, which is not Python's idea of it (U+001C to U+001F are none).
WHITE_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
SPACES = re.compile(f"[{WHITE_SPACE}]+")
# Characters that had no other case in Unicode 14.0 and got one later: they keep to themselves, so that the answer does
# not depend on Python's version.
CASED_LATER = re.compile(
    "[\u019b\u0264\u1c89-\u1c8a\ua7cb-\ua7cf\ua7d2-\ua7d5\ua7da-\ua7dc"
    "\U00010d50-\U00010d65\U00010d70-\U00010d85\U00016ea0-\U00016eb8\U00016ebb-\U00016ed3]"
)


@operator("StringConcat", since=20)
def string_concat(x: Array, y: Array) -> Array:
    """Each string of `x` followed by that of `y`; shapes broadcast."""
    x, y = np.broadcast_arrays(x, y)
    return elementwise(lambda pair: pair[0] + pair[1], list(zip(x.flat, y.flat, strict=True)), x.shape)


def elementwise(function: Callable[[Any], Any], items: Sequence[Any], shape: tuple[int, ...]) -> Array:
    """`function` of each item, as an array of strings."""
    result = np.empty(len(items), dtype=object)
    result[:] = [function(item) for item in items]
    return result.reshape(shape)


@operator("StringNormalizer", since=10)
def string_normalizer(
    x: Array,
    *,
    case_change_action: str = "NONE",
    is_case_sensitive: int = 0,
    locale: str | None = None,
    stopwords: Sequence[str] | None = None,
) -> Array:
    """The words of `x` ([C] or [1, C]) that are no stop words, in lower or upper case if asked for; [""] for none.

    Case is Unicode's own, character by character, in every locale. Unless `is_case_sensitive`, words are stop words if
    they are equal in lower case.
    """
    if x.ndim not in (1, 2) or x.shape[:-1] not in ((), (1,)):
        raise ShapeError(f"X has shape {list(x.shape)}, expected [C] or [1, C]")
    changes: dict[str, Callable[[str], str]] = {"NONE": str, "LOWER": lower, "UPPER": upper}
    if case_change_action not in changes:
        raise InvalidModelError(f"case_change_action is {case_change_action!r}, expected NONE, LOWER or UPPER")
    language = re.match("[A-Za-z]*", locale or "en_US")
    if language is not None and language[0].lower() in ("tr", "az", "lt"):
        raise UnsupportedOperatorError(f"locale {locale!r}, whose case differs from Unicode's own")
    folded: Callable[[str], str] = str if is_case_sensitive else lower
    dropped = {folded(word) for word in stopwords or ()}
    kept = [word for word in x.reshape(-1) if not dropped or folded(word) not in dropped]
    words = [changes[case_change_action](word) for word in kept] or [""]
    return elementwise(str, words, (*x.shape[:-1], len(words)))


def lower(text: str) -> str:
    """Each character in lower case by itself: a sigma is never final."""
    return "".join(c if CASED_LATER.match(c) else c.lower() for c in text)


def upper(text: str) -> str:
    """Each character in upper case by itself; one may become several."""
    return "".join(c if CASED_LATER.match(c) else c.upper() for c in text)


@operator("StringSplit", since=20)
def string_split(x: Array, *, delimiter: str | None = None, maxsplit: int | None = None) -> tuple[Array, Array]:
    """Substrings of each string, along a new last axis that is filled up with "", and how many there are.

    Without `delimiter`, runs of white space separate and lead or trail for nothing. At most `maxsplit` splits, from the
    left; a negative number is no bound.
    """
    most = -1 if maxsplit is None else maxsplit
    found = [words(text, most) if not delimiter else text.split(delimiter, most) for text in x.reshape(-1)]
    width = max(map(len, found), default=0)
    filled = [piece for pieces in found for piece in (*pieces, *[""] * (width - len(pieces)))]
    counts = np.array([len(pieces) for pieces in found], dtype=np.int64)
    return elementwise(str, filled, (*x.shape, width)), counts.reshape(x.shape)


def words(text: str, most: int) -> list[str]:
    """The substrings between runs of white space, after `most` splits the rest, without white space at its ends."""
    stripped = SPACES.sub("", text, count=1) if SPACES.match(text) else text
    while stripped and SPACES.fullmatch(stripped[-1]):
        stripped = stripped[:-1]
    if not stripped:
        return []
    return [stripped] if most == 0 else SPACES.split(stripped, maxsplit=max(most, 0))


@operator("RegexFullMatch", since=20)
def regex_full_match(x: Array, *, pattern: str | None = None) -> Array:
    """Whether all of each string matches `pattern`, which is RE2's syntax."""
    if pattern is None:
        raise InvalidModelError("the attribute 'pattern' is missing")
    matches = full_matcher(pattern)
    return np.array([matches(text) for text in x.reshape(-1)], dtype=np.bool_).reshape(x.shape)


@operator("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(
    x: Array,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: Sequence[int],
    ngram_indexes: Sequence[int],
    pool_int64s: Sequence[int] | None = None,
    pool_strings: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> Array:
    """How often each n-gram of the pool occurs in each row of `x` ([C] or [N, C]), at its place `ngram_indexes`.

    The tokens of an occurrence are apart by one and up to `max_skip_count` skipped ones, always the same number.
    """
    if x.ndim not in (1, 2):
        raise ShapeError(f"X has shape {list(x.shape)}, expected [C] or [N, C]")
    if (pool_int64s is None) == (pool_strings is None):
        raise InvalidModelError("expected one of the attributes pool_int64s and pool_strings")
    if mode not in ("TF", "IDF", "TFIDF"):
        raise InvalidModelError(f"mode is {mode!r}, expected TF, IDF or TFIDF")
    if (pool_strings is None) == (x.dtype == object):
        raise ShapeError(f"tokens of {x.dtype} do not go with a pool of the other kind")
    if not 1 <= min_gram_length <= max_gram_length <= len(ngram_counts) or max_skip_count < 0:
        raise InvalidModelError(
            f"n-grams of {min_gram_length} to {max_gram_length} tokens, {max_skip_count} skipped: expected "
            f"1 <= min <= max <= {len(ngram_counts)}, the length of ngram_counts, and no negative number"
        )
    grams = pooled(list(pool_int64s or pool_strings or ()), ngram_counts)
    if len(ngram_indexes) != len(grams) or not grams or (weights is not None and len(weights) != len(grams)):
        raise InvalidModelError(f"ngram_indexes and weights: expected one for each of {len(grams)} n-grams")
    if min(ngram_indexes) < 0:
        raise InvalidModelError("ngram_indexes holds a negative number")
    factors = np.ones(len(grams), np.float32) if weights is None else np.array(weights, np.float32)
    result = np.zeros((*x.shape[:-1], max(ngram_indexes) + 1), np.float32)
    rows = x.reshape(1, -1) if x.ndim == 1 else x
    for row, out in zip(rows, result.reshape(len(rows), result.shape[-1]), strict=True):
        counts = occurrences(row.tolist(), range(min_gram_length, max_gram_length + 1), max_skip_count)
        for gram, place, weight in zip(grams, ngram_indexes, factors, strict=True):
            if counts[gram]:
                count = np.float32(counts[gram])
                out[place] += count if mode == "TF" else weight if mode == "IDF" else count * weight
    return result


def pooled(pool: list[Any], starts: Sequence[int]) -> list[tuple[Any, ...]]:
    """The n-grams of the pool: of one token from starts[0] on, of two from starts[1] on, and so forth."""
    grams = []
    for length, (start, end) in enumerate(pairwise([*starts, len(pool)]), start=1):
        if not 0 <= start <= end <= len(pool) or (end - start) % length:
            raise InvalidModelError(f"ngram_counts {list(starts)} does not divide a pool of {len(pool)} tokens")
        grams += [tuple(pool[at : at + length]) for at in range(start, end, length)]
    return grams


def occurrences(row: list[Any], lengths: range, max_skip_count: int) -> Counter[tuple[Any, ...]]:
    """How often each n-gram occurs in a row. A single token has no skips to choose from."""
    found: Counter[tuple[Any, ...]] = Counter()
    for length in lengths:
        distances = range(1, min(max_skip_count + 1, len(row)) + 1 if length > 1 else 2)
        for distance in distances:
            span = (length - 1) * distance
            found.update(tuple(row[at : at + span + 1 : distance]) for at in range(len(row) - span))
    return found
