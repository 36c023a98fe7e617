"""Start ranks of a program, here or one on each emulated node, and collect what rank 0 writes.

A program is a module of this folder whose `main` takes a plan (JSON) as its argument; its rank 0 writes one
JSON object a line to standard output.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gembench.engine.mpi.supervised import die_with
from gembench.study.clusters import prefork
from gembench.study.clusters.netns import Nodes
from gembench.study.clusters.owners import orphaned, owner

# Open MPI asks for leave to run as root and with more ranks than cores; other MPIs do not read its settings.
# Memory that glibc keeps is not new pages at every reduction: that took a third of the time of tree.
SETTINGS = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=8589934592",
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none", "OMPI_MCA_mpi_yield_when_idle": "1",
}
# Without these MPICH takes ways between the ranks that no link limits.
BY_NETWORK = {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "eth0"}
SCRATCH = Path("/tmp")  # a socket's path may have 108 characters
LAUNCHER = """#!/bin/sh
# Stands in for ssh: runs a command on an emulated node. Arguments: [options] address command...
while [ "${{1#-}}" != "$1" ]; do shift; done
case $1 in
{nodes}
*) echo "no emulated node $1" >&2; exit 1;;
esac
shift
exec ip netns exec "$name" sh -c "$*"
"""


@dataclass(frozen=True)
class Outcome:
    """The lines that rank 0 wrote, and how the launch ended: '' if it ended well."""

    entries: list[dict[str, Any]]
    error: str


def mpiexec() -> str:
    """The MPI launcher of this environment, else that of the PATH; '' if there is none."""
    own = Path(sys.executable).with_name("mpiexec")
    return str(own) if own.exists() else shutil.which("mpiexec") or ""


def unavailable(*, emulated: bool = False) -> str:
    """Why no ranks can be started here, '' if they can."""
    if not importlib.util.find_spec("mpi4py"):
        return "no mpi4py (pip install 'gembench[mpi]')"
    if not mpiexec():
        return "no mpiexec (pip install 'gembench[mpi]', or load the site's MPI)"
    if emulated:
        version = subprocess.run([mpiexec(), "--version"], capture_output=True, text=True, check=False)
        if "HYDRA" not in version.stdout:
            return "emulated nodes need MPICH's mpiexec (pip install 'gembench[mpi]')"
    return ""


def launch(
    program: str, plan: Mapping[str, Any], ranks: int, *, nodes: Nodes | None = None, time_limit: float
) -> Outcome:
    """Run a program on so many ranks: on this machine, or one on each of the emulated nodes.

    program: the name of a module in this folder; plan: its argument; time_limit: seconds
    """
    environment = {**os.environ, **SETTINGS, **(BY_NETWORK if nodes else {})}
    with tempfile.TemporaryFile() as words, _command(program, json.dumps(plan), ranks, nodes) as command:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words,
                                   env=environment, preexec_fn=die_with_this_process)
        error = ""
        try:
            out, _ = process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            error = f"{ranks} ranks took more than {time_limit:g} s"
        finally:
            end(process.pid)
        if error:
            out, _ = process.communicate()
        elif process.returncode:
            words.seek(0)
            error = _last_words(words.read().decode(errors="replace"), process.returncode)
    return Outcome(list(_entries(out)), error)


def die_with_this_process() -> None:
    """In a child about to start a program: have Linux kill it when this process dies."""
    die_with(os.getppid())


@contextmanager
def _command(program: str, plan: str, ranks: int, nodes: Nodes | None) -> Iterator[list[str]]:
    """What starts the ranks; on emulated nodes the launcher runs on the first, and ranks are forked."""
    if nodes is None:
        yield [mpiexec(), "-n", str(ranks), sys.executable,
               "-m", "mpi4py", "-m", f"{__package__}.{program}", plan]  # an error of one rank ends them all
        return
    for old in SCRATCH.glob("gembench-*"):
        if orphaned(old.name):  # its owner was killed
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{owner()}-", dir=SCRATCH) as folder:
        script, meeting = Path(folder) / "on_node", Path(folder) / "socket"
        script.write_text(LAUNCHER.format(nodes="\n".join(
            f"{address}) name={shlex.quote(name)};;"
            for address, name in zip(nodes.addresses, nodes.namespaces, strict=True)
        )), encoding="utf-8")
        script.chmod(0o700)
        with _server(meeting, program):
            yield [*nodes.command(0), mpiexec(), "-launcher", "ssh", "-launcher-exec", str(script),
                   "-localhost", nodes.addresses[0], "-hosts", ",".join(nodes.addresses[:ranks]), "-ppn", "1",
                   "-n", str(ranks), sys.executable, "-S", "-E", prefork.__file__, "rank", str(meeting), plan]


@contextmanager
def _server(meeting: Path, program: str) -> Iterator[None]:
    """The process that ranks are forked from, ready when the context begins; they all end with it."""
    command = [sys.executable, "-m", prefork.__name__, "serve", str(meeting), program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=die_with_this_process) as server:
        try:
            assert server.stdout is not None
            if not server.stdout.readline():
                raise RuntimeError(f"the server of {program} did not start")
            yield
        finally:
            end(server.pid)


def end(pid: int) -> None:
    """Kill a process and all that it has started."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for running in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                running.send_signal(signal.SIGKILL)


def _entries(out: bytes | None) -> Iterator[dict[str, Any]]:
    """The JSON objects among the lines; what MPI itself prints is none, and a last line may be torn."""
    for line in (out or b"").decode(errors="replace").splitlines():
        if line.startswith("{"):
            with suppress(json.JSONDecodeError):
                yield json.loads(line)


def _last_words(words: str, code: int) -> str:
    """The line that says most: a Python error if there is one."""
    lines: Sequence[str] = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))]
    return (errors or lines or [f"mpiexec ended with exit code {code}"])[0]
