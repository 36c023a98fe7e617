"""What all tests share."""

from __future__ import annotations

import signal

# A shell that starts the tests in the background has SIGINT ignored, here and in every child process; the
# tests of Ctrl-C need it as a terminal has it.
signal.signal(signal.SIGINT, signal.default_int_handler)
