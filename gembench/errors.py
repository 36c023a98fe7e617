"""The error that bad input raises, and the one of a device that does not advance."""


from __future__ import annotations

import sys

from gembench.text import printable


class InputError(ValueError):
    """Input that cannot be used: one line that names the file, the value and the remedy.

    What the file gives to the message is no part of the terminal's language: control characters become ?.
    The command line prints the message as it is and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.splitlines()), sys.maxsize))


class StalledError(RuntimeError):
    """A device that does not advance: one line that names it and what it was to do.

    Nothing waits for such a device any more: the command line prints the message and ends the process with
    code 1.
    """
