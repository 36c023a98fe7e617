"""Padding drawn: how many times as fast the padded micrograph is, by size and library."""

from __future__ import annotations

from gembench.drawing import style
from gembench.engine.fft import PREFERENCE
from gembench.engine.fft.sizes import fast_size
from gembench.study.tell import bands
from gembench.study.tell.tables import speed_up


def figure(rows):
    """A dot for each library beside each other, grouped by the micrograph's size."""
    plain = {(row["size"], row["library"]): row for row in rows if not row["padded"]}
    padded = {(row["size"], row["library"]): row for row in rows if row["padded"]}
    ratios = {key: speed_up(row, padded[key]) for key, row in plain.items() if key in padded}
    if not ratios:
        return {}
    drawn, ax = style.figure(width=style.PAGE, height=2.5)
    sizes = list(dict.fromkeys(size for size, _ in ratios))
    names = [name for name in (*PREFERENCE, "cufft") if any(library == name for _, library in ratios)]
    ax.axhline(1, color=style.INK, linewidth=0.8, zorder=0)
    for number, name in enumerate(names):
        aside = 0.14 * (number - (len(names) - 1) / 2)
        spreads = {place + aside: ratios[size, name] for place, size in enumerate(sizes)
                   if (size, name) in ratios}
        bands.dots(ax, spreads, bands.look(name), style.label(name))
    ax.set_xticks(range(len(sizes)), [f"{size}\nto {padded_to(size)}".replace("x", " × ") for size in sizes])
    bands.factors(ax)
    ax.set_yticks([0.5, 0.7, 1, 1.5, 2, 3, 4, 6])
    reach = [value for spread in ratios.values() for value in spread]
    ax.set(xlabel="Micrograph, and what it is padded to (pixels)",
           ylabel="Speed of the padded micrograph\n(unpadded = 1, > 1 is faster)",
           xlim=(-0.6, len(sizes) - 0.4), ylim=(0.92 * min(1, *reach), 1.1 * max(reach)))
    ax.tick_params(axis="x", length=0)
    ax.grid(axis="x", visible=False)
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=len(names))
    return drawn


def padded_to(size):
    """What a micrograph of this size is padded to, written like the size."""
    return "x".join(map(str, dict.fromkeys(fast_size(int(n)) for n in str(size).split("x"))))
