"""What the picks of three simulated micrographs are worth: no noise, so every change is a change."""

from __future__ import annotations

from gembench.data.simulate import PIXEL_SIZE, simulate_micrograph
from gembench.data.templates import simulated_templates
from gembench.engine.filters import average
from gembench.engine.peaks import PeakSettings, find_picks
from gembench.evaluate import evaluate

from ._inputs import CPUSearch, TemplateBank, part

SEED, MICROGRAPHS, SIZE = 2013, 3, 1024
RADIUS = 20.0  # px


class Quality:
    """The default method with 15-degree turns, 4 x 4 averaging, and a threshold that costs false picks."""

    def setup_cache(self) -> dict[str, float]:
        """Pick and judge once for all metrics."""
        bank = TemplateBank(*simulated_templates(), part("grid_angles")(15), pixel_size=PIXEL_SIZE)
        settings = PeakSettings(threshold=0.2, distance=100)
        picks, truth = [], []
        with CPUSearch(bank, library="scipy") as search:
            for index in range(MICROGRAPHS):
                image, particles = simulate_micrograph(SEED, index, SIZE)
                smooth, shift = average(image, 4)
                picked = find_picks(search.run(smooth), bank, settings, particles.micrograph)
                picks.append(picked.shifted(-shift, -shift))
                truth.append(particles)
        judged = evaluate(picks, truth, RADIUS, resamples=0)
        return {"f1": judged.f1, "distance": judged.mean_distance}

    setup_cache.timeout = 300  # type: ignore[attr-defined]

    def track_missing_f1(self, quality: dict[str, float]) -> float:
        return 1 - quality["f1"]

    def track_mean_distance(self, quality: dict[str, float]) -> float:
        return quality["distance"]

    track_missing_f1.unit = "1 - F1"  # type: ignore[attr-defined]
    track_mean_distance.unit = "px"  # type: ignore[attr-defined]
