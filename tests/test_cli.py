"""The command line as a whole: help, exit codes, where messages go."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gembench import __version__, cli
from gembench.cli import build_parser, main
from gembench.errors import InputError

NAMES = sorted(next(action.choices for action in build_parser()._actions
                    if isinstance(action, argparse._SubParsersAction)))


def ended(*words):
    """Exit code of a command line that argparse ends."""
    with pytest.raises(SystemExit) as ending:
        main(words)
    return ending.value.code


@pytest.fixture
def stand_in(monkeypatch):
    """A function that makes every command line run `function(args)` under the name `do`."""
    def use(function):
        parser = argparse.ArgumentParser(prog="gembench")
        parser.add_subparsers().add_parser("do").set_defaults(run=function)
        monkeypatch.setattr(cli, "build_parser", lambda: parser)

    return use


def test_the_commands_are_those_of_the_house():
    assert {"pick", "score", "templates", "simulate", "data", "run", "report"} <= set(NAMES)


def test_help_names_every_command(capsys):
    assert ended("--help") == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: gembench")
    assert err == ""
    words = {line.split()[0] for line in out.splitlines() if line.startswith("    ") and line.split()}
    assert set(NAMES) <= words


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_command(capsys, name):
    assert ended(name, "--help") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: gembench {name}")
    assert err == ""
    assert max(map(len, out.splitlines())) <= 120


def test_help_of_pick_shows_examples_that_are_understood(capsys):
    assert ended("pick", "--help") == 0
    examples = capsys.readouterr().out.split("examples:\n")[1].split("\n\n")[0]
    lines = examples.replace("\\\n", " ").splitlines()
    assert len(lines) == 3
    for line in lines:
        name, *words = line.split()
        assert name == "gembench"
        assert callable(build_parser().parse_args(words).run)


def test_version(capsys):
    assert ended("--version") == 0
    assert capsys.readouterr().out == f"gembench {__version__}\n"


def test_nothing_asked_for_is_help_and_an_error(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: gembench")
    assert "commands:" in err


@pytest.mark.parametrize(("words", "message"), [
    (["pluck"], "'pluck'"), (["pick"], "--templates"), (["pick", "--loud"], "--templates"), ([""], "COMMAND"),
])
def test_a_command_line_that_is_not_understood_is_one_line(capsys, words, message):
    assert ended(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gembench: error: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(("error", "code", "line"), [
    (InputError("a.mrc: is bad: repair it"), 2, "gembench: error: a.mrc: is bad: repair it\n"),
    (KeyboardInterrupt(), 130, "gembench: interrupted\n"),
    (MemoryError("9 TiB"), 2,
     "gembench: error: out of memory: 9 TiB: use fewer threads, or end other programs\n"),
    (PermissionError(13, "Permission denied", "secret.mrc"), 2,
     "gembench: error: secret.mrc: Permission denied\n"),
], ids=lambda value: type(value).__name__)
def test_errors_are_one_line_and_a_code(stand_in, capsys, error, code, line):
    def fail(args):
        raise error

    stand_in(fail)
    assert main(["do"]) == code
    assert capsys.readouterr() == ("", line)


def test_errors_of_the_program_itself_are_not_hidden(stand_in):
    stand_in(lambda args: [][0])
    with pytest.raises(IndexError):
        main(["do"])


def test_warnings_are_shown_once_and_their_repeats_counted(stand_in, capsys):
    log = logging.getLogger("gembench")

    def warn(args):
        for file in ("a.mrc", "b.mrc", "c.mrc"):
            log.warning("%s: pixels of %g A", file, 2.0)
            log.info("%s: all is well", file)
        log.warning("b.mrc: is old")
        log.warning("%s: pixels of %g A", "d.mrc", 3.0)
        return 0

    stand_in(warn)
    for _ in range(2):  # a second command starts anew
        assert main(["do"]) == 0
        assert capsys.readouterr().err.splitlines() == [
            "gembench: warning: a.mrc: pixels of 2 A", "gembench: warning: b.mrc: is old",
            "gembench: warning: d.mrc: pixels of 3 A", "gembench: warning: 2 more: pixels of 2 A"]
    assert not log.handlers
    assert log.propagate


def run(*words, **options):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, **options)


def test_the_package_runs_as_a_module():
    done = run("-m", "gembench", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"gembench {__version__}\n", "")
    done = run("-m", "gembench", "score", "--picks", "nowhere.star", "--truth", "x", "--radius", "5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gembench: error: nowhere.star: no such file; check the path\n"


PRINT = ("import argparse, sys\nfrom gembench import cli\n"
         "parser = argparse.ArgumentParser()\n"
         "parser.add_subparsers().add_parser('do').set_defaults(run=lambda args: print('x' * 100_000) or 0)\n"
         "cli.build_parser = lambda: parser\nsys.exit(cli.main(['do']))\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_no_space_for_standard_output_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", PRINT], stdout=full, stderr=subprocess.PIPE, text=True,
                              check=False)
    assert (done.returncode, done.stderr) == (
        2, "gembench: error: input or output: No space left on device\n")


def test_a_reader_that_has_gone_is_no_traceback():
    """As in `gembench ... | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run([sys.executable, "-c", PRINT], stdout=pipe, stderr=subprocess.PIPE, text=True,
                              check=False)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_closed_streams_are_no_error(closed: str) -> None:
    """As daemons start programs."""
    def close() -> None:
        for number in {"stdout": (1,), "stderr": (2,), "both": (1, 2)}[closed]:
            os.close(number)

    command = [sys.executable, "-m", "gembench", "data", "list"]
    done = subprocess.run(command, preexec_fn=close, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""



@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_help_that_cannot_be_written_is_no_success() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "gembench", "pick", "--help"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "gembench: error: input or output: No space left on device\n"


def test_sigterm_ends_as_ctrl_c_does(stand_in, capsys) -> None:
    stand_in(lambda _: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["do"]) == 143
    assert capsys.readouterr().err == "gembench: ended by SIGTERM\n"
    assert signal.getsignal(signal.SIGTERM) == before
