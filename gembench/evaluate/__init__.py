"""Picks judged against annotations: matching, precision and recall, curves, intervals."""

from gembench.evaluate.evaluation import best_f1, best_threshold, evaluate, threshold_for_recall
from gembench.evaluate.matching import Matching, match
from gembench.evaluate.result import Evaluation
from gembench.evaluate.ribbons import Ribbon, precision_recall_ribbon, roc_ribbon
from gembench.evaluate.splits import (
    at_other_halfs_threshold,
    best_by_halves,
    field_of,
    split_halves,
)

__all__ = [
    "Evaluation", "Matching", "Ribbon", "at_other_halfs_threshold", "best_by_halves", "best_f1",
    "best_threshold", "evaluate", "field_of", "match", "precision_recall_ribbon", "roc_ribbon",
    "split_halves", "threshold_for_recall",
]
