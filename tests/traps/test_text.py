"""Strings."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pytest
from tests.traps.both import answer, answers, refusals, same


def texts(*words: str) -> Any:
    return np.array(words, dtype=object)


def normalized(*words: str, **attributes: Any) -> list[str]:
    return answer("StringNormalizer", [texts(*words)], attributes, opset=10).tolist()  # type: ignore[no-any-return]


def test_all_words_removed() -> None:
    """One empty string, in the rank of the input."""
    stop = {"stopwords": ["a"]}
    assert normalized("a", "a", **stop) == [""]
    assert answer("StringNormalizer", [texts("a").reshape(1, 1)], stop, opset=10).tolist() == [[""]]
    assert normalized() == [""]
    assert answer("StringNormalizer", [np.empty((1, 0), object)], opset=10).tolist() == [[""]]
    for shape in ((), (2, 1), (1, 1, 1), (0, 2)):
        refusals("StringNormalizer", [np.full(shape, "a", object)], opset=10)


def test_stopwords() -> None:
    """Without regard to case unless asked, whatever becomes of the words after that; the case changes last."""
    words = ("Monday", "monday", "MONDAY", "x")
    for action in ("NONE", "LOWER", "UPPER"):
        assert len(normalized(*words, stopwords=["monDay"], case_change_action=action)) == 1
        kept = normalized(*words, stopwords=["monday"], case_change_action=action, is_case_sensitive=1)
        assert len(kept) == 3
    assert normalized("ΑΣ", stopwords=["ας"]) == ["ΑΣ"]  # a final sigma is another letter
    assert normalized("ΑΣ", stopwords=["ασ"]) == [""]


def test_case_is_of_each_character() -> None:
    assert normalized("straße", "ŉ", "ǆ", "ﬁ", case_change_action="UPPER") == ["STRASSE", "ʼN", "Ǆ", "FI"]
    assert normalized("ΑΣ", "İ", "ẞ", "ǅ", case_change_action="LOWER") == ["ασ", "i̇", "ß", "ǆ"]
    assert normalized("ii", case_change_action="UPPER", locale="de_DE.UTF-8") == ["II"]
    for locale in ("tr_TR", "az", "lt_LT.UTF-8"):
        refusals("StringNormalizer", [texts("i")], {"locale": locale}, opset=10)
    refusals("StringNormalizer", [texts("i")], {"case_change_action": "upper"}, opset=10)


@pytest.mark.parametrize("action", ["LOWER", "UPPER"])
def test_every_character_has_one_case(action: str) -> None:
    """On both panels, whatever versions of Unicode Python and Rust have."""
    everything = texts(*(chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF))
    result = answer("StringNormalizer", [everything], {"case_change_action": action}, opset=10)
    changed = int((result != everything).sum())
    assert 1300 < changed < 1600
    python = [(c.lower() if action == "LOWER" else c.upper()) for c in everything]
    assert (result != np.array(python, object)).sum() <= (0 if unicodedata.unidata_version < "15" else 60)


def test_nothing_else_is_normalized() -> None:
    words = ("", "Élève", "a b", "e\u0301")
    assert normalized(*words) == list(words)
    assert normalized(*words, case_change_action="LOWER") == ["", "élève", "a b", "e\u0301"]


def split(*words: str, **attributes: Any) -> tuple[list[list[str]], list[int]]:
    pieces, counts = answers("StringSplit", [texts(*words)], attributes, opset=20, n_outputs=2)
    assert counts.dtype == np.int64
    return pieces.tolist(), counts.tolist()


def test_white_space() -> None:
    """Runs of it, of all kinds; at the ends it separates nothing. An empty delimiter is none."""
    for attributes in ({}, {"delimiter": ""}):
        assert split("  a \t b\u00a0\u2003c\x85 ", "x", **attributes) == ([["a", "b", "c"], ["x", "", ""]], [3, 1])
    assert split("a\x1cb", "a\u200bb", "a\ufeffb") == ([["a\x1cb"], ["a\u200bb"], ["a\ufeffb"]], [1, 1, 1])
    assert split(" a  b", delimiter=" ") == ([["", "a", "", "b"]], [4])


def test_maxsplit() -> None:
    assert split("a,b,c", delimiter=",", maxsplit=1) == ([["a", "b,c"]], [2])
    assert split("a,b,c", delimiter=",", maxsplit=0) == ([["a,b,c"]], [1])
    assert split("a,b,c", delimiter=",", maxsplit=-1) == ([["a", "b", "c"]], [3])
    assert split("a,b,c", delimiter=",", maxsplit=2**62) == ([["a", "b", "c"]], [3])
    assert split("a b c", maxsplit=1) == ([["a", "b c"]], [2])


def test_maxsplit_leaves_no_white_space() -> None:
    assert split("  a   b  c  ", maxsplit=1) == ([["a", "b  c"]], [2])
    assert split("  a   b  ", maxsplit=0) == ([["a   b"]], [1])


def test_splitting_nothing() -> None:
    assert split("", "", delimiter=",") == ([[""], [""]], [1, 1])
    assert split("", "  ") == ([[], []], [0, 0])
    pieces, counts = answers("StringSplit", [np.empty((2, 0), object)], opset=20, n_outputs=2)
    assert (pieces.shape, counts.shape) == ((2, 0, 0), (2, 0))
    pieces, counts = answers("StringSplit", [np.array("a b", object)], opset=20, n_outputs=2)
    assert (pieces.tolist(), counts.shape) == (["a", "b"], ())


def test_delimiters_do_not_overlap() -> None:
    assert split("aaaaa", delimiter="aa") == ([["", "", "a"]], [3])


def test_concat_broadcasts() -> None:
    joined = answer("StringConcat", [texts("a", "b").reshape(2, 1), texts("", "ä")], opset=20)
    assert joined.tolist() == [["a", "aä"], ["b", "bä"]]
    refusals("StringConcat", [texts("a", "b"), texts("a", "b", "c")], opset=20)


def full_match(pattern: str, *words: str) -> list[bool]:
    return answer("RegexFullMatch", [texts(*words)], {"pattern": pattern}, opset=20).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("b", ["b"], ["ab", "ba", ""]),  # the whole text, not a part of it
        ("a|ab", ["a", "ab"], ["abb"]),  # a later branch if the first one leaves something
        (r"\d", ["7"], ["٣", "७"]),
        (r"\w", ["a", "_"], ["é", "日"]),
        (r"\s", ["\t", "\f", " "], ["\v", "\u00a0", "\x1c"]),
        (r"[[:space:]]", ["\v"], ["\u00a0"]),
        (r"(?i)\w", ["ſ", "\u212a"], ["é"]),
        (r"(?i)\W", ["é"], ["ſ"]),
        (r"(?i)ß", ["ß", "ẞ"], ["ss", "SS"]),
        (r"(?i)σ", ["Σ", "ς"], ["s"]),
        (r"(?i)i", ["I"], ["İ", "ı"]),
        (r"é\b.?", ["éa"], ["é"]),
        ("a$", ["a"], ["a\n"]),
        ("(?m)a$\n^b", ["a\nb"], ["ab"]),
        (".", ["\r", "\u2028", "\U0001f600"], ["\n", "ab"]),
        ("(?s).", ["\n"], [""]),
        ("[^a]", ["\n"], ["a"]),
        ("a{,2}", ["a{,2}"], ["aa", ""]),
        ("a{2}{", ["aa{"], ["aa"]),
        (r"\Qa*\E*", ["a", "a***"], ["aa"]),
        (r"[a&&b]", ["&", "a"], ["c"]),
        (r"[[a]", ["[", "a"], ["[a"]),
        (r"[]a-]", ["]", "-"], ["b"]),
        (r"\12\0\x{41}", ["\n\0A"], ["12"]),
        (r"\pN\p{Greek}\P{Lu}\p{^Lu}", ["5αaa", "½Ω1b"], ["5αAa", "aαaa"]),
        (r"(?P<x>a)(?<y>b)", ["ab"], ["a"]),
        (r"(a(?i)b|c)d", ["aBd", "Cd"], ["Abd", "cD"]),
        (r"(a*)*(b|)+", ["", "aab"], ["ba"]),
        (r"(x+x+)+y", ["x" * 40 + "y"], ["x" * 40]),  # in time linear in the text
        ("", [""], ["a"]),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    assert full_match(pattern, *yes, *no) == [True] * len(yes) + [False] * len(no)


@pytest.mark.parametrize(
    "pattern",
    [
        "a**", "a*+", "a++", "a*??", "a{2}{3}", "*a", "(*)", "a|*", "(?i)*", "a{1001}", "a{3,2}", "(a{100}){11}",
        r"(a)\1", r"\8", r"\x{110000}", r"\x{}", r"\x1", r"\Z", r"\G", r"\h", r"\u0041", r"\é", "[", "[]", "[b-a]",
        r"[a-\d]", "[[:foo:]]", r"[\b]", "(", ")", "a)", "(?=a)", "(?!a)", "(?<=a)", "(?>a)", "(?x)a", "(?u)a", "(?-)",
        "(?i-)",
        "(?P<>a)", "(?P<a-b>a)", "(?P=a)", "(?#a)", "\\", r"\p{greek}", r"\p{Letter}", r"\p{Script=Greek}", r"\pX",
        r"\p",
        r"\C", "(?P<é>a)", "(" * 101 + ")" * 101, r"\pL{400}",
    ],
)  # fmt: skip
def test_refused_patterns(pattern: str) -> None:
    """All but those of the last line are refused by RE2."""
    refusals("RegexFullMatch", [texts("a")], {"pattern": pattern}, opset=20)


def test_a_pattern_is_needed() -> None:
    refusals("RegexFullMatch", [texts("a")], opset=20)


TOKENS = np.array([5, 6, 5, 6, 7], np.int64)
BASE: dict[str, Any] = {
    "mode": "TF", "ngram_counts": [0, 2], "ngram_indexes": [0, 1, 2], "pool_int64s": [5, 6, 5, 6],
    "min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 0,
}  # fmt: skip


def counted(tokens: Any = TOKENS, **attributes: Any) -> Any:
    return answer("TfIdfVectorizer", [tokens], {**BASE, **attributes}, opset=9)


def test_modes() -> None:
    weights = [2.0, 0.5, 10.0]
    same(counted(), [2, 2, 2], np.float32)
    same(counted(weights=weights), [2, 2, 2])
    same(counted(mode="IDF", weights=weights), weights)
    same(counted(mode="TFIDF", weights=weights), [4, 1, 20])
    same(counted(mode="IDF"), [1, 1, 1])
    same(counted(mode="TFIDF"), [2, 2, 2])
    same(counted(TOKENS.astype(np.int32).reshape(1, 5)), [[2, 2, 2]])


def test_places_may_have_gaps() -> None:
    same(counted(ngram_indexes=[5, 0, 1]), [2, 2, 0, 0, 0, 2])


def test_shared_places() -> None:
    same(counted(ngram_indexes=[0, 0, 1], mode="TFIDF", weights=[2.0, 3.0, 10.0]), [10, 20])
    same(counted(pool_int64s=[5, 5, 5, 6], ngram_indexes=[0, 1, 2]), [2, 2, 2])


def test_weights_of_what_is_not_found() -> None:
    same(counted(TOKENS[:1], mode="TFIDF", weights=[1.0, np.inf, np.nan]), [1, 0, 0])


def test_single_tokens_have_no_skips() -> None:
    same(counted(max_skip_count=3), [2, 2, 3])  # [5, 6] at a distance of 1 twice, of 3 once
    same(counted(max_skip_count=2**40), [2, 2, 3])


def test_skips_are_equal_within_an_ngram() -> None:
    trigram = {"ngram_counts": [0, 0, 0], "ngram_indexes": [0], "pool_int64s": [1, 2, 3], "min_gram_length": 3}
    trigram |= {"max_gram_length": 3, "max_skip_count": 1}
    same(counted(np.array([1, 0, 2, 0, 3]), **trigram), [1])
    same(counted(np.array([1, 2, 0, 3]), **trigram), [0])
    same(counted(np.array([1, 0, 0, 2, 0, 0, 3]), **trigram), [0])


def test_strings_and_rows() -> None:
    pool = {"pool_int64s": None, "pool_strings": ["ä", "b", "ä", "b"]}
    attributes = {name: value for name, value in {**BASE, **pool}.items() if value is not None}
    words = texts("ä", "b", "b", "x", "ä", "ä").reshape(2, 3)
    same(answer("TfIdfVectorizer", [words], attributes, opset=9), [[1, 2, 1], [2, 0, 0]], np.float32)
    refusals("TfIdfVectorizer", [TOKENS], attributes, opset=9)
    refusals("TfIdfVectorizer", [words], BASE, opset=9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "tf"}, {"ngram_indexes": [-1, 0, 1]}, {"ngram_indexes": [0, 1]}, {"weights": [1.0]}, {"weights": []},
        {"min_gram_length": 0}, {"min_gram_length": 2, "max_gram_length": 1}, {"max_gram_length": 3},
        {"max_skip_count": -1}, {"pool_int64s": [5, 6, 5]}, {"ngram_counts": [0, 5]}, {"ngram_counts": [2, 0]},
        {"ngram_counts": [-1, 2]}, {"pool_strings": ["a"]}, {"ngram_counts": []},
    ],
    ids=str,
)  # fmt: skip
def test_pools_that_do_not_fit(wrong: dict[str, Any]) -> None:
    refusals("TfIdfVectorizer", [TOKENS], {**BASE, **wrong}, opset=9)
    refusals("TfIdfVectorizer", [TOKENS.reshape(1, 1, 5)], BASE, opset=9)


def test_rows_of_nothing() -> None:
    same(counted(TOKENS[:0]), [0, 0, 0])
    assert counted(TOKENS[:0].reshape(0, 3)).shape == (0, 3)
    same(counted(TOKENS[:0].reshape(2, 0)), np.zeros((2, 3), np.float32))
