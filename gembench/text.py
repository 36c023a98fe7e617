"""Names from files of others (machines, micrographs, labels), made safe for where they are shown.

HTML needs nothing of this, since the report's template escapes by itself; nor does rich, whose Text has no
markup.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 80  # characters of a name on a screen or in a figure; a file name of 255 bytes holds as many
UNSAFE = re.compile(r"[^\w.+=@-]+")  # what a file name does not keep: separators, blanks, quotes, wildcards


def printable(text: str, longest: int = LONGEST) -> str:
    """The text in one line: control characters and broken Unicode as ?, the end beyond `longest` as …"""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def for_figure(text: str, longest: int = 4 * LONGEST) -> str:
    """The text for matplotlib, whose mathematics it is not: `$` is drawn as it is. It may have lines."""
    return "\n".join(printable(line, longest) for line in text.split("\n")).replace("$", r"\$")


def for_file(text: str) -> str:
    """The text as one component of a path; whatever cannot stay is told apart by six digits of its hash."""
    kept = UNSAFE.sub("-", text).strip(".-")[:LONGEST]
    if kept and kept == text:
        return kept
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{kept}-{digest}".lstrip("-")
