"""The commands of `gembench`, one module each with `add_parser(subparsers)` and `run(args) -> int`.

A command module imports nothing heavy at its top, so that `gembench --help` answers at once.
"""

from __future__ import annotations

from types import ModuleType

from gembench.commands import (
    convert,
    data,
    filter,
    guide,
    pick,
    report,
    score,
    simulate,
    study,
    templates,
    tune,
    view,
)

COMMANDS: tuple[ModuleType, ...] = (
    pick, templates, tune, study, report, score, view, filter, convert, simulate, data, guide,
)
