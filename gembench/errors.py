"""The error that bad input raises, and the one of a device that does not advance."""


class InputError(ValueError):
    """Input that cannot be used: one line that names the file, the value and the remedy.

    The command line prints the message as it is and exits with code 2.
    """


class StalledError(RuntimeError):
    """A device that does not advance: one line that names it and what it was to do.

    Nothing waits for such a device any more: the command line prints the message and ends the process with
    code 1.
    """
