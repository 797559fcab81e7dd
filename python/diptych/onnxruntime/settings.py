"""ONNX Runtime's module-level functions. Diptych logs nothing and sends nothing, so its switches have nothing to do."""

from __future__ import annotations

import diptych
from diptych.onnxruntime.install import API_VERSION
from diptych.session import PROVIDER

__all__ = [
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_seed",
]


def get_available_providers() -> list[str]:
    """Providers of this build: the CPU."""
    return [PROVIDER]


def get_all_providers() -> list[str]:
    """All providers there are: the CPU."""
    return [PROVIDER]


def get_device() -> str:
    """Return "CPU"."""
    return "CPU"


def get_version_string() -> str:
    """Return the version of ONNX Runtime whose surface this is."""
    return API_VERSION


def get_build_info() -> str:
    """Say which engine answers."""
    return f"Diptych {diptych.__version__}, numerics {diptych.numerics_version}"


def set_default_logger_severity(severity: int) -> None:
    """Do nothing: there is no log."""


def set_default_logger_verbosity(verbosity: int) -> None:
    """Do nothing: there is no log."""


def disable_telemetry_events() -> None:
    """Do nothing: there is no telemetry."""


def enable_telemetry_events() -> None:
    """Do nothing: there is no telemetry."""


def set_seed(seed: int) -> None:
    """Do nothing: what random operators draw by is `SessionOptions.random_seed`, of each session (docs/numerics.md)."""
