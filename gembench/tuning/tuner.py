"""The search for the best options, one after another, each with the best of those before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import numpy as np

from gembench.engine.exact.plan import Edges
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.atomic import atomic_path, make_folder
from gembench.io.images.find import find_micrographs
from gembench.picking.run import read_task
from gembench.picking.settings import PickSettings, Resources, Sources
from gembench.progress import Status, track
from gembench.tuning.command import pick_command, score_command, threshold_between
from gembench.tuning.decoys import write_decoys
from gembench.tuning.grid import Grid, in_pixels, particle_width
from gembench.tuning.judging import Judge, Judging, annotated, f1_of_all
from gembench.tuning.misses import misses, unsearched_border
from gembench.tuning.result import Effect, Trial, Tuning
from gembench.tuning.searches import Searches

DECOYS = "decoys.mrcs"  # where decoys are written that make the best better
NEAR = 0.8  # of a threshold: what is beside worse picks is not looked at


def tune(
    sources: Sources, by: Judging, settings: PickSettings, grid: Grid | None = None,
    resources: Resources | None = None, *, decoys_to: str | Path = DECOYS, keep: str | Path | None = None,
    quiet: bool = True,
) -> Tuning:
    """Which settings pick annotated micrographs best, as `gembench tune` says it.

    sources: micrographs, templates and the like; by: the annotations, and what counts
    settings: what stays as it is; grid: what is tried, and replaces what `settings` say of it
    decoys_to: file for decoys, written if the best has them
    keep: folder for the picks of every search, which are not searched again; None for one that is removed
    quiet: do not say on stderr how far it is

    Raises InputError for input that cannot be used: fewer than two annotated micrographs, annotations of
    others, what `pick` refuses.
    """
    with TemporaryDirectory(prefix="gembench-tune-") as temporary:
        folder = Path(temporary) if keep is None else make_folder(keep)
        tuner = Tuner(sources, by, settings, grid or Grid(), resources or Resources(), folder,
                      Path(decoys_to))
        for _ in track(tuner.steps(), tuner.total, "Tuning", quiet, "micrographs", status=tuner.status):
            pass
        assert tuner.result is not None
        return tuner.result


class Tuner:
    """Tries the grid on the annotated micrographs; the arguments and errors are those of `tune`.

    total: of the steps; result: once all have been taken
    """

    def __init__(self, sources: Sources, by: Judging, base: PickSettings, grid: Grid, resources: Resources,
                 folder: Path, decoys_to: Path) -> None:
        self.sources, self.base, self.grid, self.resources = sources, base, grid, resources
        self.folder, self.decoys_to = folder, decoys_to
        paths = find_micrographs(sources.micrographs, sources.include, sources.leave_out)
        files, truth = annotated(paths, by)
        self.unannotated = len(paths) - len(files)
        task = read_task(replace(sources, micrographs=files, include=(), leave_out=()),
                         replace(base, angle_step=max(grid.angle_step)))
        self.bank, self.width = task.bank, particle_width(task.bank)
        self.judge = Judge(truth, float(round(self.width / 4)) if by.radius is None else by.radius, by)
        self.searches = Searches(files, [marks.micrograph for marks in truth], sources, resources, folder)
        self.files = self.searches.by_name
        self.filters = grid.filters(self.width, base.pixel_size)
        self.learns = grid.decoys and sources.decoys is None
        looks = bool(grid.beside) * (1 + self.learns)
        searches = len(self.filters) + len(grid.edges) + len(grid.angle_step) - 2 + self.learns + 1
        self.total = len(files) * (searches + looks)
        self.trials: list[Trial] = []
        self.effects: list[Effect] = []
        self.notes: list[str] = []
        self.result: Tuning | None = None

    def status(self) -> Status:
        """What is searched, and the best so far."""
        best = f"F1 {_best(self.trials).f1:.1%} so far" if self.trials else ""
        return Status(self.searches.at_hand, best)

    def steps(self) -> Iterator[None]:
        """Try everything; yields after every micrograph that was searched or looked at."""
        grid = self.grid
        coarse = grid.angle_step[0]
        stage = yield from self._stage("low-pass (A)", [(a, grid.edges[0], coarse) for a in self.filters],
                                       lambda at: f"{at.lowpass:g}" if at.lowpass else "none")
        at = _best(stage).settings
        stage = yield from self._stage("edges", [(at.lowpass, edges, coarse) for edges in grid.edges],
                                       lambda at: at.edges)
        best = _best(stage)
        at = best.settings
        stage = yield from self._stage("angle step", [(at.lowpass, at.edges, a) for a in grid.angle_step],
                                       lambda at: f"{at.angle_step:g}")
        best = self._preferred(best, stage)
        searched = [trial for trial in self.trials if _search_of(trial) == _search_of(best)]
        self._note_effect("border (px)", searched, lambda at: f"{at.peaks.border:g}")
        self._note_effect("distance (px)", searched, lambda at: f"{at.peaks.distance:g}")
        plain = self._kept(best.settings, self.searches.picks(self._searched(best)))
        tried = yield from self._try_beside(best, plain)
        chosen = self._preferred(best, tried)
        if self.learns:
            tried = yield from self._try_decoys(best, plain)
            chosen = self._preferred(self._preferred(chosen, tried[:1]), tried[1:])
        yield from self._conclude(chosen, plain)

    def _stage(self, option: str, searches: Sequence[tuple[float, Edges, float]],
               value: Callable[[PickSettings], str]) -> Generator[None, None, list[Trial]]:
        """Search what has not been searched, and judge every border and distance of it: the trials."""
        stage = []
        for lowpass, edges, step in searches:
            key = lowpass, edges, step
            if not any(_search_of(trial) == key for trial in self.trials):
                yield from self._search(*key)
            stage += [trial for trial in self.trials if _search_of(trial) == key]
        self._note_effect(option, stage, value)
        return stage

    def _preferred(self, simple: Trial, trials: Sequence[Trial]) -> Trial:
        """The best of some trials; a simpler one unless it is better by more than a standard error."""
        best = _best([simple, *trials])
        return best if self.judge.is_better(best.judged.counts, simple.judged.counts) else simple

    def _search(self, lowpass: float, edges: Edges, step: float) -> Iterator[None]:
        grid = self.grid
        settings = grid.settings(self.base, lowpass, edges, step, self.width, self.resources.device)
        yield from self.searches.search(settings)
        picks = self.searches.picks(settings)
        for border in grid.border:
            for distance in grid.distance:
                peaks = replace(settings.peaks, border=in_pixels(border, self.width),
                                distance=in_pixels(distance, self.width),
                                max_picks=self.base.peaks.max_picks)
                tried = replace(settings, peaks=peaks)
                kept = self._kept(tried, picks)
                self.trials.append(Trial(tried, self.judge.by_halves(kept, peaks.threshold)))

    def _searched(self, trial: Trial) -> PickSettings:
        """The settings that the picks of a trial were searched with."""
        return self.grid.settings(self.base, *_search_of(trial), self.width, self.resources.device)

    def _kept(self, settings: PickSettings, picks: list[Picks]) -> list[Picks]:
        """What the rules of some settings keep of picks."""
        peaks = settings.peaks
        return self.searches.kept(picks, peaks.distance, peaks.border, max_picks=peaks.max_picks)

    def _try_beside(self, trial: Trial, picks: list[Picks], decoys: dict[str, Path] | None = None
                    ) -> Generator[None, None, list[Trial]]:
        """Try to drop what goes on beside itself: the trials; decoys: see `Searches.beside`."""
        if not self.grid.beside:
            return []
        self.searches.at_hand = "what is beside the picks"
        least = NEAR * min(trial.judged.thresholds)
        shares = []
        for share in self.searches.beside(picks, least, trial.settings, decoys):
            shares.append(share)
            yield
        tried = [trial]
        for part in self.grid.beside:
            kept = [rows[share <= part] for rows, share in zip(picks, shares, strict=True)]
            tried.append(replace(trial, settings=replace(trial.settings, beside=part),
                                 judged=self.judge.by_halves(kept, trial.settings.peaks.threshold)))
        self.trials += tried[1:]
        self._note_effect("beside, with decoys" if trial.decoys else "beside", tried,
                          lambda at: f"{at.beside:g}" if at.beside else "none")
        return tried[1:]

    def _try_decoys(self, best: Trial, plain: list[Picks]) -> Generator[None, None, list[Trial]]:
        """Try a decoy of each half's false picks on the other half: the trials, without `beside` first."""
        made = {}
        for number, names in enumerate(self.judge.halves):
            path = self.folder / f"decoys-{number + 1}.mrcs"
            try:
                write_decoys(path, plain, names, self.judge, self.files, self.bank, best.settings,
                             best.judged.thresholds[1 - number])
            except InputError as error:
                self.notes.append(f"decoys were not tried: {error}")
                return []
            made[path] = self.judge.halves[1 - number]
        settings = replace(best.settings, peaks=replace(best.settings.peaks, max_picks=None))
        picks = []
        for path, names in made.items():
            files, note = [self.files[name] for name in names], path.stem
            yield from self.searches.search(settings, path, files, note)
            picks += self.searches.picks(settings, path, files, note)
        of = {name: path for path, names in made.items() for name in names}
        kept = [rows[: best.settings.peaks.max_picks] for rows in picks]
        trial = Trial(best.settings, self.judge.by_halves(kept, settings.peaks.threshold), decoys=True)
        self.trials.append(trial)
        self._note_effect("decoys", [best, trial], lambda _: "", ["without", "with"])
        return [trial, *(yield from self._try_beside(trial, kept, of))]

    def _conclude(self, best: Trial, plain: list[Picks]) -> Iterator[None]:
        """Pick with the best settings, as the command line will, and choose its threshold."""
        ranked = sorted(self.trials, key=lambda trial: -trial.f1)
        settings, sources, decoys = best.settings, self.sources, None
        if best.decoys:
            decoys = self.folder / "decoys.mrcs"
            write_decoys(decoys, plain, self.files, self.judge, self.files, self.bank, settings,
                         max(best.judged.thresholds))
            sources = replace(sources, decoys=self.decoys_to)
        yield from self.searches.search(settings, decoys, note="best")
        picks = self.searches.picks(settings, decoys, note="best")
        lowest = settings.peaks.threshold
        (low, high), f1 = self.judge.best(picks, self.files, lowest)
        if not f1:
            raise InputError("no pick lies on an annotated particle, whatever was tried: look at --radius,"
                             " --contrast, --pixel-size and the templates")
        scores = np.concatenate([rows.score for rows in picks])
        if len(self.filters) > 1 and settings.lowpass == max(self.filters):
            self.notes.append(f"no low-pass filter stronger than {settings.lowpass:g} A was tried: try one"
                              " with --lowpass")
        if low <= lowest:
            self.notes.append(f"the best threshold is the lowest score that was looked at, {lowest:g}: look"
                              " lower with --lowest")
        threshold = threshold_between(scores[scores < high].max(initial=lowest), high)
        settings = replace(settings, peaks=replace(settings.peaks, threshold=threshold))
        judged = self.judge.all(picks, threshold)
        border = unsearched_border(self.bank, settings, self.judge.by.views)
        kept = [rows[rows.score >= threshold] for rows in picks]
        choice = self.judge.choice([trial.judged for trial in self.trials])
        truth = self.judge.by.truth if isinstance(self.judge.by.truth, Path) else None
        if decoys is not None:
            with atomic_path(self.decoys_to) as path:
                copyfile(decoys, path)
        self.result = Tuning(
            best, ranked, [self.judge.f1_interval(trial.judged.counts) for trial in ranked],
            f1_of_all(choice), self.judge.f1_interval(choice),
            settings, self.decoys_to if best.decoys else None, judged.f1, judged.precision, judged.recall,
            self.effects,
            misses(kept, self.judge, self.searches.shapes, self.width, border), self.notes,
            self.judge.radius, self.width, len(self.files), self.unannotated,
            pick_command(sources, settings, self.resources),
            score_command(self.judge.by, truth, self.judge.radius),
        )

    def _note_effect(self, option: str, trials: Sequence[Trial], value: Callable[[PickSettings], str],
                     names: Sequence[str] = ()) -> None:
        """Note what an option is worth; names: of its values, trial by trial."""
        best: dict[str, Trial] = {}
        for number, trial in enumerate(trials):
            name = names[number] if names else value(trial.settings)
            if name not in best or trial.f1 > best[name].f1:
                best[name] = trial
        if len(best) < 2:
            return
        order = sorted(best.values(), key=lambda trial: -trial.f1)
        interval = self.judge.difference_interval(order[0].judged.counts, order[-1].judged.counts)
        self.effects.append(Effect(option, {name: trial.f1 for name, trial in best.items()},
                                   order[0].f1 - order[-1].f1, interval))


def _best(trials: Sequence[Trial]) -> Trial:
    """The first of the trials with the highest F1."""
    return max(trials, key=lambda trial: trial.f1)


def _search_of(trial: Trial) -> tuple[float, Edges, float]:
    """Low-pass filter, edges and angle step of a trial: what it takes a search to change."""
    at = trial.settings
    return at.lowpass, at.edges, at.angle_step
