"""InferenceSession with ONNX Runtime's exceptions and the rest of its methods."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import diptych.session
from diptych.onnxruntime.errors import translated
from diptych.onnxruntime.values import IOBinding, OrtValue
from diptych.options import RunOptions, SessionOptions

__all__ = ["InferenceSession"]

Providers = Sequence[str | tuple[str, Mapping[str, Any]]]


class InferenceSession(diptych.session.InferenceSession):
    """As `diptych.InferenceSession`; raises InvalidArgument, NoSuchFile, Fail … of this module."""

    def __init__(
        self,
        path_or_bytes: str | os.PathLike[str] | bytes | Any,
        sess_options: SessionOptions | None = None,
        providers: Providers | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        *,
        disabled_optimizers: Sequence[str] | None = None,
        enable_fallback: bool = True,
    ) -> None:
        with translated():
            super().__init__(
                path_or_bytes, sess_options, providers, provider_options, disabled_optimizers=disabled_optimizers
            )
        self._enable_fallback = enable_fallback

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """Run the model; see `diptych.InferenceSession.run`. A missing input is a ValueError."""
        feeds = {name: value._value if isinstance(value, OrtValue) else value for name, value in input_feed.items()}
        with translated():
            return super().run(output_names, feeds, run_options)

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """Run the model on OrtValues and return OrtValues."""
        types = {value.name: value.type for value in self.get_outputs()}
        results = self.run(output_names, input_dict_ort_values, run_options)
        return [OrtValue(value, types[name]) for name, value in zip(output_names or types, results, strict=True)]

    def io_binding(self) -> IOBinding:
        """Return an empty binding of this session's inputs and outputs."""
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: RunOptions | None = None) -> None:
        """Run the model on what is bound."""
        iobinding.run(run_options)

    def set_providers(
        self, providers: Providers | None = None, provider_options: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        """Keep to the CPU, with a warning where another provider is named."""
        diptych.session.check_providers(providers)

    def enable_fallback(self) -> None:
        """Keep a flag that changes nothing: there is one provider."""
        self._enable_fallback = True

    def disable_fallback(self) -> None:
        """Keep a flag that changes nothing: there is one provider."""
        self._enable_fallback = False
