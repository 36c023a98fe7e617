"""What run.json says of a micrograph that was picked and of a run, and what a terminal says of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gembench.engine.search import Search
from gembench.picking.picker import Picked
from gembench.progress import Status, duration

if TYPE_CHECKING:
    from gembench.picking.run import PickRun


STAGES = {"read": "reading", "filter": "preparing", "search": "searching", "peaks": "taking peaks",
          "write": "writing"}


class Spent:
    """Where the time of a run goes; stages of several micrographs may go on at the same time.

    seconds: of it all, once it has ended; stages: seconds of each, of all its micrographs on all ranks
    on_devices: seconds that its GPUs worked
    """

    def __init__(self) -> None:
        self.seconds, self.on_devices = 0.0, 0.0
        self.stages = dict.fromkeys(STAGES, 0.0)

    def add(self, facts: dict[str, Any]) -> None:
        """Take in what one micrograph took, see `facts_of`."""
        self.on_devices += facts.get("device_seconds", 0.0)
        for stage, seconds in facts.get("stage_seconds", {}).items():
            self.stages[stage] += seconds

    @property
    def beside(self) -> float:
        """Seconds of the stages that went on beside other stages, at least."""
        return max(0.0, sum(self.stages.values()) - self.seconds)

    def of_run(self, seconds: float, search: Search) -> dict[str, Any]:
        """What run.json says of a run that took so long, and what share of it its GPUs worked."""
        self.seconds = seconds
        facts: dict[str, Any] = {
            "seconds": round(seconds, 4), "beside_seconds": round(self.beside, 4),
            "stage_seconds": {stage: round(taken, 4) for stage, taken in self.stages.items()},
        }
        if self.on_devices:
            devices = len(getattr(search, "devices", (0,)))
            facts["device_busy"] = round(self.on_devices / (devices * seconds), 4)
        return facts

    def __str__(self) -> str:
        """`12.3 s: reading 0.4 s, ..., writing 0.5 s; at least 1.2 s of them beside other stages`."""
        parts = ", ".join(f"{STAGES[stage]} {_short(taken)}" for stage, taken in self.stages.items())
        beside = f"; at least {_short(self.beside)} of them beside other stages" * (self.beside >= 0.05)
        return f"{_short(self.seconds)}: {parts}{beside}"


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 59.95 else duration(seconds)


def facts_of(picked: Picked, seconds: dict[str, float]) -> dict[str, Any]:
    """What run.json says of one micrograph; seconds: of each stage, which may overlap other micrographs'."""
    statistics = picked.statistics
    counts = {"decoys": picked.decoys, "beside": picked.beside}
    dropped = {name: count for name, count in counts.items() if count is not None}
    on_devices = {"device_seconds": round(statistics.device_seconds, 4)} if statistics.device_seconds else {}
    return on_devices | dropped | {
        "picks": len(picked.picks), "seconds": round(sum(seconds.values()), 4),
        "search_seconds": round(statistics.seconds, 4),
        "stage_seconds": {stage: round(taken, 4) for stage, taken in seconds.items()},
        "limited_pixels": picked.limited,
        "transforms": {"forward": statistics.counts.forward, "inverse": statistics.counts.inverse},
        "producer_wait": round(statistics.producer_wait, 4),
        "consumer_wait": round(statistics.consumer_wait, 4),
    }


def description(run: PickRun, device: str, ranks: str = "") -> Iterator[str]:
    """What a run will do, in lines; ranks: how many there are, and what each gets."""
    task, search = run.task, run.picker.search
    bank = task.bank
    views = f"{len(bank.templates) - bank.decoys} views" + f" and {bank.decoys} decoys" * bool(bank.decoys)
    yield (f"{len(bank)} templates: {views} x {len(bank.angles)} angles, box"
           f" {bank.box[1]} x {bank.box[0]} px; method {search.method}, {search.library.name},"
           f" {_workers(search, device)}{ranks}")
    if choice := getattr(search.library, "choice", None):
        yield f"FFT library: {choice}"
    if any(path.suffix.lower() in (".tif", ".tiff") for path in task.paths):
        yield "STAR files count the rows of TIFF micrographs from the bottom, as RELION does"
    if task.inverted:
        yield (f"inverted to match {task.settings.contrast} particles: template"
               f" {', '.join(str(view) for view in task.inverted)}")
    if len(run.todo) < len(task.paths):
        yield (f"{len(task.paths) - len(run.todo)} of {len(task.paths)} micrographs are finished and"
               " skipped")


def not_picked(run: PickRun) -> Iterator[str]:
    """What finished micrographs have that is no pick, because of decoys or of what is beside, in lines."""
    def count(name: str) -> int:
        return sum(facts.get(name, 0) for facts in run.folder.record["micrographs"].values())

    if run.task.bank.decoys:
        yield f"decoys won at {count('decoys')} places, which are no picks"
    if (part := run.task.settings.beside) is not None:
        yield (f"{count('beside')} picks were dropped: their template reaches more than {part:g} of their"
               " score beside them")


def status(run: PickRun, device: str, ranks: str = "") -> Status:
    """What a run is at: the micrograph that is searched, picks so far, and what searches."""
    search = run.picker.search
    return Status(run.at_hand or run.todo[0].name, f"{run.picked:,} picks so far",
                  f"{_workers(search, device)}{ranks}, {search.library.name}")


def _workers(search: Search, device: str) -> str:
    """`2 threads`, `1 GPU`."""
    many = search.threads != 1
    word = "thread" if device == "cpu" else "GPUs and thread" if device.endswith("+cpu") else "GPU"
    return f"{search.threads} {word}{'s' if many else ''}"
