"""The command line: one parser, one module per command in `gembench.commands`."""

from __future__ import annotations

import argparse
import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from gembench import __version__
from gembench.commands import COMMANDS
from gembench.errors import InputError, StalledError
from gembench.plugins import load_plugins
from gembench.text import printable


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, as everything else is said."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"gembench: error: {message}; see {self.prog} --help\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse does, which would call it a success if the device is full."""
        if message and (stream := file or sys.stderr):
            stream.write(message)
            stream.flush()


def build_parser() -> argparse.ArgumentParser:
    """The parser with every command; building it imports no numerical library."""
    parser = _Parser(
        prog="gembench",
        description="Pick particles in cryo-EM micrographs by template matching, judge picks against"
        " annotations, and reproduce the study of the gEMpicker paper on this machine.",
        epilog="gembench COMMAND --help explains a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"gembench {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 2 for bad input, 1 for a stalled device, 130 after Ctrl-C.

    143 after SIGTERM, which ends a run as Ctrl-C does: what is finished stays and is noted.
    """
    parser = build_parser()
    words = sys.argv[1:] if argv is None else list(argv)
    if not words:
        parser.print_help(sys.stderr)
        return 2
    with _warnings_shown(), _streams(), _terminated_as_interrupted() as ended:
        try:
            try:
                args = parser.parse_args(words, argparse.Namespace(argv=["gembench", *words]))
                if hasattr(args, "plugins"):
                    load_plugins(args.plugins)
                code = int(args.run(args))
            finally:
                sys.stdout.flush()  # a full device or a reader that has gone shows here, not at exit
        except InputError as error:
            return _refused(str(error))
        except StalledError as error:
            return _stalled(str(error))
        except KeyboardInterrupt:
            if ended:
                print("gembench: ended by SIGTERM", file=sys.stderr)
                return 143
            print("gembench: interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:  # as `gembench ... | head` does
            _drop_output()
            return 1
        except OSError as error:
            if error.filename is None:
                _drop_output()
            return _refused(f"{error.filename or 'input or output'}: {error.strerror or error}")
        except MemoryError as error:
            return _refused(f"out of memory: {error}: use fewer threads, or end other programs")
    return code


@contextmanager
def _streams() -> Iterator[None]:
    """Output goes nowhere where there is none, as in a daemon whose streams are closed."""
    with ExitStack() as stack:
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:
                setattr(sys, name, stack.enter_context(open(os.devnull, "w", encoding="utf-8")))  # noqa: PTH123
                stack.callback(setattr, sys, name, None)
        yield


@contextmanager
def _terminated_as_interrupted() -> Iterator[list[int]]:
    """SIGTERM is a KeyboardInterrupt in this block; the list says that it came."""
    ended: list[int] = []

    def end(number: int, _: object) -> None:
        ended.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield ended
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, before)


def _refused(message: str) -> int:
    print(f"gembench: error: {message}", file=sys.stderr)
    return 2


def _stalled(message: str) -> int:
    """End without waiting for the device: what frees its memory would."""
    print(f"gembench: error: {message}", file=sys.stderr, flush=True)
    atexit.register(os._exit, 1)
    return 1


def _drop_output() -> None:
    """Send what is left of stdout nowhere, lest the interpreter fail on it once more when it ends."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class _Warnings(logging.Handler):
    """Shows a warning once; of its repeats for other files, which are the first argument, only the count."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.repeats: dict[tuple[Any, ...], tuple[str, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        file, *rest = record.args if isinstance(record.args, tuple) and record.args else (None,)
        kind = (record.msg, *rest)
        if kind in self.repeats:
            text, count = self.repeats[kind]
            self.repeats[kind] = (text, count + 1)
            return
        text = printable(record.getMessage(), sys.maxsize)
        print(f"gembench: warning: {text}", file=sys.stderr)
        self.repeats[kind] = (text.removeprefix(f"{file}: "), 0)

    def close(self) -> None:
        for text, count in self.repeats.values():
            if count:
                print(f"gembench: warning: {count} more: {text}", file=sys.stderr)
        self.repeats = {}
        super().close()


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """The package's warnings on stderr while a command runs."""
    log, handler = logging.getLogger("gembench"), _Warnings()
    log.addHandler(handler)
    propagate, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.propagate = propagate
        log.removeHandler(handler)
        handler.close()


if __name__ == "__main__":
    sys.exit(main())
