"""Whether stored rows are of the code as it is today: the hash of their sources against that of now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gembench.plugins import have_changed
from gembench.study.declare.experiment import Experiment
from gembench.study.measure.sources import source_hash
from gembench.study.measure.store import Row

CURRENT, CHANGED = "as of this code", ", code changed since"


def commit_text(row: Row) -> str:
    """The commit that a row was measured with, or its sources' hash where there was no checkout."""
    commit, sources = row.run.get("commit"), row.run.get("source_hash")
    text = f"commit {str(commit)[:10]}" if commit else f"sources {sources}"
    return text + (" with uncommitted changes" if row.run.get("dirty") else "")


@dataclass(frozen=True)
class Code:
    """The code that would measure an experiment now.

    sources: its `source_hash`; '' where the experiment has no file, and then no row is of it
    """

    sources: str

    @classmethod
    def of(cls, experiment: Experiment) -> Code:
        """Today's code of an experiment, read once: ask it about as many rows as there are."""
        return cls(source_hash(experiment.file) if experiment.file.is_file() else "")

    def is_current(self, row: Row) -> bool:
        """Whether nothing that the row's measurement rests on has changed since, commits or not."""
        return (bool(self.sources) and row.run.get("source_hash") == self.sources
                and not have_changed(row.run.get("plugins", {})))

    def text(self, row: Row) -> str:
        """CURRENT, or 'as of commit ..., code changed since'."""
        return CURRENT if self.is_current(row) else f"as of {commit_text(row)}{CHANGED}"

    def sentence(self, rows: Sequence[Row]) -> str:
        """How many of the rows are of this code, and which code the others are of; '' without rows."""
        return _sentence(Counter(map(self.text, rows)))


def machine_sentences(
    rows: Mapping[str, Sequence[Row]], experiments: Mapping[str, Experiment]
) -> dict[str, str]:
    """What `Code.sentence` says of all rows of each machine, whatever their experiment.

    rows: by the experiment's name
    """
    counts: dict[str, Counter[str]] = {}
    for name, stored in rows.items():
        code = Code.of(experiments[name]) if stored else Code("")
        for row in stored:
            counts.setdefault(row.machine, Counter())[code.text(row)] += 1
    return {machine: _sentence(texts) for machine, texts in counts.items()}


def _sentence(texts: Counter[str]) -> str:
    """How many cases are of today's code, and of which code the others are."""
    if len(texts) < 2:
        return "".join(f"Measured {text}." for text in texts)
    others = sorted(((text, count) for text, count in texts.items() if text != CURRENT),
                    key=lambda item: (-item[1], item[0]))
    parts = [f"{texts[CURRENT]} {CURRENT}"] if texts[CURRENT] else []
    parts += [f"{count} {text.removesuffix(CHANGED)}" for text, count in others]
    return f"Of {texts.total()} cases: {'; '.join(parts)}{CHANGED}."
