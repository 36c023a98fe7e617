"""`gembench guide`: the manual, in the terminal."""

from __future__ import annotations

import argparse
import re
from importlib.resources import files
from typing import Any

from gembench.errors import InputError

ORDER = ("start", "picking", "judging", "formats", "memory", "clusters", "gpus", "studies", "contributing",
         "questions")
# Pictures, and what folds their text away on code hosts: a terminal shows the text.
_NOT_IN_A_TERMINAL = re.compile(r"^(!\[.*|</?details>.*)\n", re.MULTILINE)


def add_parser(subparsers: Any) -> None:
    """Add `guide`."""
    parser = subparsers.add_parser(
        "guide", help="read the manual",
        description="The manual of gembench: without a topic, which there are. Its pages are Markdown files\n"
        "in gembench/guide, which code hosts show as well.",
        epilog="example:\n  gembench guide picking | less -R\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help=", ".join(ORDER))
    parser.set_defaults(run=run)


def page(topic: str) -> str:
    """The Markdown of a page; raises InputError for a topic that there is not."""
    if topic not in ORDER:
        raise InputError(f"guide {topic}: no such topic; choose one of {', '.join(ORDER)}")
    return (files("gembench") / "guide" / f"{topic}.md").read_text(encoding="utf-8")


def run(args: argparse.Namespace) -> int:
    """Print a page, or the topics; returns 0."""
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if args.topic is not None:
        console.print(Markdown(_NOT_IN_A_TERMINAL.sub("", page(args.topic))))
        return 0
    for topic in ORDER:
        title = page(topic).splitlines()[0].lstrip("# ")
        console.print(f"{topic:12} {title}", markup=False, highlight=False)
    return 0
