"""Whether stored rows are of the code as it is today: the hash of their sources against that of now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gembench.study.declare.experiment import Experiment
from gembench.study.measure.sources import source_hash
from gembench.study.measure.store import Row


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
        return bool(self.sources) and row.run.get("source_hash") == self.sources

    def text(self, row: Row) -> str:
        """'as of this code', or 'as of commit ..., code changed since'."""
        return "as of this code" if self.is_current(row) else f"as of {commit_text(row)}, code changed since"

    def sentence(self, rows: Sequence[Row]) -> str:
        """How many of the rows are of this code, and which code the others are of; '' without rows."""
        texts: dict[str, int] = {}
        for row in sorted(rows, key=self.is_current, reverse=True):
            texts[self.text(row)] = texts.get(self.text(row), 0) + 1
        if len(texts) == 1:
            return f"Measured {next(iter(texts))}."
        counts = "; ".join(f"{count} {text}" for text, count in texts.items())
        return f"Of {len(rows)} cases: {counts}." if rows else ""
