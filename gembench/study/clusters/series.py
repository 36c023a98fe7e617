"""The samples of one case, round by round, from sheets that it shares with the other cases of its setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gembench.study.clusters.sheet import Entry, sheet
from gembench.study.declare.cases import Case

CLOCKED = ("real", "emulated")  # evidence that takes time, another one each round


class Setting(Protocol):
    """Cases that are measured together: one kind of evidence on one machine.

    evidence: real, emulated or model; axes: those in which its entries differ
    """

    @property
    def evidence(self) -> str:
        """The kind of evidence."""
        ...

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes that tell an entry's case."""
        ...

    def cases(self) -> list[Case]:
        """The cases of a grid."""
        ...

    def unavailable(self, case: Case) -> str:
        """Why a case cannot be measured here, '' if it can."""
        ...

    def measure(self, rounds: int) -> list[Entry]:
        """One entry for every round of every case: its axes, seconds and whether it is right; or an error."""
        ...

    def check(self, entry: Entry, case: Case) -> None:
        """Raise ValueError if an entry is wrong or impossible."""
        ...

    def metrics(self, entries: Sequence[Entry], case: Case) -> Mapping[str, Any]:
        """The metrics of a case, from the entries of all cases so far."""
        ...


def of_case(entry: Mapping[str, Any], case: Mapping[str, Any], axes: tuple[str, ...]) -> bool:
    """Whether an entry belongs to a case, by those of the axes that the case has."""
    return all(entry.get(axis) == case[axis] for axis in axes if axis in case)


@dataclass
class Series:
    """One case: `next` gives a sample after the other; `rounds` is how many a sheet holds."""

    setting: Setting
    case: Case
    rounds: int
    entries: list[Entry] = field(default_factory=list)
    taken: int = 0
    sheets: int = 0

    def next(self) -> Entry:
        """The next round's entry.

        Raises RuntimeError if the case has ended its launch, or if nothing was measured.
        """
        if self.taken == len(self.samples()):
            self._measure()
        samples = self.samples()
        if self.taken == len(samples):
            raise RuntimeError(f"{self.setting.evidence} ranks measured nothing of this case")
        entry = samples[self.taken]
        if "error" in entry:
            raise RuntimeError(entry["error"])
        if self.setting.evidence in CLOCKED:
            self.taken += 1
        return entry

    def samples(self) -> list[Entry]:
        """The entries of this case in all sheets so far."""
        return [entry for entry in self.entries if of_case(entry, self.case, self.setting.axes)]

    def peak(self, name: str = "peak_rss") -> int | None:
        """The most bytes that a rank of this case has held in any round; None where none ran, or said.

        name: `peak_rss` of the rank that held most, `peak_rss_sum` of all ranks together
        """
        return max((entry[name] for entry in self.samples() if entry.get(name)), default=None)

    def _measure(self) -> None:
        """One more sheet, with the other cases of the setting; whoever comes first measures it."""
        key = f"{self.setting}, {self.rounds}"
        self.entries += sheet(key, self.sheets, lambda: self.setting.measure(self.rounds))
        self.sheets += 1
