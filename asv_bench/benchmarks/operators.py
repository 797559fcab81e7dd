"""Every operator on both panels: time, memory, instructions, and the worst error in units of its own bound."""

from __future__ import annotations

import gc
import json
from pathlib import Path

from tools.speed.callgrind import count_runs, has_callgrind

from .cases import CASES, family_of
from .memory import peak_of
from .panels import PANELS, PEERS, case_runner, engine_only, peer_runner, prepared


class Run:
    """One run at a planned shape, weights being constants."""

    params = [PANELS, list(CASES)]
    param_names = ["panel", "case"]
    version = "1"
    timeout = 120

    def setup(self, panel, case):
        self.run = case_runner(panel, case)

    def time_run(self, panel, case):
        self.run()


class Peers:
    """The same of other engines, where they are installed and know the operator."""

    params = [PEERS, list(CASES)]
    param_names = ["panel", "case"]
    version = "1"
    timeout = 120

    def setup(self, panel, case):
        self.run = peer_runner(panel, case)

    def time_run(self, panel, case):
        self.run()


class Memory:
    """What loading and a first run add to the process at most."""

    params = [PANELS, list(CASES)]
    param_names = ["panel", "case"]
    version = "1"
    unit = "bytes"
    timeout = 120

    def setup(self, panel, case):
        engine_only(panel, CASES[case].heavy)
        self.content, self.feeds = CASES[case].model().SerializeToString(), CASES[case].feeds()
        gc.collect()

    def track_peak(self, panel, case):
        return peak_of(lambda: prepared(panel, self.content)(self.feeds))


class Error:
    """The greatest error of any output in units of the operator's forward error bound; 0 where nothing is rounded."""

    params = [[*PANELS, *PEERS], list(CASES)]
    param_names = ["panel", "case"]
    version = "1"
    unit = "of the bound"
    timeout = 300

    def setup(self, panel, case):
        engine_only("reference", CASES[case].heavy)  # the oracle would take too long as well
        self.run = case_runner(panel, case) if panel in PANELS else peer_runner(panel, case)

    def track_share(self, panel, case):
        from diptych.testing.oracles import judge_outputs

        outputs = self.run()
        reference = case_runner("reference", case)()
        verdicts = judge_outputs(CASES[case].case(), outputs, reference, own_program=panel in PANELS)
        wrong = [verdict.problem for verdict in verdicts if verdict.wrong]
        if wrong and panel in PANELS:
            raise AssertionError(f"{case} on the {panel}: {wrong}")
        if any(verdict.kind == "unjudged" or verdict.kind == "type" for verdict in verdicts):
            return float("nan")
        return max((verdict.share for verdict in verdicts), default=0.0)


class Instructions:
    """Instructions of one run, counted by callgrind with AVX2: the same however busy the machine.

    A family is counted in one process, the first time one of its cases is asked for.
    """

    params = [PANELS, list(CASES)]
    param_names = ["panel", "case"]
    version = "1"
    unit = "instructions"
    timeout = 1800

    def setup_cache(self):
        """A folder for the counts, which asv makes for this run."""
        return str(Path.cwd())

    def setup(self, folder, panel, case):
        if not has_callgrind():
            raise NotImplementedError
        engine_only("reference", CASES[case].heavy)

    def track_instructions(self, folder, panel, case):
        family = family_of(CASES[case])
        path = Path(folder) / f"{panel}-{family}.json"
        if not path.is_file():
            cases = [other for other in CASES.values() if family_of(other) == family and not other.heavy]
            contents = [(other.model().SerializeToString(), other.feeds()) for other in cases]
            counts = count_runs(panel, contents)
            path.write_text(json.dumps({other.name: count for other, count in zip(cases, counts, strict=True)}))
        count = json.loads(path.read_text())[case]
        if count is None:
            raise RuntimeError(f"{case} does not run on the {panel} under callgrind")
        return count
