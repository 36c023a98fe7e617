"""The command line: one parser, one module per command in `gembench.commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gembench import __version__
from gembench.commands import COMMANDS
from gembench.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """The parser with every command; building it imports no numerical library."""
    parser = argparse.ArgumentParser(
        prog="gembench",
        description="Pick particles in cryo-EM micrographs by template matching, judge picks against"
        " annotations, and reproduce the study of the gEMpicker paper on this machine.",
    )
    parser.add_argument("--version", action="version", version=f"gembench {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (2 for bad input, 130 after Ctrl-C)."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except InputError as error:
        print(f"gembench: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gembench: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
