"""Findings on disk, one folder each, so that the next campaign begins with them and says which are mended.

A folder holds `model.onnx`, `inputs.npz` and `meta.json`, and, where the outputs alone show what is wrong,
`test_repro.py` (with `expected.npz` if it is long), which needs onnx, NumPy and the engine: as `diptych reduce` writes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from diptych.errors import Error, InvalidInputError
from diptych.fuzzer.finding import Finding, Subject
from diptych.reducer import Candidate, Reduction, read_bundle, write_bundle, write_repro
from diptych.reducer import Failure as ReducedFailure
from diptych.reducer.trial import call_of
from diptych.testing import Case, GraphCase

if TYPE_CHECKING:
    from diptych.fuzzer.campaign import Campaign

__all__ = ["Corpus", "described"]

OUTPUTS = ("type", "class", "bound", "bits")  # kinds that outputs show
ENDINGS = ("crash", "hang", "error")


class Corpus:
    """The folder of a corpus, which is made if it is not there. Raises Error where that fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Error(f"--corpus {folder}: {error.strerror or error}") from error

    def add(self, finding: Finding) -> Path:
        """Write a finding, without its repro. Returns its folder."""
        where = self.folder / folder_name(finding)
        where.mkdir(exist_ok=True)
        candidate = candidate_of(finding.subject)
        onnx.save(candidate.model, where / "model.onnx")
        write_bundle(where / "inputs.npz", candidate.feeds)
        self._describe(where, {**described(finding), "repro": False})
        return where

    def write_repro(self, finding: Finding, expected: tuple[Any, ...] | None, *, exact: bool) -> bool:
        """Write a finding's test and run it once; whether it fails as it must. `expected`: the reference's outputs."""
        kind = finding.signature.kind
        if kind not in (*OUTPUTS, *ENDINGS) or expected is None:
            return False
        failure = ReducedFailure(kind, "", finding.signature.detail, finding.problem)
        candidate = candidate_of(finding.subject).completed(expected)
        reduction = Reduction(candidate, failure, None, engine=finding.signature.engine, exact=exact)
        where = self.folder / folder_name(finding)
        fails = write_repro(reduction, where).fails
        text = (where / "test_repro.py").read_text(encoding="utf-8")
        (where / "test_repro.py").write_text(text.replace("`diptych reduce`", "`diptych fuzz`"), encoding="utf-8")
        self._describe(where, {**described(finding), "repro": fails})
        return fails

    @staticmethod
    def _describe(where: Path, meta: dict[str, Any]) -> None:
        """Write meta.json."""
        (where / "meta.json").write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def entries(self) -> Iterator[tuple[str, dict[str, Any], Subject]]:
        """Name, what is known, and the case of each finding. Raises InvalidInputError for what cannot be read."""
        for path in sorted(self.folder.glob("*/meta.json")):
            try:
                meta = json.loads(path.read_text(encoding="utf-8"))
                model = onnx.load(path.parent / "model.onnx")
            except (ValueError, OSError, DecodeError) as error:
                raise InvalidInputError(f"{path.parent}: no finding of a corpus: {error}") from error
            candidate = Candidate(model, read_bundle(path.parent / "inputs.npz"))
            single = len(model.graph.node) == 1 and not model.functions
            yield path.parent.name, meta, case_of(candidate) if single else GraphCase(model, dict(candidate.feeds))

    def replay(self, campaign: Campaign) -> list[dict[str, Any]]:
        """Ask the campaign's engines again; what is still there counts as a finding that was made before."""
        states = []
        for name, meta, subject in self.entries():
            campaign.progress(f"corpus: {name}")
            if meta["engine"] not in campaign.examiners:
                continue
            states.append({"name": name, "state": campaign.again(subject, meta)})
        return states


def case_of(candidate: Candidate) -> Case:
    """The case that a model of one node was."""
    node = candidate.model.graph.node[0]
    call = call_of(replace(candidate, expected=(None,) * len(candidate.model.graph.output)))
    outer = {name: value for name, value in candidate.feeds.items() if name not in node.input}
    return Case(call.op_type, call.domain, call.opset, call.inputs, dict(call.attributes), len(node.output), outer)


def candidate_of(subject: Subject) -> Candidate:
    """A subject as a model and what it is fed."""
    return Candidate(subject.model(), subject.feeds()) if isinstance(subject, Case) else Candidate(
        subject.model, subject.feeds
    )  # fmt: skip


def folder_name(finding: Finding) -> str:
    """Engine, operator, type, kind, and a digest of all that tells findings apart."""
    s = finding.signature
    digest = hashlib.sha256(repr((s, sorted(finding.specials))).encode()).hexdigest()[:6]
    words = f"{s.engine}-{s.operator}-{s.meaning}-{s.dtype}-{s.kind}"
    return re.sub(r"[^A-Za-z0-9.]+", "-", words)[:100].strip("-") + f"-{digest}"


def described(finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    s = finding.signature
    return {
        "engine": s.engine,
        "version": finding.version,
        "operator": s.operator,
        "meaning": s.meaning,
        "dtype": s.dtype,
        "kind": s.kind,
        "detail": s.detail,
        "specials": sorted(finding.specials),
        "problem": finding.problem,
        "steady": finding.steady,
        "case": repr(finding.subject),
    }
