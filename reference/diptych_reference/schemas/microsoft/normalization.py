"""Layer normalization with the additions before it, as ONNX Runtime's optimizer fuses them."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect, declare

FLOATS = ["float", "double", "float16", "bfloat16"]

SCHEMAS = collect(
    declare(
        "SimplifiedLayerNormalization",
        "RMSNormalization as ONNX Runtime knew it before ONNX did.",
        domain="",
        inputs="X:T scale:V",
        outputs="Y:V inv_std_var?:U",
        types={"T": FLOATS, "U": ["float", "double"], "V": FLOATS},
        attributes={"axis": -1, "epsilon": 1e-5, "stash_type": 1},
    ),
    declare(
        "SkipLayerNormalization",
        "LayerNormalization of input + skip + bias over the last axis.",
        inputs="input:T skip:T gamma:T beta?:T bias?:T",
        outputs="output:T mean?:U inv_std_var?:U input_skip_bias_sum?:T",
        types={"T": ["float", "float16", "bfloat16"], "U": ["float"]},
        attributes={"epsilon": 1e-12},
    ),
    declare(
        "SkipSimplifiedLayerNormalization",
        "RMSNormalization of input + skip + bias over the last axis.",
        inputs="input:T skip:T gamma:T bias?:T",
        outputs="output:T mean?:U inv_std_var?:U input_skip_bias_sum?:T",
        types={"T": ["float", "float16", "bfloat16"], "U": ["float"]},
        attributes={"epsilon": 1e-12},
    ),
    declare(
        "EmbedLayerNormalization",
        "LayerNormalization of the sum of word, position and segment embeddings, as BERT begins.",
        inputs="input_ids:T1 segment_ids?:T1 word_embedding:T position_embedding:T segment_embedding?:T gamma:T beta:T"
        " mask?:T1 position_ids?:T1",
        outputs="output:T mask_index?:T1 embedding_sum?:T",
        types={"T": ["float", "float16"], "T1": ["int32"]},
        attributes={"epsilon": 1e-12, "mask_index_type": int},
    ),
)
