"""Annotated micrographs with templates: real ones by name, and the simulated set that stands in for them."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gembench.data import klh
from gembench.data.sets import RECORD, DataSet, cache_folder, find_set
from gembench.data.target import Target, target_of
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.checks import read_text
from gembench.io.coordinates import read_coordinates
from gembench.io.names import micrograph_key
from gembench.io.typed import read_json

SIMULATED = "simulated"
SIMULATED_SEED = 2013
CANDIDATE, EXACT = "candidate", "exact"  # where a mark's position is from: a correlation peak, the simulator
# Who marks positions that a program proposed: whoever imports other annotations says it in the set's record.
MAKERS = ("made by eye for gembench with candidate positions shown, one reader a micrograph, and not Mouche's"
          " 1,042 marks that the paper is judged by")


@dataclass(frozen=True)
class Annotated:
    """Micrographs that are annotated, what is on them, and what to look for; pixel_size in A/px.

    name: of the set, 'simulated' for the simulator's
    sources: where the position of every mark is from, str (n,) as `truth`, by `micrograph_key`; '' unknown
    makers: who annotated it and how, in a few words
    labels: of all annotations of the set, where `truth` is a part of them
    """

    name: str
    micrographs: list[Path]
    truth: list[Picks]
    templates: Path
    masks: Path
    pixel_size: float
    sources: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    makers: str = ""
    labels: frozenset[str] = frozenset()

    @cached_property
    def target(self) -> Target:
        """What its particles are to a picker; raises InputError if its record does not fit its templates."""
        if self.name in (klh.NAME, SIMULATED):
            return klh.TARGET
        record = self.masks.parent / RECORD
        stored = read_json(record, "a set's record") if record.is_file() else {}
        return target_of(self.name, stored, self.templates, self.masks, self.pixel_size, self._labels())

    def _labels(self) -> frozenset[str]:
        return self.labels | {str(label) for marks in self.truth for label in marks.label}

    def first(self, count: int | None) -> Annotated:
        """The same set with the first `count` micrographs and their marks only, all of them for None."""
        names = {micrograph_key(path) for path in self.micrographs[:count]}
        truth = [marks for marks in self.truth if micrograph_key(marks.micrograph) in names]
        return replace(self, micrographs=self.micrographs[:count], truth=truth, labels=self._labels())

    def placed(self, marks: Picks) -> NDArray[np.bool_]:
        """Which marks of a micrograph have a position that no correlation peak gave: bool (n,)."""
        source = self.sources.get(micrograph_key(marks.micrograph), np.full(len(marks), ""))
        return np.asarray((source != "") & (source != CANDIDATE))

    def described(self) -> str:
        """Whose annotations these are, how many are particles, and how they were made: one sentence."""
        target = self.target
        marked = [target.marked(marks.label) for marks in self.truth]
        peaks = [(particle & ~self.placed(marks)).sum()
                 for particle, marks in zip(marked, self.truth, strict=True)]
        total, from_peaks = int(sum(part.sum() for part in marked)), int(sum(peaks))
        what = f"{target.label} views" if target.label else "particles"
        said = f"{total:,} {what} on {len(self.micrographs)} micrographs, {self.makers}"
        if from_peaks and any((source == CANDIDATE).any() for source in self.sources.values()):
            said += f"; {from_peaks:,} of the positions are correlation peaks"
        return said


def annotated_set(name: str) -> Annotated:
    """The real set of this name.

    Raises InputError if it is not on this machine, or has no annotations, templates or masks.
    """
    data_set = find_set(name)
    if data_set is None:
        raise InputError(f"data set {name} is not here: `gembench data fetch {name}`, or set GEMBENCH_DATA")
    if data_set.annotations is None or data_set.templates is None or data_set.masks is None \
            or not data_set.pixel_size:
        raise InputError(
            f"{data_set.folder}: annotations, templates.mrcs, masks.mrcs or the pixel size are missing:"
            " `gembench templates --from-picks` makes templates and masks"
        )
    truth = read_coordinates(data_set.annotations)
    names = {micrograph_key(picks.micrograph) for picks in truth}
    micrographs = [path for path in data_set.micrographs if micrograph_key(path) in names]
    sources = _sources(data_set.annotations, truth)
    return Annotated(name, micrographs, truth, data_set.templates, data_set.masks, data_set.pixel_size,
                     sources, _makers(data_set, sources))


def simulated_set(count: int, size: int = 2048) -> Annotated:
    """`count` simulated micrographs, made once and kept in the user's cache."""
    from gembench.data.simulate import PIXEL_SIZE, write_simulated_set

    recipe = _recipe_hash()
    folder = cache_folder() / f"simulated-{SIMULATED_SEED}-{count}x{size}-{recipe}"
    if not (folder / "truth.star").is_file():
        write_simulated_set(folder, count, SIMULATED_SEED, size)
    truth = read_coordinates(folder / "truth.star")
    return Annotated(
        SIMULATED, sorted(folder.glob("*.mrc")), truth, folder / "templates.mrcs", folder / "masks.mrcs",
        PIXEL_SIZE, {micrograph_key(marks.micrograph): np.full(len(marks), EXACT) for marks in truth},
        "simulated by gembench, the truth exact",
    )


