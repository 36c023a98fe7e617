"""The regression suite: what airspeed velocity measures at every commit.

`time_` benchmarks are wall-clock seconds of one call, `peakmem_` the process's peak memory, and `track_`
metrics counts without noise, of which less is better. A library that is not installed is skipped. Inputs are
seeded and kept for a process, since asv repeats `setup` before every timed call.
"""

import os

# One thread, unless a benchmark is about threads; libraries read these when they are loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
