"""What a wheel of PyPI holds, and what to feed its models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
from tools.models.feeds import MakeFeeds


@dataclass(frozen=True)
class Model:
    """One model of a wheel.

    `member` is its path in the wheel, `sha256` its digest. `usual` makes feeds of the size met in use, `small` feeds
    that the reference evaluates in a second or two (None: the model's shapes are fixed, and it takes longer).
    `convert` makes the model of the member's content, where that is not a model already.
    """

    name: str
    member: str
    sha256: str
    usual: MakeFeeds
    small: MakeFeeds | None
    convert: Callable[[bytes], onnx.ModelProto] | None = None


@dataclass(frozen=True)
class Package:
    """One wheel of PyPI: `fast` ones are small enough for the plain test command."""

    name: str
    version: str
    licence: str
    models: tuple[Model, ...]
    fast: bool = False
