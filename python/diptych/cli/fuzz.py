"""Generate valid operators and whole graphs, run engines on them, and report what they get wrong.

Every answer is held to the operator's own error bound (Diptych's own panels to the reference's bits). What an engine
says it does not support is counted, and so are results that ONNX's text leaves open. Findings are told apart by engine,
operator, kind, element type and special values, shrunk, and kept in the corpus with a script that shows each again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diptych.cli.tables import print_json, print_table, progress
from diptych.engines import ENGINES, split_specs
from diptych.errors import Error

if TYPE_CHECKING:
    from diptych.fuzzer import Campaign, Corpus, Finding

HELP = "look for wrong results, crashes and hangs of engines on random valid models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `diptych fuzz`."""
    add = parser.add_argument
    known = ", ".join(ENGINES)
    add("--engine", default="diptych", help=f"engines, comma-separated: {known}, or module:Class (default diptych)")
    add(
        "--ops",
        default="",
        help="operators, comma-separated, such as Conv,com.microsoft.Attention; `graphs` for graphs",
    )
    add("--time", type=float, default=None, metavar="SECONDS", help="how long (default 60, or no bound with --cases)")
    add("--cases", type=int, default=None, metavar="N", help="how many cases; then equal seeds do equal things")
    add("--seed", type=int, default=0, help="chooses the cases (default 0)")
    add("--corpus", type=Path, help="folder of findings: replayed first, then added to")
    add(
        "--oracles",
        default="history",
        help="further checks: bodies, float64, batch, history, variants (default history)",
    )
    add("--bits", action="store_true", default=None, help="hold every engine to the reference's bits")
    add("--bounds", dest="bits", action="store_false", help="hold Diptych's panels too to bounds alone")
    add("--no-repro", action="store_true", help="write no test_repro.py (each is run once, which takes seconds)")
    add("--timeout", type=float, default=10.0, metavar="SECONDS", help="of one run (default 10)")
    add("--shrink", type=int, default=150, metavar="N", help="runs for shrinking each finding (default 150)")


def run(arguments: argparse.Namespace) -> int:
    """Fuzz; exit status 1 with findings."""
    try:
        from diptych.fuzzer import Campaign, Corpus
        from diptych.fuzzer.variants import with_variants
    except ModuleNotFoundError as error:
        raise Error(f"`diptych fuzz` needs more packages: pip install 'diptych[lab]' ({error})") from None
    specs = split_specs(arguments.engine)
    oracles = split_specs(arguments.oracles)
    if "variants" in oracles:
        specs = with_variants(specs)
    campaign = Campaign(specs, _settings(arguments, oracles), progress)
    corpus = Corpus(arguments.corpus) if arguments.corpus else None
    replayed: list[dict[str, Any]] = []
    interrupted = False
    try:
        if corpus is not None:
            replayed = corpus.replay(campaign)
        for finding in campaign.run():
            progress("")
            _announce(finding, arguments.json)
            if corpus is not None:
                corpus.add(finding)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        campaign.close()
    if corpus is not None and not interrupted and not arguments.no_repro:
        _write_repros(corpus, campaign)
    progress("")
    _report(arguments, campaign, replayed, interrupted, corpus)
    return 130 if interrupted and not campaign.findings else int(bool(campaign.findings))


def _write_repros(corpus: Corpus, campaign: Campaign) -> None:
    """A test for each finding, run once."""
    for number, finding in enumerate(campaign.findings, 1):
        progress(f"repro {number} of {len(campaign.findings)}")
        expected = campaign.expected(finding.subject)
        exact = campaign.examiners[finding.signature.engine].exact
        corpus.write_repro(finding, None if expected is None else tuple(expected), exact=exact)


def _settings(arguments: argparse.Namespace, oracles: list[str]) -> Any:
    """The campaign's settings."""
    from diptych.fuzzer import Settings

    names = {"bodies": "body"}
    seconds = arguments.time if arguments.time is not None else None if arguments.cases is not None else 60.0
    return Settings(
        ops=split_specs(arguments.ops),
        seconds=seconds,
        cases=arguments.cases,
        seed=arguments.seed,
        timeout=arguments.timeout,
        shrink_attempts=arguments.shrink,
        relations=[names.get(oracle, oracle) for oracle in oracles if oracle != "variants"],
        bits=arguments.bits,
    )


def _announce(finding: Finding, quiet: bool) -> None:
    """One line as soon as there is a finding."""
    if not quiet:
        print(f"[{time.strftime('%H:%M:%S')}] {str(finding)[:220]}", flush=True)


def _report(
    arguments: argparse.Namespace,
    campaign: Campaign,
    replayed: list[dict[str, Any]],
    interrupted: bool,
    corpus: Corpus | None,
) -> None:
    """Everything at the end, for people or for programs."""
    document = _document(campaign, replayed, interrupted)
    if arguments.json:
        print_json(document)
        return
    rows = [
        [f.signature.engine, f"{f.signature.operator}-{f.signature.meaning}", f.signature.dtype, f.signature.kind,
         " ".join(sorted(f.specials)), campaign.met[f.signature], f.problem[:100]]
        for f in campaign.findings
    ]  # fmt: skip
    if rows:
        print_table(["engine", "operator", "dtype", "kind", "specials", "met", "problem"], rows)
    for entry in replayed:
        print(f"corpus {entry['name']}: {entry['state']}")
    for spec, counts in document["engines"].items():
        print(f"{spec} {counts['version']}: " + ", ".join(f"{n} {what}" for what, n in counts["counts"].items()))
        print(f"{spec} answered at least one case of {counts['operators_answered']} operators")
    rate, reached = document["cases_per_core_second"], document["operators_reached"]
    shrinking = document["seconds_shrinking"]
    print(
        f"{document['cases']} cases in {document['seconds']:.0f} s ({rate:.1f} a second of a core, {shrinking:.0f} s "
        f"shrinking), {reached} of {document['operators']} operators, {len(rows)} findings"
        + (", interrupted" if interrupted else "")
    )
    if corpus is not None and rows:
        print(f"repros: {corpus.folder}/*/test_repro.py")


def _document(campaign: Campaign, replayed: list[dict[str, Any]], interrupted: bool) -> dict[str, Any]:
    """The result as plain data."""
    from diptych.fuzzer.corpus import described

    seconds = campaign.seconds
    return {
        "seed": campaign.settings.seed,
        "cases": campaign.generated,
        "invalid": campaign.invalid,
        "seconds": seconds,
        "seconds_shrinking": campaign.shrinking,
        "cases_per_core_second": campaign.generated / max(campaign.core_seconds, 1e-9),
        "operators_reached": len(campaign.reached),
        "operators": len({(row.domain, row.op_type) for row in campaign.rows}),
        "interrupted": interrupted,
        "engines": {
            spec: {
                "version": campaign.versions.get(spec, ""),
                "counts": dict(examiner.counts),
                "operators_answered": len(examiner.answered),
            }
            for spec, examiner in campaign.examiners.items()
        },
        "corpus": replayed,
        "findings": [{**described(finding), "met": campaign.met[finding.signature]} for finding in campaign.findings],
    }
