"""From files to what is searched: the template bank, and a micrograph read and filtered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.filters import (
    LineFilter,
    average,
    average_shift,
    centred,
    contrast_margin,
    limit_outliers,
    lowpass,
    matched_contrast,
)
from gembench.engine.search import without
from gembench.errors import InputError
from gembench.io.checks import log
from gembench.io.images.find import images_in
from gembench.io.images.micrographs import Micrograph, read_pixels
from gembench.io.images.mrc import read_stack, stack_contrast
from gembench.io.names import micrograph_key
from gembench.picking.settings import PickSettings

Array = NDArray[Any]

# Standard deviations at which a single pixel of 4096 x 4096 has a sixteenth of the variance of all others.
FAR = 1000
# Of a low-pass filter over the particle's width, from which on float32 loses digits: at a half scores are off
# by 1e-4, at more than the whole by 2e-3.
STRONG = 0.5


@dataclass(frozen=True, eq=False)
class Prepared:
    """A micrograph as it is searched.

    image: (H, W), outliers limited, filtered; shift: in pixels, that the filter gave it
    limited: number of outlier pixels; exclude: (H, W), true where no pick may be
    line_filter: that is left to the search, the image being as it was read but for outliers
    """

    micrograph: Micrograph
    image: Array
    shift: float
    limited: int
    exclude: Array | None = None
    line_filter: LineFilter | None = None


@dataclass(frozen=True)
class _Views:
    """Views of a file in the micrographs' contrast, (v, h, w), but those that show nothing, and their masks.

    numbers: what the file calls them; count: of all in the file; inverted: numbers of those that were
    """

    path: str | Path
    views: Array
    masks: Array
    numbers: list[int]
    count: int
    inverted: list[int]


def load_bank(
    templates: str | Path, masks: str | Path | None, settings: PickSettings,
    decoys: str | Path | None = None, decoy_masks: str | Path | None = None,
) -> tuple[TemplateBank, list[int]]:
    """The bank for these settings, and the views whose contrast was inverted to match the micrographs.

    templates, masks: .mrcs stacks or folders of images. Templates without any contrast, as 2-D classes have
    that nothing fell into, are left out with a warning; the others keep their numbers. The contrast of
    templates is the settings', else what their file says, else what they look like.
    decoys, decoy_masks: the same of what is not wanted, whose masks are that of the first template if they
    are not given; they are numbered after the templates.

    Raises InputError if they cannot be used together, or none shows anything.
    """
    wanted = _load_views(templates, masks, settings)
    parts, symmetry = {0: wanted}, settings.symmetry  # by the number of their first view
    if decoys is not None:
        parts[wanted.count] = _load_views(decoys, decoy_masks, settings, wanted)
    elif decoy_masks is not None:
        raise InputError(f"{decoy_masks}: are masks of decoys, and there are none: give --decoys")
    if symmetry is not None and len(symmetry) == wanted.count:
        symmetry = tuple(symmetry[number] for number in wanted.numbers)
    numbers = [start + number for start, part in parts.items() for number in part.numbers]
    lures = len(numbers) - len(wanted.numbers)
    bank = TemplateBank(
        np.concatenate([part.views for part in parts.values()]),
        np.concatenate([part.masks for part in parts.values()]), grid_angles(settings.angle_step),
        settings.interpolation, settings.pixel_size, None if symmetry is None else (*symmetry, *[1] * lures),
        tuple(numbers), lures,
    )
    return bank, [start + number for start, part in parts.items() for number in part.inverted]


def _load_views(
    templates: str | Path, masks: str | Path | None, settings: PickSettings, wanted: _Views | None = None
) -> _Views:
    """The views of a file and their masks; wanted: what they compete with, if they are decoys."""
    views, _ = read_stack(templates, pixel_size=settings.pixel_size)
    if wanted is not None and (box := wanted.views.shape[1:]) != views.shape[1:]:
        raise InputError(f"{templates}: has boxes of {views.shape[2]} x {views.shape[1]} px, {wanted.path} of"
                         f" {box[1]} x {box[0]}: make them with one --box")
    shapes = None if wanted is None else wanted.masks[:1]
    if masks is not None:
        shapes = read_stack(masks, pixel_size=settings.pixel_size)[0]
    count, numbers = len(views), _shown(templates, views)
    if shapes is not None and len(shapes) == count:
        shapes = shapes[numbers]
    try:
        bank = TemplateBank(views[numbers], shapes, numbers=tuple(numbers))
    except InputError as error:
        raise InputError(f"{templates}{f' with {masks}' if masks else ''}: {error}") from None
    assert bank.masks is not None
    contrast = settings.template_contrast or stack_contrast(templates)
    try:
        matched, inverted = matched_contrast(bank.templates, bank.masks, settings.contrast, contrast,
                                             numbers)
    except InputError as error:
        raise InputError(f"{templates}: {error}") from None
    if contrast is None:
        for view in inverted:
            margin = contrast_margin(bank.templates[view], bank.masks[view])
            log.warning("%s: template %d is inverted, its particle seems not %s by %.2f of its standard"
                        " deviation: if that is wrong, give --template-contrast, or masks", templates,
                        numbers[view], settings.contrast, abs(margin))
    return _Views(templates, matched, bank.masks, numbers, count, [numbers[view] for view in inverted])


def _shown(templates: str | Path, views: Array) -> list[int]:
    """The numbers of the views (v, h, w) that show anything; raises InputError if there are none."""
    empty = views.min(axis=(1, 2)) == views.max(axis=(1, 2))
    if empty.all():
        raise InputError(f"{templates}: every template has one value throughout; give templates that show"
                         " particles")
    if empty.any():
        log.warning("%s: templates without any contrast are left out, as empty classes are: %s (%d of %d)",
                    templates, ", ".join(map(str, np.flatnonzero(empty)[:10])), empty.sum(), len(views))
    return [int(number) for number in np.flatnonzero(~empty)]


def default_distance(bank: TemplateBank) -> float:
    """Three quarters of the smallest mask's width, were it square: what touching particles keep, pixels.

    Masks of decoys do not count.
    """
    assert bank.masks is not None
    masks = bank.masks[: len(bank.masks) - bank.decoys]
    return float(np.round(0.75 * np.sqrt(masks.sum(axis=(1, 2)).min())))


def warn_of_precision(settings: PickSettings, bank: TemplateBank) -> None:
    """Warn of a low-pass filter that leaves so little under a mask that scores lose digits in float32."""
    assert bank.masks is not None
    width = float(np.sqrt(bank.masks.sum(axis=(1, 2)).min())) * settings.pixel_size
    if settings.dtype == "float32" and settings.lowpass > STRONG * width:
        log.warning("a low-pass filter at %g A beside particles of %.0f A leaves scores of float32 off by up"
                    " to 0.002: take --precision float64 for more digits", settings.lowpass, width)


def with_distance(settings: PickSettings, bank: TemplateBank) -> PickSettings:
    """The settings with the distance that the masks suggest, if they ask for it."""
    if settings.peaks.distance or not settings.mask_distance:
        return settings
    return replace(settings, peaks=replace(settings.peaks, distance=default_distance(bank)))


def prepare(
    micrograph: Micrograph, settings: PickSettings, exclude: Array | None = None, threads: int = 1, *,
    leave_filter: bool = False,
) -> Prepared:
    """What is done to a micrograph before it is searched.

    exclude: (H, W), true where no pick may be
    leave_filter: whether filters are left to the search, which they are if nothing is excluded
    Raises InputError, naming the micrograph, if it cannot be prepared.
    """
    try:
        border, (rows, columns) = settings.peaks.border, micrograph.shape
        if 2 * border >= min(rows, columns):
            raise InputError(f"a border of {border:g} px leaves nothing of {columns} x {rows} px: give less")
        image = micrograph.data if exclude is None else without(micrograph.data, exclude)
        if not settings.clip and (count := limit_outliers(image, FAR)[1]):
            log.warning("%s: %d pixels lie more than %d standard deviations off, beside which particles do"
                        " not show: leave --clip at 10", micrograph.path, count, FAR)
        line_filter = None
        if leave_filter and exclude is None:
            line_filter = LineFilter.of(image.shape, resolution=settings.lowpass, k=settings.average,
                                        pixel_size=settings.pixel_size)
        if line_filter is None:
            return Prepared(micrograph, *filtered(image, settings, threads), exclude)
        image, limited = limited_outliers(image, settings)
        return Prepared(micrograph, image, average_shift(settings.average), limited, line_filter=line_filter)
    except InputError as error:
        raise InputError(f"{micrograph.path}: {error}") from None


def filtered(micrograph: Array, settings: PickSettings, threads: int = 1) -> tuple[Array, float, int]:
    """A micrograph (H, W) as it is searched: outliers limited, filtered.

    Returns it with the shift in pixels that the filter gave it, and the number of outlier pixels.
    """
    image, limited = limited_outliers(micrograph, settings)
    image = lowpass(centred(image), settings.lowpass, settings.pixel_size, threads)
    image, shift = average(image, settings.average)
    return image, shift, limited


def limited_outliers(micrograph: Array, settings: PickSettings) -> tuple[Array, int]:
    """A micrograph (H, W) with its outlier pixels limited as the settings say, and their number."""
    return limit_outliers(micrograph, settings.clip) if settings.clip else (micrograph, 0)


def find_areas(folder: str | Path | None, micrographs: list[Path]) -> dict[Path, Path]:
    """The image of each micrograph's excluded area; some may have none.

    Raises InputError if no image in the folder is named as a micrograph.
    """
    if folder is None:
        return {}
    images = {micrograph_key(path): path for path in images_in(Path(folder))}
    areas = {path: images[key] for path in micrographs if (key := micrograph_key(path)) in images}
    if not areas:
        raise InputError(f"{folder}: no image here is named as a micrograph; name them so, or leave out"
                         " --exclude")
    return areas


def read_area(areas: dict[Path, Path], micrograph: Path) -> NDArray[np.bool_] | None:
    """The area of a micrograph where nothing may be picked, (H, W); None if there is no image of it."""
    path = areas.get(micrograph)
    return None if path is None else read_pixels(path)[0] != 0
