"""gembench: a cryo-EM particle-picking engine, and the study that measures it.

The engine (`gembench.engine`) turns micrographs and templates into picks by Roseman's local normalised
cross-correlation; `gembench.io` reads and writes micrographs and coordinates; `gembench.evaluate` judges
picks against annotations; `gembench.study` runs the experiments under `experiments/`.
"""

__version__ = "0.1.0"
