"""Attention over packed or cached keys and values, and its rotary embedding."""

from __future__ import annotations

from diptych_reference.schemas.declaration import Required, collect, declare

FLOATS = ["float", "float16", "bfloat16"]
INDICES = ["int32"]

SCHEMAS = collect(
    declare(
        "Attention",
        "Attention whose queries, keys and values are one projection of the input.",
        inputs="input:T weights:T bias?:T mask_index?:M past?:T attention_bias?:T past_sequence_length?:M",
        outputs="output:T present?:T",
        types={"T": FLOATS, "M": INDICES},
        attributes={
            "do_rotary": 0,
            "mask_filter_value": -10000.0,
            "num_heads": Required(int),
            "past_present_share_buffer": 0,
            "qkv_hidden_sizes": list[int],
            "rotary_embedding_dim": int,
            "scale": float,
            "unidirectional": 0,
        },
    ),
    declare(
        "GroupQueryAttention",
        "Causal attention with a cache of keys and values, whose heads serve several heads of queries.",
        inputs="query:T key?:T value?:T past_key?:T past_value?:T seqlens_k:M total_sequence_length:M cos_cache?:T"
        " sin_cache?:T position_ids?:P attention_bias?:T head_sink?:T k_scale?:S v_scale?:S q_norm_weight?:T"
        " k_norm_weight?:T query_seqlens?:M",
        outputs="output:T present_key?:T present_value?:T output_qk?:T",
        types={"T": FLOATS, "M": INDICES, "P": ["int64"], "S": ["float"]},
        attributes={
            "causal": 1,
            "do_rotary": 0,
            "k_norm_epsilon": float,
            "k_quant_type": "NONE",
            "kv_cache_bit_width": int,
            "kv_num_heads": Required(int),
            "local_window_size": -1,
            "num_heads": Required(int),
            "q_norm_epsilon": float,
            "qk_norm_epsilon": 1e-6,
            "qk_output": 0,
            "rotary_interleaved": 0,
            "scale": float,
            "sliding_window_cache": 0,
            "smooth_softmax": -1,
            "softcap": 0.0,
            "v_quant_type": "NONE",
        },
    ),
    declare(
        "MultiHeadAttention",
        "Attention of projected queries, keys and values, separate or packed, with the projection's bias.",
        inputs="query:T key?:T value?:T bias?:T key_padding_mask?:M attention_bias?:T past_key?:T past_value?:T"
        " past_sequence_length?:M cache_indirection?:M",
        outputs="output:T present_key?:T present_value?:T qk?:T",
        types={"T": FLOATS, "M": INDICES},
        attributes={
            "mask_filter_value": -10000.0,
            "num_heads": Required(int),
            "scale": float,
            "unidirectional": 0,
        },
    ),
    declare(
        "RotaryEmbedding",
        "Pairs of elements turned by an angle that depends on the position.",
        inputs="input:T position_ids:M cos_cache:T sin_cache:T",
        outputs="output:T",
        types={"T": FLOATS, "M": ["int64"]},
        attributes={
            "interleaved": 0,
            "is_packed_batching": 0,
            "num_heads": 0,
            "rotary_embedding_dim": 0,
            "scale": 1.0,
        },
    ),
)
