"""Ranks forked from one warm process: 64 Pythons that import and compile would take a minute on two cores.

A server imports the program of the ranks, has it warm up, and waits at a socket. Where MPICH's launcher would
start a rank it starts this file as a client, which hands its environment, its files (the one to the launcher
among them) and its network over to a fork of the server, and ends when that does.

  python -m gembench.study.clusters.prefork serve SOCKET PROGRAM
  python prefork.py rank SOCKET PLAN
"""

import json
import os
import socket
import sys
from pathlib import Path

FIRST_FREE = 200  # file descriptors from here on are nobody's
MARK = b"\n\n"


def rank(path: str, plan: str) -> int:
    """The client: ask for a rank in place of this process; returns its exit code, 1 if it was killed."""
    numbers = [1, 2, *([int(os.environ["PMI_FD"])] if "PMI_FD" in os.environ else [])]
    spaces = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt")]
    request = {"environment": dict(os.environ), "numbers": numbers, "plan": plan, "folder": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"?"], numbers + spaces)
        connection.sendall(json.dumps(request).encode() + MARK)
        answer = connection.recv(1)
    return answer[0] if answer else 1


def serve(path: str, program: str) -> None:
    """The server: fork a rank for everyone who asks; says so on standard output when it is ready."""
    import importlib

    import mpi4py

    mpi4py.rc.initialize = False
    module = importlib.import_module(f"{__package__}.{program}")
    module.warm_up()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(1024)
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            _, files, _, _ = socket.recv_fds(connection, 1, 8)
            words = b""
            while not words.endswith(MARK):
                words += connection.recv(1 << 16)
            if not os.fork():
                listening.close()
                _become(module, connection, files, json.loads(words))
            for file in files:
                os.close(file)
            connection.close()
            _reap()


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def _become(module, connection, files, request) -> None:  # type: ignore[no-untyped-def]
    """In the fork: take over what the client has, run the program as a rank, and never return."""
    import fcntl
    import threading
    import traceback

    from gembench.engine.mpi.supervised import die_with

    code = 1
    try:
        die_with(os.getppid())
        kept = fcntl.fcntl(connection.detach(), fcntl.F_DUPFD, FIRST_FREE)
        files = [fcntl.fcntl(file, fcntl.F_DUPFD, FIRST_FREE) for file in files]
        *files, network, mounts = files
        for file, number in zip(files, request["numbers"], strict=True):
            os.dup2(file, number)
        _enter(mounts, network)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        threading.Thread(target=_end_with_client, args=(kept,), daemon=True).start()
        _run(module, request["plan"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(kept, bytes([code]))
        os._exit(code)


def _run(module, plan: str) -> None:  # type: ignore[no-untyped-def]
    """The program between MPI's beginning and end; an error ends all ranks."""
    import traceback

    from mpi4py import MPI

    MPI.Init_thread(MPI.THREAD_MULTIPLE)
    sys.argv[1:] = [plan]
    try:
        module.main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(1)
    MPI.Finalize()


def _enter(*spaces: int) -> None:
    """Enter namespaces, before the first thread is started."""
    import ctypes

    system = ctypes.CDLL(None, use_errno=True)
    for space in spaces:
        if system.setns(space, 0):
            raise OSError(ctypes.get_errno(), "setns")


def _end_with_client(connection: int) -> None:
    """Ends this process when the client has ended: the launcher knows only that one."""
    os.read(connection, 1)
    os._exit(1)


if __name__ == "__main__":
    if sys.argv[1] == "rank":
        sys.exit(rank(*sys.argv[2:]))
    serve(*sys.argv[2:])
