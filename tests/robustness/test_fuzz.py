"""The corpora of the fuzz targets: replayed on the engine as it is built, and grown for a bounded time (-m fuzz).

docs/how-to/fuzz-the-engine.md says how to fuzz for longer, and what to do with a finding.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.fuzz import libfuzzer, seeds
from tools.fuzz.libfuzzer import CORPUS, TARGETS

import diptych

SECONDS = 60  # each target, with -m fuzz


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_is_refused_or_runs(target: str) -> None:
    """Every input that once reached new code: a typed error, or a session and, without feeds, a run that ends."""
    inputs = sorted((CORPUS / target).iterdir())
    assert len(inputs) > 100
    options = diptych.SessionOptions(threads=1, memory_limit=64 << 20, max_steps=1000)
    for path in inputs:
        try:
            session = diptych.InferenceSession(path.read_bytes(), options)
            if not session.get_inputs():
                session.run(None, {}, diptych.RunOptions(timeout=5.0))
        except diptych.InternalError as error:
            pytest.fail(f"{path.name}: {error}")
        except diptych.Error:
            continue


@pytest.mark.fuzz
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    libfuzzer.build()
    seeds.write(tmp_path / "seeds")
    status = libfuzzer.run(target, SECONDS, seeds=tmp_path / "seeds", findings=tmp_path / "findings")
    assert status == 0, f"{[str(path) for path in (tmp_path / 'findings').iterdir()]} fail"
