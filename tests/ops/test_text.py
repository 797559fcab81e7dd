"""Text against others: patterns against RE2 itself, counts against ONNX Runtime, tables against Python's."""

from __future__ import annotations

import os
import random
import sys
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import diptych
import diptych_reference
from diptych.testing import Case, on_reference, operator_cases
from diptych_reference.re2 import contains, full_matcher, orbits, unicode_class
from diptych_reference.unicode_tables import CLASSES

TOKENS = (
    "a", "b", "k", "K", "-", "0", "1", "_", " ", "\n", "é", "ſ", "α", "(", ")", "(?:", "(?i)", "(?i:", "(?-i)", "(?m)",
    "(?s)", "(?s:", "(?U)", "(?P<n>", "(?<m>", "(?ims-U:", "|", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{,2}", "{2,}",
    "{0}", "{", "}", "{1001}", "{10}", "[", "]", "[^", "[a-k]", "[^a-c]", "[[:alpha:]]", "[[:^word:]]", "[:digit:]",
    "[[:space:]]", "^", "$", ".", "\\", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\b", r"\B", r"\A", r"\z", r"\pL",
    r"\PN", r"\p{Lu}", r"\p{Greek}", r"\p{^Ll}", r"\Q", r"\E", r"\n", r"\t", r"\x41", r"\x{3B1}", r"\101", r"\1", r"\0",
    r"\.", r"\-", r"\]", r"\Z", "&&", "~~", "--", r"\p{Any}", ":", "=", "!", "<", ">", "P",
)  # fmt: skip
CHARACTERS = "abkKA-01_ \néſαΑ\u212a.B:\t]["
PATTERNS = int(os.environ.get("DIPTYCH_EXAMPLES", "0")) * 20 or 2000


def accepted(pattern: str, texts: list[str]) -> list[bool] | None:
    """What RE2 says of each text, None where it refuses the pattern."""
    re2: Any = pytest.importorskip("re2")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        return None
    return [compiled.fullmatch(text) is not None for text in texts]


def test_patterns_are_re2s() -> None:
    """Random patterns of pieces that matter: taken, refused and matched as by RE2, on both panels."""
    source = random.Random(0)
    taken = 0
    for _ in range(PATTERNS):
        pattern = "".join(source.choice(TOKENS) for _ in range(source.randint(1, 8)))
        texts = ["", *("".join(source.choice(CHARACTERS) for _ in range(source.randint(1, 5))) for _ in range(6))]
        expected = accepted(pattern, texts)
        try:
            matches = full_matcher(pattern)
            left = [matches(text) for text in texts]
        except diptych_reference.Error:
            left = None
        try:
            [right] = diptych.run_operator("RegexFullMatch", [np.array(texts, object)], {"pattern": pattern})
        except diptych.Error:
            right = None
        assert left == expected, pattern
        assert (None if right is None else right.tolist()) == expected, pattern
        taken += expected is not None
    assert taken > PATTERNS // 4


@pytest.mark.parametrize("name", [*CLASSES, *"CLMNPSZ"])
def test_classes_are_the_right_panels(name: str) -> None:
    """At both ends of every range and beside them; a table of another version would differ here."""
    codes = {code for first, last in unicode_class(name) for code in (first - 1, first, last, last + 1)}
    codes = {code for code in codes if 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF}
    texts = np.array([chr(code) for code in sorted(codes)], object)
    [found] = diptych.run_operator("RegexFullMatch", [texts], {"pattern": rf"\p{{{name}}}"})
    assert found.tolist() == [contains(unicode_class(name), code) for code in sorted(codes)]


def test_folds_are_the_right_panels() -> None:
    """Each character that has others of its case, and one by one whether they are taken for it."""
    for orbit in {tuple(orbit) for orbit in orbits().values()}:
        pattern = rf"(?i)\x{{{orbit[0]:x}}}"
        texts = np.array([*map(chr, orbit), "a", "é"], object)
        [found] = diptych.run_operator("RegexFullMatch", [texts], {"pattern": pattern})
        assert found.tolist() == [True] * len(orbit) + [ord(c) in orbit for c in "aé"], pattern


def test_categories_are_pythons() -> None:
    """Of characters that Python's version of Unicode knows too."""
    for code in range(0, 0x110000, 7):
        category = unicodedata.category(chr(code))
        if category not in ("Cn", "Cs"):
            assert contains(unicode_class(category), code), hex(code)


@pytest.mark.parametrize("dtype", ["string", "int32", "int64"])
def test_counts_are_onnx_runtimes(dtype: str) -> None:
    """Where it takes the pool (no n-gram twice) and the batch (not empty), and places are not shared."""
    runtime: Any = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # its refusals are expected

    @settings(max_examples=settings.default.max_examples)
    @given(operator_cases("TfIdfVectorizer", 9, dtype))
    def agree(case: Case) -> None:
        if len(set(case.attributes["ngram_indexes"])) < len(case.attributes["ngram_indexes"]):
            return  # of which it has another idea: docs/rulings.md
        proto = case.model()
        proto.ir_version = min(proto.ir_version, 9)
        try:
            session = runtime.InferenceSession(proto.SerializeToString(), options)
            [expected] = session.run(None, case.feeds())
        except Exception as error:
            if any(known in str(error) for known in ("PopulateGrams", "B > 0", "duplicate")):
                return
            raise
        [actual] = on_reference(case).outputs
        np.testing.assert_allclose(actual, expected, rtol=1e-6)

    agree()


def test_matching_takes_linear_time() -> None:
    """A pattern on which a backtracking matcher would not end in this world."""
    text = "a" * 2000
    assert not full_matcher("(a|a)*b")(text)
    [found] = diptych.run_operator("RegexFullMatch", [np.array([text * 100], object)], {"pattern": "(a|aa)*b"})
    assert not found[0]
    assert sys.getrecursionlimit() >= 1000
    full_matcher("(" * 100 + "a" + ")*" * 100)
