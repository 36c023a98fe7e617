"""Emulated nodes: network namespaces with veth links around a bridge, every link with a limited rate.

Everything is made of namespaces whose names begin with `gembench-`, the owner's process id and start time;
the bridge lives in one of its own, so that nothing outside is touched. Leaving the context removes them all
with the processes in them; if the owner is killed, a guard process does; and what no guard could remove
(they were killed together) is found and removed by the next owner. Linux, iproute2 and root are needed.

>>> with emulated_nodes(8, 125e6) as nodes:  # 1 Gb/s
...     subprocess.run([*nodes.command(0), "ping", "-c1", nodes.addresses[1]])
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gembench.study.clusters.owners import orphaned, owner

SUBNET = "10.213.0"  # addresses inside the namespaces only
BURST = 72 << 10  # bytes that pass at once: more than the longest packet of TCP, which tbf would else cut up
QUEUE = 32 << 20  # bytes that may wait on a link: all of direct's senders, so that nothing is dropped
INSIDE = "eth0"
# Every kernel has reno; bbr, where a machine has chosen it, sends next to nothing for 0.2 s every 10 s.
CONGESTION = "echo reno > /proc/sys/net/ipv4/tcp_congestion_control"


class EmulationError(RuntimeError):
    """The network could not be built; the message holds the tool's last words."""


def unavailable() -> str:
    """Why no nodes can be emulated here, '' if they can."""
    if sys.platform != "linux":
        return "emulated nodes need Linux"
    for program in ("ip", "tc"):
        if not shutil.which(program):
            return f"no program {program} (Debian: apt-get install iproute2)"
    if os.geteuid():
        return "emulated nodes need root: run the study with sudo"
    name = f"{owner()}-try"
    try:
        _run("ip", "netns", "add", name)
    except EmulationError as error:
        return f"no network namespaces: {error}"
    remove([name])
    return ""


def owned(prefix: str) -> list[str]:
    """The namespaces whose names begin so."""
    folder = Path("/run/netns")
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(f"{prefix}-"))


def stale() -> list[str]:
    """Namespaces of ours whose owner is no more."""
    return [name for name in owned("gembench") if orphaned(name)]


def remove(names: Sequence[str]) -> None:
    """Remove namespaces, after ending the processes in them."""
    for name in names:
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
        for pid in map(int, listed.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@dataclass(frozen=True)
class Nodes:
    """Emulated nodes: their namespaces and addresses."""

    namespaces: list[str]
    addresses: list[str]

    def command(self, node: int) -> list[str]:
        """What to put before a command so that it runs on a node."""
        return ["ip", "netns", "exec", self.namespaces[node]]


@contextmanager
def emulated_nodes(count: int, bandwidth: float) -> Iterator[Nodes]:
    """So many nodes around a switch; every link carries `bandwidth` bytes a second each way.

    Raises EmulationError if the network cannot be built.
    """
    remove(stale())
    prefix = owner()
    switch = f"{prefix}-switch"
    nodes = Nodes([f"{prefix}-{number}" for number in range(count)],
                  [f"{SUBNET}.{number + 1}" for number in range(count)])
    guard = _start_guard(prefix)
    try:
        for name in (switch, *nodes.namespaces):
            _run("ip", "netns", "add", name)
        _build(switch, nodes, bandwidth)
        yield nodes
    finally:
        remove(owned(prefix))
        guard.stdin.close()  # type: ignore[union-attr]
        guard.wait()


def _build(switch: str, nodes: Nodes, bandwidth: float) -> None:
    """A bridge, a limited link to every node, and all addresses known everywhere.

    64 nodes that asked for each other's addresses would overflow the machine's table of them.
    """
    _batch(switch, ["link add bridge type bridge forward_delay 0 mcast_snooping 0", "link set bridge up"])
    numbers = range(len(nodes.namespaces))
    _batch(switch, [f"link add port{i} type veth peer name {INSIDE} netns {nodes.namespaces[i]}"
                    for i in numbers])
    _batch(switch, [f"link set port{i} master bridge up" for i in numbers])
    _limit(switch, [f"port{i}" for i in numbers], bandwidth)
    for i in numbers:
        _batch(nodes.namespaces[i], [
            f"link set {INSIDE} address {_hardware(i)}", f"addr add {nodes.addresses[i]}/24 dev {INSIDE}",
            f"link set {INSIDE} up", "link set lo up",
            *(f"neigh add {nodes.addresses[j]} lladdr {_hardware(j)} dev {INSIDE} nud permanent"
              for j in numbers if j != i),
        ])
        _limit(nodes.namespaces[i], [INSIDE], bandwidth)
        _run(*nodes.command(i), "sh", "-c", CONGESTION)


def _hardware(node: int) -> str:
    return f"02:00:00:00:00:{node:02x}"


def _limit(namespace: str, links: Sequence[str], bandwidth: float) -> None:
    """Limit what leaves by these links, in bytes a second."""
    rate = f"tbf rate {round(8 * bandwidth)}bit burst {BURST} limit {QUEUE}"
    _run("tc", "-n", namespace, "-batch", "-", feed=[f"qdisc add dev {link} root {rate}" for link in links])


def _batch(namespace: str, commands: Sequence[str]) -> None:
    _run("ip", "-n", namespace, "-batch", "-", feed=commands)


def _run(*command: str, feed: Sequence[str] = ()) -> None:
    """Run a program, most of them iproute2's.

    Raises EmulationError if it fails.
    """
    done = subprocess.run(command, input="\n".join(feed), capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise EmulationError(f"{' '.join(command)}: {words[0] if words else f'exit code {done.returncode}'}")


def _start_guard(prefix: str) -> subprocess.Popen[bytes]:
    """A process that removes the owner's namespaces when the owner has ended, however it did."""
    return subprocess.Popen([sys.executable, "-m", __name__, prefix], stdin=subprocess.PIPE,
                            start_new_session=True)


def main() -> None:
    """The guard: wait until the owner closes the pipe or dies, then remove what it has left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    for _ in range(50):  # a killed owner's children may still be starting
        left = owned(sys.argv[1])
        if not left:
            return
        remove(left)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
