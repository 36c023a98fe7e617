"""Emulated nodes: names, links, and that nothing stays behind, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gembench.study.clusters import netns, owners, ranks
from gembench.study.clusters.netns import emulated_nodes, owned
from gembench.study.clusters.owners import orphaned, owner

needs_root = pytest.mark.skipif(bool(netns.unavailable()), reason=netns.unavailable())
needs_mpi = pytest.mark.skipif(bool(ranks.unavailable()), reason=ranks.unavailable())

HOLDS_NODES = """
import sys, time
from gembench.study.clusters.netns import emulated_nodes
with emulated_nodes(2, 1e6) as nodes:
    print(nodes.namespaces[0], flush=True)
    time.sleep(60)
"""


def ended() -> int:
    """The id of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def wait_until_gone(prefix: str) -> None:
    for _ in range(100):
        if not owned(prefix):
            return
        time.sleep(0.1)
    raise AssertionError(f"still there: {owned(prefix)}")


def test_an_owner_is_told_by_id_and_start():
    own = owner()
    assert own.startswith(f"gembench-{os.getpid()}-")
    assert not orphaned(own)
    assert not orphaned(f"{own}-3")
    assert orphaned(own + "0")  # the same id, started at another time
    assert orphaned(f"gembench-{ended()}-12345-switch")


@pytest.mark.parametrize("name", ["mine", "gembench", "gembench-x-1", "cni-12-34", "gembenches-1-2"])
def test_names_of_others_are_never_orphans(name):
    assert not orphaned(name)


def test_what_workers_share_belongs_to_this_process_where_there_is_no_runner():
    assert owners.runner() == owner()


def test_without_root_no_nodes_are_emulated(monkeypatch):
    monkeypatch.setattr(netns.shutil, "which", lambda program: f"/sbin/{program}")
    monkeypatch.setattr(netns.os, "geteuid", lambda: 1000)
    assert netns.unavailable() == "emulated nodes need root: run the study with sudo"


@needs_root
def test_nodes_have_limited_links_and_leave_nothing_behind():
    with emulated_nodes(3, 12.5e6) as nodes:
        assert len(owned(owner())) == 4  # and the switch
        shown = subprocess.run([*nodes.command(2), "tc", "qdisc", "show", "dev", "eth0"], capture_output=True,
                               text=True, check=True)
        assert "tbf" in shown.stdout
        assert "rate 100Mbit" in shown.stdout
        control = subprocess.run([*nodes.command(1), "cat", "/proc/sys/net/ipv4/tcp_congestion_control"],
                                 capture_output=True, text=True, check=True)
        assert control.stdout == "reno\n"
        neighbours = subprocess.run([*nodes.command(0), "ip", "neigh"],
                                    capture_output=True, text=True, check=True)
        assert neighbours.stdout.count("PERMANENT") == 2
        assert [f"{name}" for name in nodes.namespaces] == [f"{owner()}-{number}" for number in range(3)]
    assert owned(owner()) == []


@needs_root
def test_processes_on_nodes_end_with_them():
    with emulated_nodes(1, 1e6) as nodes:
        sleeper = subprocess.Popen([*nodes.command(0), "sleep", "60"])
        for _ in range(50):  # until it has entered the namespace
            if subprocess.run(["ip", "netns", "pids", nodes.namespaces[0]], capture_output=True,
                              check=True).stdout:
                break
            time.sleep(0.05)
    assert sleeper.wait(timeout=10) == -signal.SIGKILL


@needs_root
def test_an_error_inside_removes_the_nodes():
    with pytest.raises(ZeroDivisionError), emulated_nodes(2, 1e6):
        _ = 1 / 0
    assert owned(owner()) == []


@needs_root
def test_the_guard_removes_the_nodes_of_a_killed_owner():
    with subprocess.Popen([sys.executable, "-c", HOLDS_NODES], stdout=subprocess.PIPE, text=True) as holder:
        prefix = holder.stdout.readline().rsplit("-", 1)[0]
        assert len(owned(prefix)) == 3
        holder.kill()
    wait_until_gone(prefix)


@needs_root
def test_what_a_guard_killed_with_its_owner_left_is_removed_by_the_next_owner():
    with subprocess.Popen([sys.executable, "-c", HOLDS_NODES], stdout=subprocess.PIPE, text=True) as holder:
        prefix = holder.stdout.readline().rsplit("-", 1)[0]
        for process in [*psutil.Process(holder.pid).children(recursive=True), holder]:
            process.kill()
    assert len(owned(prefix)) == 3
    foreign = f"other-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", foreign], check=True)
    try:
        with emulated_nodes(1, 1e6):
            assert owned(prefix) == []
        assert Path("/run/netns", foreign).exists()
    finally:
        subprocess.run(["ip", "netns", "delete", foreign], check=True)


@needs_root
def test_a_tool_that_fails_is_named():
    with pytest.raises(netns.EmulationError, match="ip -n nowhere"):
        netns._batch("nowhere", ["link show"])


@needs_mpi
def test_a_rank_that_fails_is_told_with_its_error():
    outcome = ranks.launch("rank_reduction", {"n": 16}, 2, time_limit=60)
    assert outcome.entries == []
    assert outcome.error == "KeyError: 'nodes'"


@needs_mpi
def test_ranks_that_take_too_long_are_ended():
    plan = {"n": 64, "nodes": [2], "strategies": [["direct", 1]], "rounds": 10**9, "link": ""}
    outcome = ranks.launch("rank_reduction", plan, 2, time_limit=8)
    assert outcome.error == "2 ranks took more than 8 s"
    assert outcome.entries
    left = [process for process in psutil.process_iter(["cmdline"])
            if json.dumps(plan) in (process.info["cmdline"] or [])]  # other tests may start ranks meanwhile
    assert left == []
