"""The search on the device that a user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gembench.engine.gpu.device import parse_device
from gembench.engine.search import Search
from gembench.engine.templates import TemplateBank

if TYPE_CHECKING:
    from gembench.engine.gpu.search import GPUSearch


def open_search(bank: TemplateBank, *, device: str = "cpu", **options: Any) -> Search | GPUSearch:
    """A search on 'cpu', 'gpu' (the first), 'gpu:0,1' or 'all' GPUs; `options` are those of its class.

    Raises InputError for a device that is unknown or not there, with the reason, and never takes another.
    """
    choice = parse_device(device)
    if choice is None:
        return Search(bank, **options)
    from gembench.engine.gpu.search import GPUSearch

    return GPUSearch(bank, devices=None if choice == "all" else choice, **options)
