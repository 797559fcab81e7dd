"""Hypothesis profiles for every test: `dev` here, `ci` derandomised, `nightly` thorough; DIPTYCH_PROFILE chooses."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# Time never fails a test: machines are shared. Big strategies are slow to draw from, which is no fault either.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}

settings.register_profile("dev", max_examples=50, **COMMON)
settings.register_profile("ci", max_examples=100, derandomize=True, database=None, print_blob=True, **COMMON)
settings.register_profile("nightly", max_examples=5000, print_blob=True, **COMMON)
settings.load_profile(os.environ.get("DIPTYCH_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

if settings.default.derandomize:
    # Hypothesis also draws from the constants of whichever modules are loaded: another order of tests would give other
    # draws from the same seed. Without them a draw depends on its test alone, here as in CI.
    providers.HypothesisProvider._local_constants = providers.Constants()
