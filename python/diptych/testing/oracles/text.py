"""Strings and counts. TfIdfVectorizer alone rounds: tests/ops/test_text.py compares it with ONNX Runtime."""

from __future__ import annotations

from diptych.testing.oracles.base import moves

moves("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer")
