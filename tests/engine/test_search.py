"""The one interface of all searches."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gembench.engine.banded.search import BandedSearch
from gembench.engine.bank import TemplateBank, grid_angles
from gembench.engine.exact.producer import CPUSearch
from gembench.engine.gpu.search import GPUSearch
from gembench.engine.mpi.distribution import SharedSearch
from gembench.engine.search import Search, open_search
from gembench.errors import InputError

BANK = TemplateBank(gaussian_filter(np.random.default_rng(0).normal(size=(40, 40)), 4), None, grid_angles(45))
MICROGRAPH = gaussian_filter(np.random.default_rng(1).normal(size=(200, 220)), 4).astype(np.float32)


@pytest.mark.parametrize("kind", [CPUSearch, BandedSearch, GPUSearch, SharedSearch])
def test_every_search_is_one(kind):
    assert issubclass(kind, Search)


@pytest.mark.parametrize("method", ["exact", "paper", "banded"])
def test_all_methods_are_used_alike(method):
    done: list[int] = []
    with open_search(BANK, method=method, library="scipy") as search:
        assert (search.method, search.library.name) == (method, "scipy")
        assert (search.threads, search.memory) == (1, inf)
        maps = search.run(MICROGRAPH, on_template=done.append)
        assert maps.score.shape == maps.index.shape == MICROGRAPH.shape
        assert search.statistics.counts.templates == sum(done) == len(BANK)
        assert search.statistics.seconds > 0


@pytest.mark.parametrize("method", ["exact", "paper", "banded"])
def test_memory_may_change_from_one_micrograph_to_the_next(method):
    with open_search(BANK, method=method, library="scipy") as search:
        search.run(MICROGRAPH)
        search.memory = 1000
        with pytest.raises(InputError, match="allow"):
            search.run(MICROGRAPH[:-1])
        search.memory = inf
        search.run(MICROGRAPH[:-1])
