"""Which rows of the KLH study are drawn."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from gembench.study.tell import klh_figures


class Row(dict):
    """A stored row with its curves."""

    def __init__(self, protocol, angle_step=4, symmetry=False):
        super().__init__(data="simulated", protocol=protocol, angle_step=angle_step, symmetry=symmetry,
                         recall=0.9, precision=0.8)
        line = np.linspace(0, 1, 5)
        self.arrays = {"roc_fpr": line, "roc_tpr": line, "recall": line, "precision": 1 - line / 2}


def test_rows_whose_curves_are_those_of_another_are_left_out():
    rows = [Row("paper"), Row("paper", symmetry=True), Row("gembench"), Row("banded"), Row("gembench", 9)]
    figures = klh_figures.draw(rows)
    assert list(figures) == ["roc_simulated"]
    legends = [ax.get_legend() for ax in figures["roc_simulated"].axes]
    shown = " ".join(text.get_text() for legend in legends for text in legend.texts)
    assert all(name in shown for name in ("as in the paper, 4°", "gembench, 4°", "gembench, 9°"))
    assert "banded" not in shown
    plt.close("all")
