"""A batch of cases of one kind: Hypothesis generates them, and shrinks what fails."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis.errors import Flaky, FlakyStrategyDefinition

from diptych.fuzzer.constants import no_local_constants
from diptych.fuzzer.examiner import Failure
from diptych.fuzzer.finding import Signature, Subject, specials_of
from diptych.testing import Row, graphs, operator_cases

if TYPE_CHECKING:
    from diptych.fuzzer.campaign import Campaign

__all__ = ["Batch", "BudgetError", "run_batch"]


class BudgetError(BaseException):
    """Time or cases are used up. No `Exception`, so that Hypothesis lets it through."""


class _FoundError(Exception):
    """A case fails as it should, for Hypothesis to shrink."""


@dataclass(frozen=True)
class Batch:
    """`examples` cases of a row with a leading type by a seed; of whole graphs where there is no row."""

    row: Row | None
    dtype: Any
    seed: int
    examples: int


@dataclass
class _Look:
    """What one run of Hypothesis does: look for a new failure, then shrink it."""

    campaign: Campaign
    limit: int
    skip: Counter[str]
    done: int = 0
    target: Signature | None = None
    best: tuple[Subject, Failure] | None = None
    since: float = 0.0
    deadline: float = 0.0
    shrunk: int = 0

    def __call__(self, subject: Subject) -> None:
        """One subject; raises where it fails as the target does, or as nothing before."""
        if self.target is None:
            self.done += 1
            self.campaign.spend()
            if self.done > self.limit:
                return
        else:
            self.shrunk += 1
            if self.shrunk > self.campaign.settings.shrink_attempts or time.monotonic() > self.deadline:
                raise BudgetError
        specials = specials_of(subject)
        only = self.target.engine if self.target else ""
        for signature, failure in self.campaign.failures(subject, Counter() if only else self.skip, only):
            wanted = signature == self.target if self.target else True
            if wanted and self.campaign.is_new(signature, specials):
                if self.target is None:
                    self.target = signature
                    self.since = time.monotonic()
                    self.deadline = self.since + self.campaign.settings.shrink_seconds
                self.best = (subject, failure)
                raise _FoundError
            if self.target is None:
                self.campaign.met[signature] += 1


def run_batch(batch: Batch, campaign: Campaign) -> None:
    """Generate and examine a batch; findings go into the campaign. Raises BudgetError where that ends it."""
    if batch.row is not None:
        strategy: Any = operator_cases(batch.row.op_type, batch.row.since, batch.dtype, domain=batch.row.domain)
        campaign.reached.add(f"{batch.row.domain}.{batch.row.op_type}")
    else:
        strategy = graphs(nodes=(2, 12))
    left, seed, skip = batch.examples, batch.seed, Counter[str]()
    while left > 0:
        look = _Look(campaign, left, skip)
        steady, budget = _drive(look, strategy, seed, left)
        if look.target is not None and look.best is not None:
            campaign.met[look.target] += 1
            campaign.shrinking += time.monotonic() - look.since
            campaign.record(look.target, *look.best, steady)
        if budget:
            raise BudgetError
        left -= max(look.done, 1) if look.target is not None else left
        seed += 1


def _drive(look: _Look, strategy: Any, seed: int, examples: int) -> tuple[bool, bool]:
    """Let Hypothesis run. Returns whether the engine repeated itself, and whether the campaign's budget is used up."""

    def examine(subject: Any) -> None:
        look(subject)

    test: Any = given(strategy)(examine)  # type: ignore[no-untyped-call]  # what Hypothesis makes of a strategy of anything
    test = hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )(test)
    try:
        with no_local_constants():
            hypothesis.seed(seed)(test)()
    except _FoundError:
        return True, False
    except (Flaky, FlakyStrategyDefinition):
        return False, False
    except BudgetError:
        return True, look.target is None
    except BaseExceptionGroup:  # what Hypothesis makes of a failure that does not repeat itself
        return False, False
    return True, False
