"""A search distributed over ranks: what is handed out, the bytes of one process, errors on single ranks."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from gembench.engine.bank import TemplateBank
from gembench.engine.mpi import ranks
from gembench.engine.mpi.distribution import choose
from gembench.engine.mpi.launch import Launch, launched
from gembench.errors import InputError

PROGRAMS = Path(__file__).parent


@pytest.mark.parametrize("count", [1, 3, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (2, 4))])
def test_ranks_share_the_work_and_give_the_result_of_one(mpiexec, count, tmp_path):
    done = mpiexec(count, PROGRAMS / "cluster.py", tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    for items in (0, 1, 2, 25):
        came_back = sorted(result for _, result in results["handed out"][str(items)])
        assert came_back == [item**2 for item in range(items)]
    if count > 1:
        last = results["handed out"]["last"]
        assert len(last) == 12
        assert dict(begun for _, begun in last)[0] == 12
        assert len({rank for rank, _ in last}) > 1
    assert {search: set(said) for search, said in results["searches"].items() if set(said) != {"same"}} == {}
    on_rank = "" if count == 1 else f" (on rank {count - 1})"
    assert results["refused"] == [f"no memory{on_rank}", [83, 97]]
    assert results["from root"] == [7] * count
    assert results["failed"] == ["raised"] + [None] * (count - 1)
    cores, used = results["cores"]
    assert count <= used <= max(cores, count)


@pytest.mark.parametrize(("how", "said"), [
    ("raise", "RuntimeError: planted"), ("refuse", "a.mrc: planted"),
    ("SIGKILL", r"ended by SIGKILL \(out of memory\?\)"), ("SIGSEGV", "ended by SIGSEGV"),
])
def test_a_rank_that_fails_ends_all_and_is_named(mpiexec, how, said):
    done = mpiexec(3, PROGRAMS / "ending.py", how, timeout=30)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("gembench: ")]
    assert len(lines) == 1
    assert re.fullmatch(rf"gembench: error: rank 1 on \S+: {said}", lines[0])
    left = [process for process in psutil.process_iter(["cmdline"])
            if str(PROGRAMS / "ending.py") in (process.info["cmdline"] or [])]
    psutil.wait_procs(left, timeout=10)
    assert not [process for process in left if process.is_running()]


@pytest.mark.parametrize(("environment", "expected"), [
    ({}, Launch(1, 0, 0)),
    ({"PMI_SIZE": "8", "PMI_RANK": "5", "MPI_LOCALRANKID": "1"}, Launch(8, 5, 1)),
    ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1"},
     Launch(2, 1, 1)),
    ({"SLURM_NTASKS": "64", "SLURM_PROCID": "0"}, Launch(1, 0, 0)),  # a batch script, not srun
    ({"SLURM_STEP_NUM_TASKS": "64", "SLURM_PROCID": "9", "SLURM_LOCALID": "1"}, Launch(64, 9, 1)),
    ({"PMI_SIZE": "", "SLURM_STEP_NUM_TASKS": "3"}, Launch(3, 0, 0)),
])
def test_the_launcher_is_seen_in_the_environment(environment, expected):
    assert launched(environment) == expected


def test_templates_are_distributed_when_cores_exceed_micrographs():
    assert [choose(micrographs, 8) for micrographs in (0, 7, 8, 9)] \
        == ["templates", "templates", "micrographs", "micrographs"]


def test_without_mpi_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(InputError, match=r"^MPI: mpi4py cannot be used \(.*pip install 'gembench\[mpi\]'"):
        ranks.all_ranks()


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 40])
def test_shares_hold_every_template_once_and_as_many_of_either_kind(parts):
    y, x = np.indices((24, 24)) - 12
    masks = np.array([(abs(x) < 9) & (abs(y) < 6), x**2 + y**2 < 100], np.float32)
    bank = TemplateBank(np.random.default_rng(1).normal(size=(2, 24, 24)), masks, np.arange(15) * 24.0)
    assert bank.disc_views == (False, True)
    shares = [bank.share(part, parts) for part in range(parts)]
    assert sorted(index for share in shares for index in share) == list(range(30))
    for view in (0, 1):
        counts = [sum(int(bank.view(index)) == view for index in share) for share in shares]
        assert max(counts) - min(counts) <= 1
    order = list(bank.search_order())
    assert all(sorted(share, key=order.index) == share for share in shares)
