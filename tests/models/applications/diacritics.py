"""Add the vowels to Arabic text with text2tashkeel's five models, one of which joins two; print the texts as JSON.

python diacritics.py onnxruntime|diptych TEXT ...
"""

from __future__ import annotations

import sys

import drop_in

MODELS = ["bilstm-int8", "rawi-int8", "rawi-v2-int8", "rawi-v3-int8", "rawi-ensemble", "bilstm-int8+rawi-int8"]


def main(backend: str, *texts: str) -> None:
    drop_in.choose(backend)
    from text2tashkeel import Diacritizer

    drop_in.show({model: [Diacritizer(model).diacritize(text) for text in texts] for model in MODELS})


if __name__ == "__main__":
    main(*sys.argv[1:])
