"""The functions that an Experiment needs, for studies whose cases are measured together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gembench.study.clusters.series import Series, Setting
from gembench.study.clusters.sheet import Entry
from gembench.study.declare.cases import Case


@dataclass(frozen=True)
class Hooks:
    """Name of a grid -> its settings; and how many rounds one launch of ranks measures."""

    settings: Mapping[str, Sequence[Setting]]
    rounds: int

    def grids(self) -> dict[str, list[Case]]:
        """The cases of every grid."""
        return {name: [case for setting in settings for case in setting.cases()]
                for name, settings in self.settings.items()}

    def setting_of(self, case: Case) -> Setting:
        """The setting that a case belongs to."""
        return next(setting for settings in self.settings.values() for setting in settings
                    if case in setting.cases())

    def skip(self, case: Case) -> str:
        """Why there is no such evidence here."""
        return self.setting_of(case).unavailable(case)

    def setup(self, case: Case) -> Series:
        """Where the samples of this case come from."""
        return Series(self.setting_of(case), case, self.rounds)

    def run(self, series: Series, case: Case) -> Entry:
        """The next sample, from a barrier to the end of the slowest rank; cases are measured together."""
        return series.next()

    def check(self, output: Entry, series: Series, case: Case) -> None:
        """Raise ValueError for wrong maps, and for what is faster than it can be."""
        series.setting.check(output, case)

    def seconds(self, output: Entry, series: Series, case: Case) -> float:
        """The slowest rank's clock, or what a formula says."""
        return float(output["seconds"])

    def memory(self, output: Entry, series: Series, case: Case) -> int | None:
        """Of the rank that held most; None where time is calculated."""
        return series.peak()

    def metrics(self, output: Entry, series: Series, case: Case) -> Mapping[str, Any]:
        """The metrics of a case, and what its ranks together held at their peaks."""
        metrics = dict(series.setting.metrics(series.entries, case))
        together = series.peak("peak_rss_sum")
        return metrics if together is None else {**metrics, "peak_rss_sum": together}

    def evidence(self, case: Case) -> str:
        """What the result of a case is: what real ranks do is measured."""
        return {"real": "measured"}.get(case.evidence, str(case.evidence))
