"""Make docs/findings.md of the corpus in docs/findings and of what people say about it in docs/findings/rulings.toml.

The facts of the random campaigns that the corpus comes of are docs/findings/campaigns.toml.

    python -m tools.findings           # write the page
    python -m tools.findings --check   # exit status 1 where the page is not what would be written
    python -m tools.findings --ask     # ask all engines about each finding that has no answers yet, and keep them

A ruling names its operator, the findings that it is about (names of folders; `*` stands for anything), the words of
ONNX's text, who is right, and why. The words must stand in the text of `onnx.defs`: a quotation that does not is an
error, and so is a finding without a ruling, or with two.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import onnx.defs

from diptych.fuzzer import Campaign, Corpus, Settings
from diptych.testing import Case

ENGINES = ("onnxruntime", "openvino", "onnx.reference", "tract")
ROOT = Path(__file__).resolve().parents[1]
FIGURES = (
    "version",
    "seed",
    "seconds",
    "core_seconds",
    "shrinking_seconds",
    "cases",
    "reached",
    "answered",
    "findings",
)
CORPUS, PAGE = ROOT / "docs" / "findings", ROOT / "docs" / "findings.md"


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    parser.add_argument("--ask", action="store_true", help="ask the engines first, and keep what they say in meta.json")
    arguments = parser.parse_args()
    check = arguments.check
    if arguments.ask:
        ask()
    text = page()
    if check:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


def ask() -> None:
    """What every engine makes of each finding's case: "right", "refused", "open" (left open by the text), or a kind."""
    campaign = Campaign(ENGINES, Settings(ops=("Relu",), cases=0, relations=()))
    try:
        for name, meta, subject in Corpus(CORPUS).entries():
            if "others" in meta:
                continue
            said = {}
            for engine in ENGINES:
                counts = campaign.examiners[engine].counts
                before = counts.copy()
                kinds = [failure.kind for _, failure in campaign.failures(subject, Counter(), only=engine)]
                grown = {key for key in counts if counts[key] > before[key]}
                words = {
                    "refused": "refused",
                    "left open by the text": "open",
                    "unjudged": "unjudged",
                    "right": "right",
                }
                right = "unjudged" if isinstance(subject, Case) else "right"  # a graph without a failure has no count
                said[engine] = (kinds or [words[key] for key in words if key in grown] or [right])[0]
            path = CORPUS / name / "meta.json"
            path.write_text(json.dumps({**meta, "others": said}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            print(name, said, flush=True)
    finally:
        campaign.close()


def page() -> str:
    """The page's text. Raises ValueError for findings without a ruling, rulings without a finding, wrong quotations."""
    rulings = tomllib.loads((CORPUS / "rulings.toml").read_text(encoding="utf-8"))
    entries = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in CORPUS.glob("*/meta.json")}
    left = set(entries)
    check_campaigns(campaigns := tomllib.loads((CORPUS / "campaigns.toml").read_text(encoding="utf-8")))
    sections: dict[str, list[str]] = {}
    for ruling in sorted(rulings["ruling"], key=lambda r: (r["operator"].lower(), r["title"])):
        names = sorted(n for n in entries if any(fnmatch.fnmatch(n, pattern) for pattern in ruling["findings"]))
        if not names:
            raise ValueError(f"{ruling['operator']}, {ruling['title']}: no finding {ruling['findings']}")
        if twice := set(names) - left:
            raise ValueError(f"{ruling['operator']}, {ruling['title']}: {sorted(twice)} have a ruling already")
        left -= set(names)
        sections.setdefault(ruling["operator"], []).append(section(ruling, {n: entries[n] for n in names}))
    if left:
        raise ValueError(f"findings without a ruling: {sorted(left)}")
    parts = [
        rulings["head"].strip(),
        campaign_table(campaigns),
        summary(entries),
        *(part for own in with_heads(sections) for part in own),
    ]
    mended = "\n".join(f"- {line.strip()}" for line in rulings["mended"])
    parts.append(f"## False alarms, and what was mended\n\n{mended}")
    return "\n\n".join(parts) + "\n"


def with_heads(sections: dict[str, list[str]]) -> list[list[str]]:
    """Each operator's sections under its name."""
    return [[f"## {operator}", *own] for operator, own in sections.items()]


def check_campaigns(campaigns: dict[str, Any]) -> None:
    """Raise ValueError where a figure is missing or cannot be."""
    for campaign in campaigns["campaign"]:
        lacking = [key for key in FIGURES if key not in campaign]
        if lacking or campaign["engine"] not in ENGINES or campaign["reached"] > campaigns["operators"]:
            raise ValueError(f"campaigns.toml: {campaign} lacks {lacking}, or is of no engine, or reaches too much")


def campaign_table(campaigns: dict[str, Any]) -> str:
    """What each campaign did."""
    heads = ("engine", "seed", "time", "processor time", "shrinking", "cases", "cases a second of a core")
    heads = (*heads, "operators reached", "operators answered", "findings before triage")
    title = f"Campaigns of {campaigns['date']}, one engine each, on cores that had other work to do:"
    lines = [title, "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for c in campaigns["campaign"]:
        rate, of = c["cases"] / c["core_seconds"], campaigns["operators"]
        cells = [
            f"{c['engine']} {c['version']}", c["seed"], f"{c['seconds']} s", f"{c['core_seconds']} s",
            f"{c['shrinking_seconds']} s", c["cases"], f"{rate:.0f}", f"{c['reached']} of {of}", c["answered"],
            c["findings"],
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def summary(entries: dict[str, dict[str, Any]]) -> str:
    """How many findings each engine has, by kind."""
    engines = sorted({(meta["engine"], meta["version"]) for meta in entries.values()})
    kinds = sorted({meta["kind"] for meta in entries.values()})
    count = Counter((meta["engine"], meta["kind"]) for meta in entries.values())
    lines = [f"| engine | {' | '.join(kinds)} | all |", "|---" * (len(kinds) + 2) + "|"]
    for engine, version in engines:
        row = [count[engine, kind] for kind in kinds]
        lines.append(f"| {engine} {version} | {' | '.join(map(str, row))} | {sum(row)} |")
    return "\n".join(lines)


def section(ruling: dict[str, Any], entries: dict[str, dict[str, Any]]) -> str:
    """One ruling: the words, what each engine gives, who is right."""
    parts = [f"### {ruling['operator']}: {ruling['title']}"]
    if ruling.get("words"):
        parts.append(f"> {quoted(ruling)}")
    lines = ["| engine | element type | gives | the others | repro |", "|---|---|---|---|---|"]
    for name, meta in entries.items():
        files = sorted(path.name for path in (CORPUS / name).iterdir())
        repro = "test_repro.py" if "test_repro.py" in files else "model.onnx"
        problem = meta["problem"].replace("|", "\\|").replace("\n", " ")[:200]
        engine = f"{meta['engine']} {meta['version']}"
        others = "; ".join(f"{other}: {said}" for other, said in meta["others"].items() if other != meta["engine"])
        cells = [engine, meta["dtype"] or "-", problem, others, f"[repro](findings/{name}/{repro})"]
        lines.append(f"| {' | '.join(cells)} |")
    if entries:
        parts.append("\n".join(lines))
    parts.append(ruling["right"].strip())
    return "\n\n".join(parts)


def quoted(ruling: dict[str, Any]) -> str:
    """The words, which must be ONNX's."""
    domain, _, name = ruling["operator"].rpartition(".")
    versions = [s for s in onnx.defs.get_all_schemas_with_history() if (s.domain, s.name) == (domain, name)]
    texts = [
        " ".join(" ".join([s.doc, *(p.description for p in (*s.inputs, *s.outputs, *s.attributes.values()))]).split())
        for s in versions
    ]
    words = " ".join(ruling["words"].split())
    for part in words.split(" … "):
        if not any(part in text for text in texts):
            raise ValueError(f"{ruling['operator']}: ONNX's text has no {part!r}")
    return words


if __name__ == "__main__":
    sys.exit(main())
