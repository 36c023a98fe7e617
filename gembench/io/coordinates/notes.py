"""What readers and writers did that a user should see: one line a kind, however many files it is true of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gembench.io.checks import log


@dataclass
class _Kind:
    """The files that one note is about, and its counts over all of them."""

    files: list[Path] = field(default_factory=list)
    count: int = 0
    total: int = 0


class Notes:
    """Notes of one reading or writing; `tell` sends them to the package's log.

    scores: whether scores matter to who reads; those of annotations do not
    """

    def __init__(self, *, scores: bool = True) -> None:
        self.scores = scores
        self._kinds: dict[str, _Kind] = {}

    def add(self, path: Path, text: str, count: int = 0, total: int = 0) -> None:
        """Note `text` of a file; {count} and {total} in it stand for the sums over all files."""
        kind = self._kinds.setdefault(text, _Kind())
        if path not in kind.files:
            kind.files.append(path)
        kind.count += count
        kind.total += total

    def tell(self, root: Path) -> None:
        """Say each kind once, of the file, or of `root` and how many files in it; the notes are then gone."""
        for text, kind in self._kinds.items():
            line = text.replace("{count}", str(kind.count)).replace("{total}", str(kind.total))
            if len(kind.files) > 1:
                line += f" ({len(kind.files)} files, the first is {kind.files[0].name})"
            log.warning("%s: %s", kind.files[0] if len(kind.files) == 1 else root, line)
        self._kinds.clear()
