"""gembench: a cryo-EM particle-picking engine, and the study that measures it.

The names that a notebook needs are here, and imported when they are first used:

- `read_micrograph`, `read_picks`, `write_picks`: files of any format
- `pick`, with `PickSettings` and `PeakSettings`: the particles of one micrograph, a file or an array
- `pick_folder`: those of many, into a folder of STAR files, as `gembench pick` does
- `tune`: which settings pick annotated micrographs best, as `gembench tune` says it
- `table`, `score`, `draw`: picks as a table, judged against annotations, on their micrograph
- `Picks`, `Micrograph`, `InputError`: what these return and raise

Behind them `gembench.engine` turns micrographs and templates into picks by Roseman's local normalised
cross-correlation; `gembench.io` reads and writes micrographs and coordinates; `gembench.evaluate` judges
picks against annotations; `gembench.study` runs the experiments under `experiments/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gembench.engine.peaks import PeakSettings
    from gembench.engine.picks import Picks
    from gembench.errors import InputError
    from gembench.io.coordinates import read_coordinates as read_picks
    from gembench.io.coordinates import write_coordinates as write_picks
    from gembench.io.images.micrographs import Micrograph, read_micrograph
    from gembench.notebook import draw, pick, score, table
    from gembench.picking.run import pick_folder
    from gembench.picking.settings import PickSettings
    from gembench.tuning.tuner import tune

__version__ = "0.1.0"
__all__ = [
    "InputError", "Micrograph", "PeakSettings", "PickSettings", "Picks", "draw", "pick", "pick_folder",
    "read_micrograph", "read_picks", "score", "table", "tune", "write_picks",
]

_MODULES = {
    "InputError": "errors", "Micrograph": "io.images.micrographs", "PeakSettings": "engine.peaks",
    "PickSettings": "picking.settings", "Picks": "engine.picks", "draw": "notebook", "pick": "notebook",
    "pick_folder": "picking.run", "read_micrograph": "io.images.micrographs", "read_picks": "io.coordinates",
    "score": "notebook", "table": "notebook", "tune": "tuning.tuner", "write_picks": "io.coordinates",
}
_NAMES = {"read_picks": "read_coordinates", "write_picks": "write_coordinates"}  # what they are called there


def __getattr__(name: str) -> Any:
    """One of the names of `__all__`, imported now."""
    if name not in _MODULES:
        raise AttributeError(f"module 'gembench' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"gembench.{_MODULES[name]}"), _NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """All names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
