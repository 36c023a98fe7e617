"""The filtered micrographs and the bank that GPU and CPU pick with."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from gembench.data import klh
from gembench.data.annotated import SIMULATED
from gembench.data.sets import DataSet, find_set
from gembench.engine.bank import TemplateBank
from gembench.errors import InputError
from gembench.picking.settings import PickSettings

Images = list[NDArray[Any]]
SEED = 2


def real_set() -> DataSet | None:
    """KLH where it is, in the folder that GEMBENCH_DATA names or in the user's cache."""
    try:
        return find_set(klh.NAME)
    except ModuleNotFoundError:  # pooch, on a bare machine: nor is there a cache of ours
        return None


def pick_images(
    data: str, micrographs: int, size: int, angle_step: float, **options: Any
) -> tuple[Images, TemplateBank, PickSettings]:
    """The first micrographs (H, W), filtered, the bank of their templates, and the settings of both.

    data: KLH's name, or that of the simulator's micrographs, which are made in memory, `size` pixels a side
    options: of `PickSettings`

    Raises InputError if there is no such set, or it lacks templates or masks.
    """
    return _simulated(micrographs, size, angle_step, options) if data == SIMULATED else _real(
        micrographs, angle_step, options)


def _real(micrographs: int, angle_step: float, options: Any) -> tuple[Images, TemplateBank, PickSettings]:
    from gembench.io.images.micrographs import read_micrograph
    from gembench.picking.prepare import filtered, load_bank

    data = real_set()
    if data is None or data.templates is None or data.masks is None or not data.pixel_size:
        raise InputError(f"data set {klh.NAME} is not here, or lacks templates, masks or pixel size")
    settings = PickSettings(data.pixel_size, angle_step, **options)
    bank, _ = load_bank(data.templates, data.masks, settings)
    read = (read_micrograph(path, pixel_size=data.pixel_size) for path in data.micrographs[:micrographs])
    return [filtered(micrograph.data, settings)[0] for micrograph in read], bank, settings


def _simulated(
    micrographs: int, size: int, angle_step: float, options: Any
) -> tuple[Images, TemplateBank, PickSettings]:
    from gembench.data.simulate import PIXEL_SIZE, simulate_micrograph
    from gembench.data.templates import simulated_templates
    from gembench.engine.bank import grid_angles
    from gembench.picking.prepare import filtered

    settings = PickSettings(PIXEL_SIZE, angle_step, **options)
    templates, masks = simulated_templates()
    bank = TemplateBank(templates, masks, grid_angles(angle_step), pixel_size=PIXEL_SIZE)
    images = [simulate_micrograph(SEED, index, size)[0] for index in range(micrographs)]
    return [filtered(image, settings)[0] for image in images], bank, settings
