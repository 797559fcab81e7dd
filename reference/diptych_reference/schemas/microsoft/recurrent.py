"""Recurrent networks with quantized weights."""

from __future__ import annotations

from diptych_reference.schemas.declaration import collect, declare

SCHEMAS = collect(
    declare(
        "DynamicQuantizeLSTM",
        "LSTM whose weights are 8-bit integers; inputs and hidden values are quantized as they come.",
        inputs="X:T W:T2 R:T2 B?:T sequence_lens?:T1 initial_h?:T initial_c?:T P?:T"
        " W_scale:T W_zero_point:T2 R_scale:T R_zero_point:T2",
        outputs="Y?:T Y_h?:T Y_c?:T",
        types={"T": ["float"], "T1": ["int32"], "T2": ["uint8", "int8"]},
        attributes={
            "activation_alpha": list[float],
            "activation_beta": list[float],
            "activations": list[str],
            "clip": float,
            "direction": "forward",
            "hidden_size": int,
            "input_forget": 0,
        },
    ),
)
