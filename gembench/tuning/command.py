"""The command line that picks with some settings."""

from __future__ import annotations

from pathlib import Path

from gembench.io.checks import Insisted
from gembench.picking.settings import PickSettings, Resources, Sources
from gembench.tuning.judging import Judging

OUTPUT = "picks"  # the folder that the command names


def pick_command(sources: Sources, settings: PickSettings, resources: Resources) -> list[str]:
    """The words of the `gembench pick` that does this; options that say what they do without are left out."""
    peaks, usual, computer = settings.peaks, PickSettings(1.0), Resources()
    symmetry = None if settings.symmetry is None else ",".join(map(str, settings.symmetry))
    options = [
        ("templates", sources.templates, None), ("masks", sources.masks, None),
        ("decoys", sources.decoys, None), ("decoy-masks", sources.decoy_masks, None),
        ("exclude", sources.exclude, None), ("pixel-size", float(settings.pixel_size), None),
        ("contrast", settings.contrast, usual.contrast),
        ("template-contrast", settings.template_contrast, None), ("angle-step", settings.angle_step, None),
        ("interpolation", settings.interpolation, usual.interpolation),
        ("symmetry", symmetry, None), ("average", settings.average, usual.average),
        ("lowpass", settings.lowpass, usual.lowpass), ("clip", settings.clip, usual.clip),
        ("method", settings.method, usual.method), ("precision", settings.dtype, usual.dtype),
        ("edges", settings.edges, usual.edges), ("border", peaks.border, usual.peaks.border),
        ("distance", peaks.distance, None), ("max-picks", peaks.max_picks, None),
        ("beside", settings.beside, None), ("threshold", peaks.threshold, None),
        ("device", resources.device, computer.device), ("spectra", settings.spectra, usual.spectra),
        ("stall-limit", resources.stall_limit, computer.stall_limit), ("threads", resources.threads, None),
        ("memory", _size(resources.memory), None), ("fft", resources.library, computer.library),
    ]
    words = ["gembench", "pick", *map(str, sources.micrographs)]
    for name, patterns in (("include", sources.include), ("leave-out", sources.leave_out)):
        words += [f"--{name}={pattern}" for pattern in patterns]
    for name, value, default in options:
        if value is not None and value != default:
            words += [f"--{name}", _word(value)]
    return [*words, *(["--ignore-header"] if isinstance(settings.pixel_size, Insisted) else []), "-o", OUTPUT]


def score_command(by: Judging, truth: Path | None, radius: float) -> list[str]:
    """The words of the `gembench score` that judges its picks as they were judged here."""
    words = ["gembench", "score", "--picks", OUTPUT, "--truth", str(truth or "TRUTH"), "--radius",
             _word(radius)]
    views = None if by.views is None else sorted(map(str, by.views))
    ignored = None if tuple(by.ignore_labels) == Judging.ignore_labels else by.ignore_labels
    for name, several in (("labels", by.labels), ("ignore-labels", ignored), ("views", views)):
        if several is not None:
            words += [f"--{name}", ",".join(several)]
    return words


def _word(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _size(count: int | None) -> str | None:
    """Bytes as a command line takes them."""
    if count is None:
        return None
    return f"{count >> 20}M" if count % 2**20 == 0 else f"{count >> 10}K"


def threshold_between(low: float, high: float) -> float:
    """The middle, to as few decimals, 2 at least, as leave it above `low` and at most `high`."""
    for digits in range(2, 16):
        if low < (value := round((low + high) / 2, digits)) <= high:
            return value
    return high
