"""The regression suite: what airspeed velocity measures at every commit.

`time_` benchmarks are seconds of one call (of processor time where one thread works, since other programs on
the machine then cost little, and of the clock where several do), `peakmem_` the process's peak memory, and
`track_` metrics counts without noise, of which less is better. A library that is not installed is skipped.
Inputs are seeded and kept for a process, since asv repeats `setup` before every timed call.
"""

import os

# One thread, unless a benchmark is about threads; libraries read these when they are loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
