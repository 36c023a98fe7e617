"""What the KLH study draws: templates and masks (Fig. 6), score maps (Fig. 7), ROC and PR curves (Fig. 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gembench.study.tell import draw as curves
from gembench.study.tell import pictures, style

Array = NDArray[Any]
VIEWS = ("side", "top")
RING = (8, 60)  # px from the centre of a top view
PROTOCOL_NAMES = {"paper": "as in the paper", "gembench": "gembench"}


def ring_metrics(example: Mapping[str, Array]) -> dict[str, float]:
    """Scores at the centres of clear top views in both maps, and on the highest ring of the side-view map.

    example: score maps 'side' and 'top', (H, W). A ring's score is its mean over all directions; rings from
    RING[0] to RING[1] pixels are looked at. All values are means over the top views.
    """
    side, top = example["side"], example["top"]
    reach = RING[1]
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    radius = np.hypot(y, x).astype(int)
    values = []
    for cy, cx in _peaks(top, side):
        around = side[max(cy - reach, 0) : cy + reach + 1, max(cx - reach, 0) : cx + reach + 1]
        if around.shape == radius.shape:
            rings = np.bincount(radius.ravel(), around.ravel()) / np.bincount(radius.ravel())
            values.append((rings[RING[0] : reach].max(), side[cy, cx], top[cy, cx]))
    if not values:
        return {}
    names = ("ring_score_side", "centre_score_side", "centre_score_top")
    return dict(zip(names, np.mean(values, axis=0).tolist(), strict=True)) | {"top_views": len(values)}


def _peaks(top: Array, side: Array, least: float = 0.45) -> list[tuple[int, int]]:
    """Places of clear top views: maxima of the top-view map above `least` and above the side-view map."""
    from scipy.ndimage import maximum_filter

    peak = (top == maximum_filter(top, 121)) & (top > least) & (top > side)
    return [(int(y), int(x)) for y, x in np.argwhere(peak)]


def reduced(example: Mapping[str, Array]) -> dict[str, Array]:
    """The example small enough to be stored beside the record: a quarter of its size, in few bits."""
    image = pictures.binned(example["micrograph"], 4)
    low, high = np.percentile(image, (0.5, 99.5))
    grey = np.clip((image - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    maps = {name: pictures.binned(example[name], 4, np.max).astype(np.float16) for name in VIEWS}
    return {"micrograph": grey, **maps, "templates": example["templates"].astype(np.float32),
            "masks": example["masks"].astype(np.uint8)}


def draw(rows: list[Any]) -> dict[str, Any]:
    """The figures that these rows can give, by name."""
    figures = {}
    for data in sorted({row["data"] for row in rows}):
        chosen = [row for row in rows if row["data"] == data]
        if chosen and all("roc_fpr" in row.arrays for row in chosen):
            figures[f"roc_{data}"] = _curves(chosen)
        for row in chosen:
            if "side" in row.arrays:
                figures[f"maps_{data}"] = _maps(row.arrays)
                figures[f"templates_{data}"] = _templates(row.arrays)
    return figures


def _curves(rows: list[Any]) -> Any:
    figure, (left, right) = style.figure(1, 2, width=style.PAGE, height=3.6)
    roc, pr, points = {}, {}, {}
    for row in rows:
        if row["symmetry"] or row["protocol"] not in PROTOCOL_NAMES:
            continue  # the curves of another row
        name = f"{PROTOCOL_NAMES[row['protocol']]}, {row['angle_step']}°"
        roc[name] = row.arrays["roc_fpr"], row.arrays["roc_tpr"]
        pr[name] = row.arrays["recall"], row.arrays["precision"]
        if row["protocol"] == "gembench" and row["angle_step"] == 4:
            points["thresholds chosen on the other half"] = row["recall"], row["precision"]
    curves.roc(left, roc)
    curves.precision_recall(right, pr, points)
    left.set_title("ROC of the top 2 N picks")
    right.set_title("Precision and recall")
    return figure


def _maps(arrays: Mapping[str, Array]) -> Any:
    figure, axes = style.figure(1, 3, width=style.PAGE, height=2.9)
    pictures.micrograph(axes[0], arrays["micrograph"].astype(np.float32), title="Micrograph, averaged 4 x 4")
    limit = max(float(arrays[view].max()) for view in VIEWS)
    for ax, view in zip(axes[1:], VIEWS, strict=True):
        score = arrays[view].astype(np.float32)
        shown = pictures.score_map(ax, score, title=f"{view.capitalize()}-view templates", limit=limit)
    figure.colorbar(shown, ax=axes, orientation="horizontal", label="Score (normalised cross-correlation)",
                    fraction=0.05, pad=0.04, aspect=50)
    return figure


def _templates(arrays: Mapping[str, Array]) -> Any:
    figure, axes = style.figure(1, 4, width=style.PAGE, height=2.0)
    panels = [(arrays["templates"][v], f"{VIEWS[v].capitalize()} view") for v in range(2)]
    panels += [(arrays["masks"][v].astype(np.float32), f"Mask of the {VIEWS[v]} view") for v in range(2)]
    for ax, (image, title) in zip(axes, [panels[0], panels[2], panels[1], panels[3]], strict=True):
        pictures.plain(ax, image, title=title)
    return figure
