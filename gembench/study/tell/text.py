"""Numbers as a person reads them."""

from __future__ import annotations


def seconds_text(seconds: float, like: float | None = None) -> str:
    """`12.3 ms`, in the unit that suits `like` (itself by default)."""
    scale = abs(seconds if like is None else like)
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if scale * factor >= 1 or unit == "µs":
            shown = seconds * factor
            return f"{shown:.0f} {unit}" if shown >= 1000 else f"{shown:#.3g}".rstrip(".") + f" {unit}"
    raise AssertionError


def number_text(value: float) -> str:
    """Three significant digits, all digits above a thousand, no exponent where it can be helped."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"


def band_text(low: float, high: float, like: float) -> str:
    """`11.9..12.8 ms`, in the unit that suits `like`."""
    return f"{seconds_text(low, like).split()[0]}..{seconds_text(high, like)}"
