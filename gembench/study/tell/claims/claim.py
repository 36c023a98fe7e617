"""A statement of the paper, and the verdict of one machine's rows on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VERDICTS = (
    "reproduced", "partly", "exceeded", "not reproduced", "unsettled", "holds on simulated data",
    "follows from the model", "not testable here", "not judged",
)
REPRODUCES = ("measured", "emulated")  # the only evidence that may reproduce a statement
Band = tuple[float, float]
Where = Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """One statement of the paper.

    id: a short name; where: section or figure; statement: in our words; paper: the paper's value as printed
    experiment, expression: what judges it; unit: of the expression's value
    untestable: why no rows can judge it here; it then has no experiment
    select: axis values of the rows that are looked at
    stand_in: for each weaker selection, the best first, axis values instead of those of `select`; it is asked
        where the selections before it have no measured row, and never where one of their rows failed
    any_pixels: the statement is of speed, so that rows on simulated micrographs are measurements
    evidence: the most that the expression's numbers are, where it is weaker than its rows: what a study works
        out from what it measured is a `model`
    reproduced, partly: bands of the value, ends included; None for a claim that is not judged
    about: the paper's number, for an 'about N' statement: far above the bands is `exceeded`
    order: the value at which an ordering turns round: what is beyond it is never `partly`
    why: why the bands are these, or why the claim is not judged
    note: what a reader must know to judge the verdict, such as where the paper contradicts itself
    holds, fails: planted rows under which it is reproduced, and under which it is not
    """

    id: str
    where: str
    statement: str
    paper: str
    why: str = ""
    experiment: str = ""
    expression: str = ""
    unit: str = ""
    untestable: str = ""
    select: Where = field(default_factory=dict)
    stand_in: Sequence[Where] = ()
    any_pixels: bool = False
    evidence: str = ""
    reproduced: Band | None = None
    partly: Band | None = None
    about: float | None = None
    order: float | None = None
    note: str = ""
    holds: Sequence[Where] = ()
    fails: Sequence[Where] = ()

    @property
    def judged(self) -> bool:
        """Whether there are bands to judge by."""
        return self.reproduced is not None

    @property
    def figures(self) -> tuple[str, ...]:
        """The paper's figures and tables that the statement belongs to: `3a`, `7`, `Table 1`."""
        numbers = re.findall(r"Fig\. (\d+\w?)", self.where)
        return (*numbers, *re.findall(r"Table \d+", self.where))


def number_text(value: float) -> str:
    """Three significant digits, all digits above a thousand."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@dataclass(frozen=True)
class Verdict:
    """What the results of one machine say of one claim.

    verdict: one of VERDICTS
    evidence: the weakest among the rows that were read, '' where none were
    value: of the expression at the rows' medians, None where there is none
    low, high: its range over the rounds as they were measured; both `value` where nothing varies
    reason: why there is no value, or why the verdict is not one of the bands'
    command: what would measure the missing rows, '' if nothing would
    remark: the rows that stood in, if any did
    """

    claim: Claim
    machine: str
    verdict: str
    evidence: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    command: str = ""
    remark: str = ""

    @property
    def statement(self) -> str:
        """The claim's statement in our words."""
        return self.claim.statement

    @property
    def reproduces(self) -> bool:
        """Whether the verdict says that the paper's result was reproduced, in full."""
        return self.verdict == "reproduced"

    @property
    def range_text(self) -> str:
        """`1.70..2.01`, '' where nothing varies."""
        if self.low is None or self.high is None or number_text(self.low) == number_text(self.high):
            return ""
        return f"{number_text(self.low)}..{number_text(self.high)}"

    @property
    def value_text(self) -> str:
        """The value with its range and unit, '' where there is none."""
        if self.value is None:
            return ""
        spread = f"({self.range_text})" if self.range_text else ""
        return " ".join(filter(None, [number_text(self.value), spread, self.claim.unit]))

    @property
    def badge_text(self) -> str:
        """The verdict, with its evidence where the verdict does not name it: `reproduced, emulated`."""
        named = {"holds on simulated data": "simulated data", "follows from the model": "model"}
        if self.value is None or not self.evidence or named.get(self.verdict) == self.evidence:
            return self.verdict
        return f"{self.verdict}, {self.evidence}"

    @property
    def detail_text(self) -> str:
        """What else there is to say: remark, reason and command."""
        return "; ".join(filter(None, [self.remark, self.reason, self.command]))
