"""What a run of picking is told: by which rules, from which files, to which folder, with which computer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gembench.engine.exact.plan import Edges
from gembench.engine.filters import Contrast
from gembench.engine.gpu.plan import Storage
from gembench.engine.gpu.watch import STALL_LIMIT
from gembench.engine.peaks import PeakSettings
from gembench.engine.search import Method
from gembench.engine.turning import Interpolation
from gembench.errors import InputError
from gembench.io.coordinates.star.optics import Optics


@dataclass(frozen=True)
class PickSettings:
    """Everything that decides which particles are picked.

    pixel_size: A/px of micrographs and templates
    angle_step: degrees between the in-plane turns of a template
    contrast: how particles look in the micrograph; template_contrast: in the templates, None to see for
        oneself (`filters.template_contrast`)
    symmetry: of each view in the plane, see `engine.bank.TemplateBank`
    average: side of the averaging filter in pixels, 1 for none
    lowpass: resolution in A at which a Gaussian filter halves the micrographs' amplitudes, 0 for none
    clip: pixels further than so many robust standard deviations from the median are limited to that, 0 for
        none
    method, dtype, edges: of the search, see `engine.exact.producer.CPUSearch`; spectra: what a GPU stores
        them in, see `engine.gpu.search.GPUSearch`
    mask_distance: whether a folder of micrographs is picked with `prepare.default_distance` where the
        distance of `peaks` is 0
    beside: a pick is dropped where what surrounds it reaches more than this part of its score, see
        `picking.beside`; None for not
    beside_column: whether picks say what surrounds them, as they do with `beside`
    floor: score below the threshold of `peaks` down to which picks are kept apart, for other thresholds; with
        the rule 'nms', by which worse picks never change better ones
    """

    pixel_size: float
    angle_step: float = 4.0
    contrast: Contrast = "dark"
    template_contrast: Contrast | None = None
    interpolation: Interpolation = "bilinear"
    symmetry: tuple[int, ...] | None = None
    average: int = 4
    lowpass: float = 0.0
    clip: float = 10.0
    method: Method = "exact"
    dtype: str = "float32"
    edges: Edges = "mask"
    peaks: PeakSettings = field(default_factory=PeakSettings)
    spectra: Storage = "single"
    mask_distance: bool = True
    beside: float | None = None
    beside_column: bool = False
    floor: float | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.pixel_size) and self.pixel_size > 0):
            raise InputError(f"pixel size {self.pixel_size} A/px: give the micrographs' own, such as 2.2")
        if self.average < 1:
            raise InputError(f"averaging filter of {self.average} px: give 1 for none, or a side such as 4")
        if not 0 <= self.lowpass < np.inf:
            raise InputError(f"low-pass filter at {self.lowpass} A: give a resolution, or 0 for none")
        if not self.clip >= 0:
            raise InputError(f"clip {self.clip}: give 0 for none, or standard deviations such as 10")
        if self.beside is not None and not 0 < self.beside <= 1:
            raise InputError(f"beside {self.beside}: give a part of the pick's own score above 0, at most 1,"
                             " such as 0.5")
        if self.floor is not None and not -1 <= self.floor < self.peaks.threshold:
            raise InputError(f"floor {self.floor}: give a score below the threshold, {self.peaks.threshold}")
        if self.floor is not None and self.peaks.rule != "nms":
            raise InputError(f"floor {self.floor}: with gEMpicker's rules a worse pick can take a better one"
                             " with it: pick with the lower threshold itself")

    @property
    def looks_beside(self) -> bool:
        """Whether it is looked at what surrounds picks."""
        return self.beside_column or self.beside is not None

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON holds them; the distance is among them, so not where it is from."""
        values = asdict(self)
        del values["mask_distance"]
        if self.beside is None:  # as in folders that were picked before there was any
            del values["beside"]
        if not self.beside_column or self.beside is not None:  # which writes the same
            del values["beside_column"]
        if self.floor is None:
            del values["floor"]
        return values


@dataclass(frozen=True)
class Sources:
    """The files to pick from.

    micrographs: files, or folders of them; templates, masks: .mrcs stacks or folders of images, no masks for
    discs; exclude: folder of images, named as the micrographs, that are not 0 where no pick may be; include,
    leave_out: patterns of micrographs, see `find_micrographs`; decoys, decoy_masks: see `prepare.load_bank`
    """

    micrographs: Sequence[str | Path]
    templates: str | Path
    masks: str | Path | None = None
    exclude: str | Path | None = None
    include: Sequence[str] = ()
    leave_out: Sequence[str] = ()
    decoys: str | Path | None = None
    decoy_masks: str | Path | None = None


@dataclass(frozen=True)
class Outputs:
    """The folder to write picks to.

    maps: score and index maps as well; plots: pictures of the picks as well
    overwrite: remove the picks, maps and plots that are there
    optics: the microscope, for the STAR files
    """

    folder: str | Path
    maps: bool = False
    plots: bool = False
    overwrite: bool = False
    optics: Optics | None = None


@dataclass(frozen=True)
class Resources:
    """What a process may use.

    threads: of the CPU, None for all cores that it may have; library: for Fourier transforms
    device: see `engine.search.open_search`
    memory: bytes that the process may hold, None for no bound
    stall_limit: see `engine.gpu.search.GPUSearch`
    """

    threads: int | None = None
    library: str = "auto"
    device: str = "cpu"
    memory: int | None = None
    stall_limit: float = STALL_LIMIT
