"""The one error that bad input raises."""


class InputError(ValueError):
    """Input that cannot be used: one line that names the file, the value and the remedy.

    The command line prints the message as it is and exits with code 2.
    """
