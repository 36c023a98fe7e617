"""Shared memory of runs that were killed is taken away, and no other."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

import pytest

from gembench.engine.mpi.leftovers import clear_leftovers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_what_nobody_holds_is_removed_and_nothing_else(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {"dead": f"__KMP_REGISTERED_LIB_{ended.pid}_0", "alive": f"__KMP_REGISTERED_LIB_{os.getpid()}_0",
             "left": "mpich_shm_1f00dead_0", "held": "mpich_shm_2f00dead_0", "new": "mpich_shm_3f00dead_0",
             "another's": "psm_4f00dead"}
    for name in names.values():
        (tmp_path / name).write_bytes(bytes(4096))
        os.utime(tmp_path / name, (1e9, 1e9))
    os.utime(tmp_path / names["new"])
    with (tmp_path / names["held"]).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        assert sorted(clear_leftovers(tmp_path)) == sorted([names["dead"], names["left"]])
    assert {path.name for path in tmp_path.iterdir()} == {
        names[kind] for kind in ("alive", "held", "new", "another's")}
    assert clear_leftovers(tmp_path) == [names["held"]]
    assert clear_leftovers(tmp_path / "nowhere") == []
