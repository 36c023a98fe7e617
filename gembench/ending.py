"""That a process is asked to end."""

from __future__ import annotations


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which ends a run as Ctrl-C does: what is finished stays and is noted."""
