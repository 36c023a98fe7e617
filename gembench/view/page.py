"""A page of picks as one HTML file; see view.js for what it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gembench.text import printable

HERE = Path(__file__).parent


def render(content: dict[str, Any]) -> str:
    """The page of what `gembench.view.content.content` gives: one file that loads nothing.

    Names stand in it as JSON without a <, which no text of theirs can leave.
    """
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    data = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template("view.html.j2").render(
        title=printable(content["title"]), data=data, script=(HERE / "view.js").read_text(encoding="utf-8"),
        style=(HERE / "view.css").read_text(encoding="utf-8"),
    )
