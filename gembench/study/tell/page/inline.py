"""Figures inside the page: SVG of few bytes, its letters as text, its pictures as fine as a screen shows."""

from __future__ import annotations

import base64
import html
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONTS = "'DejaVu Sans',Verdana,Geneva,sans-serif"  # Verdana is as wide as DejaVu Sans
PICTURE_DPI = 130  # of pictures in a figure; a page wide figure is then 920 pixels, as wide as the page
MOST_PICTURE_BYTES = 40_000  # beyond, a picture in grey or colour is stored as JPEG
JPEG_QUALITY = 78
NUMBER = re.compile(r"-?\d+\.\d{2,}")
GROUP = re.compile(r'<g id="[^"]*">')  # matplotlib's groups, to which nothing refers
PICTURE = re.compile(r'xlink:href="data:image/png;base64,([^"]+)"')


def page_svg(figure: Figure, prefix: str, label: str) -> str:
    """The figure as SVG that may stand inside HTML, the same bytes for the same figure.

    prefix: makes its ids unique in the page; label: says what it is to whoever cannot see it
    """
    from matplotlib import rc_context

    from gembench.drawing import style

    buffer = io.StringIO()
    with style.context(), rc_context({"svg.fonttype": "none", "savefig.dpi": PICTURE_DPI}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    wide = ' class="wide"' if figure.get_size_inches()[0] > style.COLUMN + 1 else ""
    head = f'<svg{wide} role="img" aria-label="{html.escape(label)}"'
    return shrunk(inline_svg(buffer.getvalue(), prefix)).replace("<svg", head, 1)


def inline_svg(text: str, prefix: str) -> str:
    """SVG to stand inside HTML: ids made unique by `prefix`, prologue, metadata and namespaces left out."""
    body = text[text.index("<svg"):]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", body)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)


def shrunk(svg: str) -> str:
    """The SVG with coordinates of a hundredth of a point, one list of fonts, and large pictures as JPEG."""
    parts = PICTURE.split(svg)  # text, picture, text, picture, ...
    parts[0::2] = [_shrunk_text(part) for part in parts[0::2]]
    parts[1::2] = [f'xlink:href="{_picture(part)}"' for part in parts[1::2]]
    return "".join(parts)


def _shrunk_text(text: str) -> str:
    text = NUMBER.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), text)
    text = text.replace("'DejaVu Sans'", FONTS)
    text = GROUP.sub("<g>", text)
    return re.sub(r"\n\s*", "\n", text)


def _picture(encoded: str) -> str:
    """A picture as it came, or as JPEG where that is much smaller and nothing in it is transparent."""
    from PIL import Image

    raw = base64.b64decode(encoded)
    if len(raw) > MOST_PICTURE_BYTES:
        picture = Image.open(io.BytesIO(raw), formats=["PNG"]).convert("RGBA")
        if picture.getchannel("A").getextrema() == (255, 255):
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
            if buffer.tell() < 0.7 * len(raw):
                return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/png;base64,{encoded}"
