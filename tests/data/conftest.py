"""Folders of data sets that belong to one test."""

from __future__ import annotations

import numpy as np
import pytest

from gembench.data import sets
from gembench.io.images.mrc import write_mrc


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no GEMBENCH_DATA."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(sets, "cache_folder", lambda: folder)
    monkeypatch.setattr("gembench.data.acquire.cache_folder", lambda: folder)
    monkeypatch.delenv(sets.ENVIRONMENT, raising=False)
    return folder


@pytest.fixture
def micrographs(tmp_path):
    """A folder with two small MRC micrographs, 2.2 A/px."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for k in range(2):
        image = np.random.default_rng(k).normal(size=(24, 32)).astype(np.float32)
        write_mrc(folder / f"m{k}.mrc", image, 2.2)
    return folder
