"""The search on the device that a user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gembench.engine.bank import TemplateBank
from gembench.engine.exact.search import Search
from gembench.engine.gpu.device import parse_device
from gembench.errors import InputError

if TYPE_CHECKING:
    from gembench.engine.banded.search import BandedSearch
    from gembench.engine.gpu.search import GPUSearch
    from gembench.engine.peaks import PeakSettings


def open_search(
    bank: TemplateBank, *, device: str = "cpu", method: str = "exact", peaks: PeakSettings | None = None,
    **options: Any,
) -> Search | BandedSearch | GPUSearch:
    """A search on 'cpu', 'gpu' (the first), 'gpu:0,1' or 'all' GPUs; `options` are those of its class.

    method: 'exact', 'paper' or 'banded', the last two on a CPU only
    peaks: the rules by which picks will be taken, which the method banded goes by
    Raises InputError for a device that is unknown or not there, with the reason, and never takes another.
    """
    choice = parse_device(device)
    if method == "banded":
        from gembench.engine.banded.search import BandedSearch

        if choice is not None:
            raise InputError(f"method 'banded' runs on CPUs: leave out device '{device}'")
        return BandedSearch(bank, peaks=peaks, **options)
    options |= {"method": method}
    if choice is None:
        return Search(bank, **options)
    from gembench.engine.gpu.search import GPUSearch

    return GPUSearch(bank, devices=None if choice == "all" else choice, **options)