def annotated(data: str, micrographs: int | str) -> Annotated:
    """The first micrographs of a real set, or so many simulated ones for the name 'simulated'.

    micrographs: how many, 'all' for all of a real set
    """
    count = micrographs if isinstance(micrographs, int) else None
    if data == SIMULATED:
        assert count is not None
        return simulated_set(count)
    return annotated_set(data).first(count)


def target_named(data: str) -> Target:
    """What the particles of a set are to a picker; raises InputError as `annotated_set` does."""
    return klh.TARGET if data in (klh.NAME, SIMULATED) else annotated_set(data).target


def not_asked_for(data: str, real: str) -> str:
    """Why a study skips `data`: the real set called `real` where it is, simulated micrographs elsewhere.

    '' if it is to be used, as any other set is.
    """
    if data not in (real, SIMULATED):
        return "" if find_set(data) else f"data set {data} is not here: see `gembench data list`"
    here = find_set(real) is not None
    if data == real and not here:
        return (f"the real {real.upper()} micrographs are not here: `gembench data fetch {real}`, or set"
                " GEMBENCH_DATA")
    return f"the real {real.upper()} micrographs are here instead" if data == SIMULATED and here else ""


def _sources(path: Path, truth: Sequence[Picks]) -> dict[str, NDArray[np.str_]]:
    """The column `source` of a table of annotations, in the order of its marks; nothing without one."""
    if path.suffix.lower() != ".csv":
        return {}
    labels: defaultdict[str, list[str]] = defaultdict(list)
    try:
        for row in csv.DictReader(read_text(path).splitlines()):
            labels[micrograph_key(row.get("micrograph") or "")].append((row.get("source") or "").strip())
    except csv.Error as error:
        raise InputError(f"{path}: is no table ({error}); correct it") from error
    fits = all(len(labels[micrograph_key(marks.micrograph)]) == len(marks) for marks in truth)
    return {key: np.array(values) for key, values in labels.items()} if fits else {}


def _makers(data_set: DataSet, sources: Mapping[str, NDArray[np.str_]]) -> str:
    """Who annotated a set: as its record says, or gembench's own readers, who note what was proposed."""
    record = data_set.folder / RECORD
    if record.is_file() and (said := read_json(record, "a set's record").get("annotations")):
        return str(said)
    proposed = any((source == CANDIDATE).any() for source in sources.values())
    return MAKERS if proposed else f'by whom is not said ("annotations" in {RECORD} would say it)'


def _recipe_hash() -> str:
    """Short hash of the simulator's sources, so that a changed simulator is never mistaken for the old."""
    import hashlib

    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]
