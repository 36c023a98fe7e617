"""From a score map to picks."""

from __future__ import annotations

from functools import cache

import numpy as np

from gembench.engine.peaks import PeakSettings, find_picks
from gembench.engine.score_map import ScoreMap

from ._inputs import ONE_THREAD, bank, noise


@cache
def score_map(size: int) -> ScoreMap:
    """A smooth map of random peaks up to 0.9; every pixel knows a template of the bank."""
    from scipy.ndimage import gaussian_filter

    score = gaussian_filter(noise(size, size), size / 128)
    index = (np.arange(size * size, dtype=np.int32) % len(bank(size))).reshape(size, size)
    return ScoreMap(0.9 * score / score.max(), index)


class Peaks:
    """Each rule on a map with some hundreds of maxima above the threshold."""

    params = (["nms", "gempicker"], [512, 1024])
    param_names = ("rule", "size")
    rounds, repeat, warmup_time = 2, (3, 5, 0.5), 0.05
    timer = ONE_THREAD

    def setup(self, rule: str, size: int) -> None:
        self.maps, self.bank = score_map(size), bank(size)
        self.settings = PeakSettings(rule, threshold=0.3, distance=size / 16)  # type: ignore[arg-type]

    def time_find_picks(self, rule: str, size: int) -> None:
        find_picks(self.maps, self.bank, self.settings)
